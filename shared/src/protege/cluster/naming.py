"""Names that a person would give, by rule: from the node, else from the words of the prompt, else from the tools."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from .wording import name_words, words

MAX_WORDS = 4
_GENERIC_NODES = frozenset(
    "agent agents model llm chat chain call call_model call_llm chatmodel node step main default invoke generate tools "
    "runnable runnablesequence assistant openai chatopenai".split()
)
# English function words and the phrases that every prompt has; prompts in other languages keep all of their words, and
# are still told apart by what is rare among the tasks.
_EMPTY = frozenset(
    "a about above according act all also always an and any anything are as ask at based be been before below best but "
    "by can careful copy could do does don each either else every exactly expert few following for from given goal has "
    "have help helpful helps here how i if in inside into is it its just keep know like line make may more most must my "
    "need never no not nothing of off on one only or other our out output overall part please provide rather read "
    "refer reply respond return s same should single so some such t task than that the their them then there these they "
    "this those to top turn two use used user users using very was we what when where which while who will with without "
    "word words world would yes you your yourself role professional main answer response ai bot job front door called "
    "step notice system prompt instruction instructions context follow format formation capacity refers e g etc "
    "whether first last next new per via get give let null true false int str class type value values key keys".split()
)
_ROLE = re.compile(r"^\W*(?:you are|you're|act as|as an?|role)\b", re.IGNORECASE)


def names_for(
    sentences: Sequence[Sequence[str]],
    nodes: Sequence[tuple[str, ...]],
    tools: Sequence[Sequence[str]],
    taken: Iterable[str],
) -> list[str]:
    """A snake_case name for each task, unlike those in `taken` and each other.

    sentences: what is constant in each task's prompts, in order. nodes: the usual node, empty where unknown.
    tools: the names of the tools, most frequent first.
    """
    common = Counter(word for text in sentences for word in set(words(text)))
    used = set(taken)
    names: list[str] = []
    for text, node, offered in zip(sentences, nodes, tools, strict=True):
        said = _key_words(text, common, len(sentences))
        name = _unused(_candidates(_node_name(node), said, offered), used)
        used.add(name)
        names.append(name)
    return names


def _candidates(node: str, said: list[str], tools: Sequence[str]) -> list[str]:
    few = "_".join(said[:MAX_WORDS])
    called = "_".join(name_words(tools[:1])[:MAX_WORDS])
    found = [node, few, f"{node}_{few}" if node and few else "", "_".join(said[: MAX_WORDS + 2]), called]
    if few and called:
        found.append(f"{few}_{called}")
    return [name for name in found if name] or ["free_form"]


def _unused(candidates: list[str], used: set[str]) -> str:
    for name in candidates:
        if name not in used:
            return name
    n = 2
    while f"{candidates[0]}_{n}" in used:
        n += 1
    return f"{candidates[0]}_{n}"


def _node_name(node: tuple[str, ...]) -> str:
    """The innermost part of the node's path that says something."""
    for part in reversed(node):
        name = "_".join(name_words([part]))
        if name and name.lower() not in _GENERIC_NODES:
            return name
    return ""


def _key_words(text: Sequence[str], common: Counter[str], tasks: int) -> list[str]:
    """Words of the sentence that tells most: an instruction rather than a role, early, of words rare among tasks."""
    best: list[str] = []
    best_score = 0.0
    for place, sentence in enumerate(text[:6]):
        kept = list(dict.fromkeys(w for w in words([sentence]) if w not in _EMPTY and (len(w) > 1 or not w.isascii())))
        kept = [w for w in kept if common[w] <= max(1, 0.5 * tasks)][: MAX_WORDS + 2]
        score = min(len(kept), MAX_WORDS) * (0.6 if _ROLE.match(sentence) else 1.0) * 0.75**place
        if score > best_score:
            best, best_score = kept, score
    return best
