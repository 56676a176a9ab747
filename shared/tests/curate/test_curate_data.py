"""Curation of real recorded calls."""

from __future__ import annotations

import functools
import gzip
import itertools
import re
from collections import Counter, defaultdict
from pathlib import Path

import orjson
import pytest
from protege.call import Call
from protege.curate import curate as curate_with
from protege.redact import RedactionPolicy
from protege.task import Task, Template, TemplatePart

curate = functools.partial(curate_with, policy=RedactionPolicy(types=frozenset(), model=False))
"""Without the search for personal data, which takes most of the time and finds names in words made by chance."""

DATA = Path(__file__).parents[4] / "shared" / "data" / "mixed_train.jsonl.gz"
TICKET = TemplatePart(1, "user", prefix="Ticket: ")

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not on this machine"),
]


def tickets() -> list[Call]:
    with gzip.open(DATA, "rb") as file:
        records = (orjson.loads(line) for line in file)
        return [Call.from_record(r) for r in records if r["task"] == "support_ticket_triage_json"]


def test_the_support_tickets_leave_250_calls_to_calibrate_on_and_no_prompt_in_two_parts():
    calls = tickets()
    lines = tuple(str(calls[0].request.messages[0]["content"]).split("\n"))
    parts = (TemplatePart(0, "system", lines), TemplatePart(1, "user", prefix="Ticket: "))
    curated = curate(Task("t", "ticket", "json", templates=(Template("s", parts),)), calls)
    assert len(curated.calibration) >= 250
    assert len(curated.train) >= 400
    found: dict[str, set[str]] = defaultdict(set)
    for name, part in curated.parts.items():
        for request in part["request"]:
            text = orjson.loads(request)["messages"][1]["content"]
            found[" ".join("".join(c if c.isalnum() else " " for c in text.lower()).split())].add(name)
    assert all(len(names) == 1 for names in found.values())


def test_no_two_tickets_of_which_one_gives_the_other_away_stand_in_two_parts():
    """Every pair compared, exactly: similarity .8 and more, by 4-character pieces that not 30% of the tickets hold."""
    calls = tickets()
    parts = (TemplatePart(0, "system", tuple(str(calls[0].request.messages[0]["content"]).split("\n"))),)
    curated = curate(Task("t", "ticket", "json", templates=(Template("s", (*parts, TICKET)),)), calls)
    part = {i: name for name, rows in curated.parts.items() for i in rows["id"]}
    texts = {c.id: f"   {folded(c)}   " for c in calls if c.id in part}
    pieces = {i: {text[at : at + 4] for at in range(len(text) - 3)} for i, text in texts.items()}
    held = Counter(piece for own in pieces.values() for piece in own)
    left = {i: {piece for piece in own if held[piece] <= 0.3 * len(texts)} for i, own in pieces.items()}
    alike = [
        (one, other)
        for one, other in itertools.combinations([i for i in left if len(left[i]) >= 8], 2)
        if len(left[one] & left[other]) >= 0.8 * len(left[one] | left[other])
    ]
    assert len(alike) >= 10
    assert not [pair for pair in alike if part[pair[0]] != part[pair[1]]]


def folded(call: Call) -> str:
    slot = str(call.request.messages[1]["content"]).removeprefix("Ticket: ")
    return " ".join(re.findall(r"[^\W_]+", slot.casefold()))
