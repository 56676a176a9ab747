"""The constant text of each prompt, judged by what recurs among prompts with the same system text."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .wording import FREE_FORM, FREE_FORM_WITH_TOOLS, Wording, words

SMALLEST = 3
"""Fewer calls are not a kind that repeats."""
_GRAM = 4
"""This many words in a row that recur are constant text, wherever lines and sentences end."""
_FIRST_WORDS, _LAST_WORDS = 600, 200
"""Only these words of a prompt are read: instructions stand at its ends."""

_Gram = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """The constant text of one prompt, by where it stands."""

    system: tuple[str, ...]
    """From the system text."""
    opening: tuple[str, ...]
    """From the user's messages before the first answer."""
    tools: tuple[str, ...]
    """Names of tools, if they tell kinds apart."""
    flags: tuple[str, ...] = ()
    """Facts that no text shows: the response format, that there are tools, that nothing is constant."""
    labels: tuple[str, ...] = ()
    """What the opening's lines begin with ("question:"), sorted."""

    @property
    def constant(self) -> tuple[str, ...]:
        return self.system + self.opening + self.labels


def documents_of(wordings: Sequence[Wording]) -> list[Document]:
    """The constant text of each prompt, judged by what recurs among prompts with the same system text."""
    systems = _constant_systems(wordings)
    by_system: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, system in enumerate(systems):
        by_system[system].append(i)
    documents: dict[int, Document] = {}
    for system, members in by_system.items():
        siblings = [wordings[i] for i in members]
        openings = _under_a_system_text(siblings) if system else _without_system_text(siblings)
        telling = _tools_tell(siblings, bool(system))
        for i, wording, (opening, labels) in zip(members, siblings, openings, strict=True):
            tools = wording.tools if wording.tools in telling else ()
            flags = (wording.offered,) if wording.offered else ()
            if not (system or opening or tools or labels):
                flags += (FREE_FORM_WITH_TOOLS if wording.tools else FREE_FORM,)
            elif wording.tools and not tools:
                flags += ("+",)
            documents[i] = Document(system, opening, tools, flags, labels)
    return [documents[i] for i in range(len(wordings))]


def _constant_systems(wordings: Sequence[Wording]) -> list[tuple[str, ...]]:
    """The system text of each prompt; of a text that is new each time, only the runs that recur in others.

    A text is new each time if it contains a date, an example or a passage.
    """
    counts = Counter(w.system for w in wordings)
    texts = {system: _ends(words(system)) for system in counts if system}
    scattered = {system for system in texts if counts[system] < SMALLEST}
    if not scattered:
        return [w.system for w in wordings]
    grams = Counter[_Gram]()
    for system, text in texts.items():
        grams.update(dict.fromkeys(_grams(text), counts[system]))
    least = max(SMALLEST, 0.001 * len(wordings))
    recurring = {system: _runs(texts[system], grams, least, _GRAM) or system for system in scattered}
    return [recurring.get(w.system, w.system) for w in wordings]


Constant = tuple[tuple[str, ...], tuple[str, ...]]
"""Runs of words, and labels."""


def _without_system_text(siblings: Sequence[Wording]) -> list[Constant]:
    """What recurs in each opening: its labels, and runs too long or too frequent to be people's own words."""
    distinct = list({w.number: w for w in siblings}.values())  # a repeated prompt does not show what is constant
    least = max(SMALLEST, 0.003 * len(distinct))
    often = max(SMALLEST, 0.02 * len(distinct))
    grams, labels = _frequencies(distinct)
    cohesive = _cohesive(grams)
    constants: list[Constant] = []
    for wording in siblings:
        text = _ends(words(wording.opening))
        runs = _runs(text, grams, least, 2 * _GRAM) or _runs(text, cohesive, often, _GRAM + 1)
        constants.append((runs, tuple(sorted(label for label in wording.labels if labels[label] >= 2 * least))))
    return constants


def _under_a_system_text(siblings: Sequence[Wording]) -> list[Constant]:
    """What recurs in each opening below one system text; nothing if the system text alone identifies the kind.

    Recurring text counts only if nearly every opening has some and none is in all of them. A label or words that all
    share show a single template, however often its values repeat (a schema, a list of tools).
    """
    nothing: list[Constant] = [((), ())] * len(siblings)
    distinct = list({w.number: w for w in siblings}.values())
    least = max(SMALLEST, 0.02 * len(distinct))
    grams, labels = _frequencies(distinct)
    if any(n >= 0.9 * len(distinct) for counts in (grams, labels) for n in counts.values()):
        return nothing
    constants: list[Constant] = [
        (
            _runs(_ends(words(w.opening)), grams, least, _GRAM),
            tuple(sorted(label for label in w.labels if labels[label] >= least)),
        )
        for w in siblings
    ]
    return constants if sum(1 for runs, marks in constants if runs or marks) >= 0.8 * len(constants) else nothing


def _frequencies(wordings: Sequence[Wording]) -> tuple[Counter[_Gram], Counter[str]]:
    grams, labels = Counter[_Gram](), Counter[str]()
    for wording in wordings:
        grams.update(set(_grams(_ends(words(wording.opening)))))
        labels.update(wording.labels)
    return grams, labels


def _cohesive(grams: Counter[_Gram]) -> Counter[_Gram]:
    """The grams whose first half mostly leads to this second half, unlike the free speech of "can you tell me"."""
    starts = Counter[_Gram]()
    for gram, n in grams.items():
        starts[gram[: _GRAM // 2]] += n
    return Counter({gram: n for gram, n in grams.items() if n >= 0.5 * starts[gram[: _GRAM // 2]]})


def _grams(text: Sequence[str]) -> Iterator[_Gram]:
    return zip(*(text[n:] for n in range(_GRAM)), strict=False)


def _runs(text: Sequence[str], grams: Counter[_Gram], least: float, shortest: int) -> tuple[str, ...]:
    """The runs of at least `shortest` words in which every `_GRAM` words in a row recur at least `least` times."""
    runs: list[str] = []
    start = 0
    for n, gram in enumerate(_grams(text)):
        if grams[gram] >= least:
            continue
        if n + _GRAM - 1 - start >= shortest:
            runs.append(" ".join(text[start : n + _GRAM - 1]))
        start = n + 1
    if len(text) - start >= shortest:
        runs.append(" ".join(text[start:]))
    return tuple(dict.fromkeys(runs))


def _ends(text: list[str]) -> list[str]:
    return text if len(text) <= _FIRST_WORDS + _LAST_WORDS else text[:_FIRST_WORDS] + text[-_LAST_WORDS:]


def _tools_tell(siblings: Sequence[Wording], has_system: bool) -> set[tuple[str, ...]]:
    """The sets of tools that tell kinds apart: the frequent ones. With a system text, none if there are many sets.

    One node of the calls that this was measured on has 551 sets in 949 calls.
    """
    sets = Counter(w.tools for w in siblings)
    least = max(SMALLEST, len(siblings) * 0.01) if len(siblings) >= SMALLEST else 1
    frequent = {tools for tools, n in sets.items() if n >= least}
    if has_system and sum(sets[tools] for tools in frequent) < 0.8 * len(siblings):
        return set()
    return frequent
