"""Recorded calls as other agents would have made them: for scoring discovery on what it was not made with.

Each function takes calls with their kinds and a seed, and gives the same calls changed. The kinds say which calls share
a prompt, so that one rewording holds for a whole prompt; discovery never sees them.
"""

from __future__ import annotations

import random
import re
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from protege import Call
from protege.call import Message, text_of

Rows = Sequence[tuple[Call, str]]
Variant = Callable[[Rows, int], list[tuple[Call, str]]]

_AUTHOR = ("system", "developer")
_SENTENCE = re.compile(r"(?<=[.!?])[ \t]+(?=[A-Z])")
_WORD = re.compile(r"[A-Za-z]+")
SYNONYMS = {
    pair[0]: pair[1]
    for pair in (
        line.split()
        for line in """answer reply
        reply respond
        return produce
        output give
        write compose
        extract pull
        read examine
        classify categorise
        decide determine
        detect spot
        choose select
        call invoke
        use employ
        given provided
        message note
        customer client
        guest visitor
        user person
        request query
        question enquiry
        helpful useful
        assistant helper
        exactly precisely
        only solely
        single one
        following subsequent
        list enumeration
        keys fields
        key field
        name title
        natural fluent
        sentence phrase
        short brief
        careful thorough
        problem exercise
        solve work
        finish end
        correct right
        details particulars
        available offered
        required needed
        missing absent
        confirm verify
        describe state
        describing stating
        otherwise else
        nothing none
        step stage
        tell inform
        translate convert
        inside within
        supports covers
        word term
        found present
        include contain
        tools functions
        tool function
        functions routines
        function routine""".splitlines()
    )
}


def plain(rows: Rows, seed: int) -> list[tuple[Call, str]]:
    """The calls as they are."""
    return list(rows)


def without_system(rows: Rows, seed: int) -> list[tuple[Call, str]]:
    """No system message in any call."""
    return [
        (_with(call, [m for m in call.request.messages if m.get("role") not in _AUTHOR]), kind) for call, kind in rows
    ]


def perturbed(rows: Rows, seed: int) -> list[tuple[Call, str]]:
    """Other white space in every message; a date, an id and examples of the same step in every prompt."""
    made = random.Random(seed)
    pool: dict[str, list[Call]] = defaultdict(list)
    for call, kind in rows:
        pool[kind].append(call)
    return [(_perturbed(call, pool[kind], made), kind) for call, kind in rows]


def reworded(rows: Rows, seed: int) -> list[tuple[Call, str]]:
    """Half of each prompt's calls, with its system text in other words and its sentences in another order; no node."""
    made = random.Random(seed)
    changed: list[tuple[Call, str]] = []
    for call, kind in rows:
        messages: list[Message] = list(call.request.messages)
        if made.random() < 0.5:
            order = random.Random(f"{seed}-{kind}")
            messages = [
                {**m, "content": reworded_text(text_of(m), order.random())} if m.get("role") in _AUTHOR else m
                for m in messages
            ]
        call = _with(call, messages)
        changed.append((replace(call, request=replace(call.request, node=())), kind))
    return changed


VARIANTS: Mapping[str, Variant] = {
    "plain": plain,
    "no-system": without_system,
    "perturbed": perturbed,
    "reworded": reworded,
}


def reworded_text(text: str, seed: float) -> str:
    """Each word that has a synonym replaced by it, the sentences of each line shuffled; the same for the same seed."""
    made = random.Random(seed)
    lines: list[str] = []
    for line in text.split("\n"):
        parts = _SENTENCE.split(line)
        made.shuffle(parts)
        lines.append(" ".join(parts))
    return _WORD.sub(_synonym, "\n".join(lines))


def _synonym(match: re.Match[str]) -> str:
    word = match[0]
    found = SYNONYMS.get(word.lower(), word)
    return found.capitalize() if word[0].isupper() and word != found else found


def _perturbed(call: Call, like: Sequence[Call], made: random.Random) -> Call:
    messages: list[Message] = [dict(m) for m in call.request.messages]
    first = next((i for i, m in enumerate(messages) if m.get("role") in _AUTHOR), None)
    if first is None:
        first = next((i for i, m in enumerate(messages) if m.get("role") == "user"), 0)
    for i, message in enumerate(messages):
        if not isinstance(message.get("content"), str) or message.get("role") == "assistant":
            continue
        text = _spaced(text_of(message), made)
        if i == first:
            text = "\n".join([*_dated(made), text, *_examples(like, made)] if made.random() < 0.5 else [text])
        messages[i] = {**message, "content": text}
    return _with(call, messages)


def _spaced(text: str, made: random.Random) -> str:
    """White space changed at a few places."""
    parts = re.split(r"(\s+)", text)
    for i in range(1, len(parts), 2):
        if made.random() < 0.1:
            parts[i] = made.choice(("\n\n", " \n", "\n  ") if "\n" in parts[i] else ("  ", " \t", "\n", " \u00a0"))
    return "".join(parts) + made.choice(("", "", " ", "\n"))


def _dated(made: random.Random) -> list[str]:
    when = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=made.randrange(60_000_000))
    written = made.choice(("%Y-%m-%d", "%A, %d %B %Y", "%d/%m/%Y %H:%M", "%b %d, %Y at %I:%M %p"))
    return [f"Today is {when.strftime(written)}.", f"Request id: {uuid.UUID(int=made.getrandbits(128))}"]


def _examples(like: Sequence[Call], made: random.Random) -> list[str]:
    """None to three calls of the same step, as examples."""
    lines: list[str] = []
    for call in made.sample(like, min(len(like), made.randrange(4))):
        asked = next((text_of(m) for m in call.request.messages if m.get("role") == "user"), "")
        lines += [f"Example input: {asked[:600]}", f"Example output: {text_of(call.response or {})[:300]}"]
    return lines


def _with(call: Call, messages: Sequence[Message]) -> Call:
    return replace(call, request=replace(call.request, messages=tuple(messages)))
