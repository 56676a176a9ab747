"""Names that a person would choose, by rule: from the node, else from the prompt's words, else from the tools."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from .wording import name_words

MAX_WORDS = 4
_RUN = re.compile(r"[^\W\d_]+")
_GENERIC_NODES = frozenset(
    re.findall(
        r"\w+",
        """agent agents model llm chat chain call call_model call_llm chat_model node step main default invoke generate
        tools runnable runnable_sequence assistant openai chat_open_ai open_ai""",
    )
)
# English function words, and words that occur in every prompt. Prompts in other languages keep all of their words.
_EMPTY = frozenset(
    _RUN.findall(
        """a about above access according act all also always an and any anything are as ask at based be been
        before below best but by can careful copy could do does don each either else every exactly expert few
        following for from given goal has have help helpful helps here how i if in inside into is it its just
        keep know like line make may more most must my need never no not nothing of off on one only or other our
        out output overall part please provide rather read refer reply respond return s same should single so
        some such t task than that the their them then there these they this those to two use used user users
        using very was we what when where which while who will with without word words world would yes you your
        yourself role professional main answer answers response ai bot job called step notice system prompt
        instruction instructions context follow format refers e g etc whether first last next new now per via
        get give let null true false int str class type value values key keys least finish"""
    )
)
_ROLE = re.compile(r"\W*(?:you are|you re|act as|as an?|role)\b", re.IGNORECASE)
_LONGEST_RUN = 16  # characters: in a script without spaces, a sentence is one run


def names_for(
    sentences: Sequence[Sequence[str]],
    nodes: Sequence[tuple[str, ...]],
    tools: Sequence[Sequence[str]],
    taken: Iterable[str],
) -> list[str]:
    """A snake_case name for each task, different from those in `taken` and from each other.

    sentences: the constant sentences of each task's prompts, in order.
    nodes: each task's most frequent node; empty if unknown.
    tools: the names of each task's tools, most frequent first.
    """
    common = Counter(word for text in sentences for word in {w for s in text for w in _telling(s)})
    used = set(taken)
    names: list[str] = []
    for text, node, offered in zip(sentences, nodes, tools, strict=True):
        said = _key_words(text, common, len(sentences))
        name = _unused(_candidates(_node_name(node), said, offered), used)
        used.add(name)
        names.append(name)
    return names


def _candidates(node: str, said: list[str], tools: Sequence[str]) -> list[str]:
    few = _joined(said, MAX_WORDS)
    called = "_".join(name_words(tools[:1])[:MAX_WORDS])
    names = [node, few, f"{node}_{few}" if node and few else "", _joined(said, MAX_WORDS + 2), called]
    if few and called:
        names.append(f"{few}_{called}")
    return [name for name in names if name] or ["free_form"]


def _joined(words: Sequence[str], most: int) -> str:
    """The first words, with low lines between them. In a script without blanks each character is a word here: two make
    one, and stand together."""
    name, size = "", 0.0
    for word, before in zip(words, ("", *words), strict=False):
        single = len(word) == 1 and not word.isascii()
        size += 0.5 if single else 1.0
        if size > most:
            break
        together = single and len(before) == 1 and not before.isascii()
        name += word if together or not name else f"_{word}"
    return name


def _unused(candidates: list[str], used: set[str]) -> str:
    for name in candidates:
        if name not in used:
            return name
    n = 2
    while f"{candidates[0]}_{n}" in used:
        n += 1
    return f"{candidates[0]}_{n}"


def _node_name(node: tuple[str, ...]) -> str:
    """The innermost part of the node's path that is not generic."""
    for part in reversed(node):
        name = "_".join(name_words([part]))
        if name and name.lower() not in _GENERIC_NODES:
            return name
    return ""


def _key_words(text: Sequence[str], common: Counter[str], tasks: int) -> list[str]:
    """The words of the role that the prompt gives, if any, and of the sentence with the most telling words."""
    role: list[str] = []
    best: list[str] = []
    best_score = 0.0
    for position, sentence in enumerate(text[:6]):
        rare = [word for word in _telling(sentence) if common[word] <= max(1, 0.5 * tasks)]
        if _ROLE.match(sentence):
            role = role or rare
            continue
        score = min(len(rare), 3) * 0.6**position
        if score > best_score:
            best, best_score = rare, score
    said = role if len(role) >= 3 else [*role, *best]
    return [word for i, word in enumerate(said) if not any(_same_stem(word, w) for w in said[:i])]


def _telling(sentence: str) -> list[str]:
    """The distinct words of a sentence that are not empty words, in lower case and in order."""
    words = [word[:_LONGEST_RUN] for word in _RUN.findall(sentence.lower())]
    return [w for w in dict.fromkeys(words) if w not in _EMPTY and (len(w) > 1 or not w.isascii())]


def _same_stem(a: str, b: str) -> bool:
    return a[:5] == b[:5] and min(len(a), len(b)) >= 5
