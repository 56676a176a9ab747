"""What is constant in each prompt, judged by what recurs among those with the same system text."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from .wording import FREE_FORM, FREE_FORM_WITH_TOOLS, Wording, words

SMALLEST = 3
"""Fewer calls are no kind that repeats."""


@dataclass(frozen=True, slots=True)
class Document:
    """What is constant in one prompt, by where it stands; `flags` say what there is no text for."""

    system: tuple[str, ...]
    opening: tuple[str, ...]
    tools: tuple[str, ...]
    flags: tuple[str, ...] = ()

    @property
    def constant(self) -> tuple[str, ...]:
        return self.system + self.opening


def documents_of(wordings: Sequence[Wording]) -> list[Document]:
    """The constant part of each prompt, judged by what recurs among those with the same system text."""
    by_system: dict[tuple[str, ...], list[int]] = defaultdict(list)
    recurring = Counter[str]()
    for i, wording in enumerate(wordings):
        by_system[wording.system].append(i)
        recurring.update(set(wording.system))
    documents: dict[int, Document] = {}
    for system, members in by_system.items():
        if system and len(members) < SMALLEST:  # a text that is new each time: a name or a retrieved passage is in it
            system = tuple(s for s in system if recurring[s] >= SMALLEST) or system
        siblings = [wordings[i] for i in members]
        openings = _constant_openings(siblings, bool(system))
        tools_tell = _tools_tell(siblings)
        for i, wording, opening in zip(members, siblings, openings, strict=True):
            tools = wording.tools if tools_tell else ()
            flags = (wording.offered,) if wording.offered else ()
            if not (system or opening or tools):
                flags += (FREE_FORM_WITH_TOOLS if wording.tools else FREE_FORM,)
            elif wording.tools and not tools_tell:
                flags += ("+",)
            documents[i] = Document(system, opening, tools, flags)
    return [documents[i] for i in range(len(wordings))]


def _constant_openings(siblings: Sequence[Wording], has_system: bool) -> list[tuple[str, ...]]:
    """Sentences of the opening that recur, and the beginning that recurs where the first sentence does not.

    Under a shared system text they count only where nearly every prompt has some and none is in all of them: a label or
    a sentence that all share shows one template, however often its values repeat (a schema, a list of tools).
    """
    distinct = list({w.opening: w for w in siblings}.values())  # a prompt that comes again shows nothing constant
    least = max(SMALLEST, len(distinct) * (0.02 if has_system else 0.002))
    if has_system:
        shared = Counter(mark for w in distinct for mark in w.labels.union(w.opening))
        if any(n >= 0.9 * len(distinct) for n in shared.values()):
            return [()] * len(siblings)
    frequency = Counter(sentence for w in distinct for sentence in set(w.opening))
    firsts = [words(w.opening[:1])[:16] for w in siblings]
    beginnings = Counter(
        tuple(first[:n]) for w in distinct if (first := words(w.opening[:1])[:16]) for n in range(4, len(first) + 1)
    )
    found: list[tuple[str, ...]] = []
    for wording, first in zip(siblings, firsts, strict=True):
        kept = [s for s in wording.opening if frequency[s] >= least and len(words([s])) >= 3]
        if wording.opening and frequency[wording.opening[0]] < least:
            kept[:0] = _recurring_beginning(first, beginnings, least)
        found.append(tuple(dict.fromkeys(kept)))
    if has_system and sum(map(bool, found)) < 0.8 * len(found):
        return [()] * len(found)
    return found


def _recurring_beginning(first: list[str], beginnings: Counter[tuple[str, ...]], least: float) -> list[str]:
    """The longest beginning of at least five words that recurs and mostly goes on as it does here."""
    for n in range(len(first), 4, -1):
        beginning = tuple(first[:n])
        if beginnings[beginning] >= least and beginnings[beginning] >= 0.5 * beginnings[beginning[:-1]]:
            return [" ".join(beginning)]
    return []


def _tools_tell(siblings: Sequence[Wording]) -> bool:
    """Whether the sets of tools are few. One node of the calls this was measured on has 551 sets in 949 calls."""
    sets = Counter(w.tools for w in siblings)
    least = max(SMALLEST, len(siblings) * 0.01) if len(siblings) >= SMALLEST else 1
    return sum(n for n in sets.values() if n >= least) >= 0.8 * len(siblings)
