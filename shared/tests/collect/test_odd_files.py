"""What is odd in a file costs itself alone: no call is lost, none is taken for another, and nothing is unbounded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from protege import Call
from protege.collect import importing
from protege.collect.formats.base import Half, Span
from protege.collect.importing import Skipped, _Reading
from protege.collect.once import Once
from protege.collect.pairing import Pairing
from protege.errors import BadCall

ASKED = {"messages": [{"role": "user", "content": "hello"}]}
ANSWERED = {"choices": [{"message": {"role": "assistant", "content": "hi"}}]}


def items_of(tmp_path: Path, *documents: Any) -> tuple[list[Call], list[str], dict[str, int]]:
    """The calls in a file of these documents, why lines were skipped, and what was passed over."""
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b"".join(json.dumps(document).encode() + b"\n" for document in documents))
    reading = _Reading(None)
    items = list(reading.of([path]))
    calls = [item for item in items if isinstance(item, Call)]
    return calls, [item.reason for item in items if isinstance(item, Skipped)], dict(reading.passed)


def langsmith(n: int, **fields: Any) -> dict[str, Any]:
    run = {"id": f"r{n}", "run_type": "llm", "inputs": {"messages": [[{"role": "user", "content": f"ask {n}"}]]}}
    return {**run, "outputs": {"generations": [[{"text": f"answer {n}"}]]}, **fields}


def langfuse(n: int, **fields: Any) -> dict[str, Any]:
    told = {"id": f"g{n}", "type": "GENERATION", "parentObservationId": None, "modelParameters": {}}
    return {**told, "input": ASKED["messages"], "output": {"role": "assistant", "content": f"{n}"}, **fields}


def span(n: int, **fields: Any) -> dict[str, Any]:
    said = json.dumps([{"role": "user", "parts": [{"type": "text", "content": f"ask {n}"}]}])
    values = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": said}
    attributes = [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]
    return {"traceId": "t", "spanId": f"s{n}", "name": "chat", "attributes": attributes, **fields}


def test_a_key_of_two_batches_pairs_nothing() -> None:
    pairing = Pairing()
    request, answer = Half("k", {"messages": []}), Half("k", {"response": {}})
    assert pairing.add(request, "a", 1, 10) is None
    for half in (request, answer, answer, request):
        with pytest.raises(BadCall, match="another's too"):
            pairing.add(half, "b", 1, 10)
    ((file, line, reason),) = pairing.left()
    assert (file, line, "another's too" in reason) == ("a", 1, True)


def test_pairs_that_were_joined_wait_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protege.collect.pairing.MOST_HELD_BYTES", 25)
    pairing = Pairing()
    for n in range(9):
        assert pairing.add(Half(f"{n}", {"messages": [n]}), "a", n, 20) is None
        assert pairing.add(Half(f"{n}", {"response": n}), "b", n, 20) == {"messages": [n], "response": n}
    pairing.add(Half("x", {"messages": []}), "a", 1, 20)
    with pytest.raises(BadCall, match="too many requests"):
        pairing.add(Half("y", {"messages": []}), "a", 2, 20)


def _sharegpt(text: str) -> dict[str, Any]:
    return {"id": 1, "conversations": [{"from": "human", "value": text}, {"from": "gpt", "value": "yes"}]}


def _batch(text: str) -> dict[str, Any]:
    asked = {"messages": [{"role": "user", "content": text}]}
    return {"custom_id": "1", "body": asked, "response": {"body": ANSWERED}}


@pytest.mark.parametrize(
    "make",
    [
        lambda n: langsmith(n, id=None),
        lambda n: langsmith(n, id=""),
        lambda n: langfuse(n, id=""),
        lambda n: _sharegpt(f"text {n}"),
        lambda n: _batch(f"text {n}"),
        lambda n: {"id": f"line {n}", "request": ASKED, "response": {**ANSWERED, "id": "same"}},
    ],
    ids=["LangSmith without id", "LangSmith's empty id", "Langfuse", "ShareGPT", "batch", "pair"],
)
def test_different_calls_are_different_whatever_their_ids(tmp_path: Path, make: Callable[[int], Any]) -> None:
    calls, skipped, _ = items_of(tmp_path, make(1), make(2))
    assert skipped == []
    assert len({call.id for call in calls} - {""}) == 2


def test_what_waits_comes_out_of_a_file_that_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MOST_UNUSABLE", 3)
    calls, skipped, _ = items_of(tmp_path, langsmith(1), 7, 7, langsmith(2), 7, 7, langsmith(3), 7, 7, 7, langsmith(4))
    assert [call.id for call in calls] == ["r1", "r2", "r3"]
    assert skipped[-1] == "3 lines in a row hold no call; the rest is not read"


@pytest.mark.parametrize(
    "document",
    [
        {"resourceSpans": [None, {"scopeSpans": [{"spans": [span(1)]}]}]},
        {"resourceSpans": [{"scopeSpans": "odd"}, {"scopeSpans": [{"spans": [span(1)]}]}]},
        {"resourceSpans": [{"scopeSpans": [5, {"spans": [span(1)], "scope": "odd"}]}]},
        {"resourceSpans": [{"scopeSpans": [{"spans": {"a": 1}}, {"spans": [span(1)]}]}]},
        {"resourceSpans": [{"scopeSpans": [{"spans": ["odd", span(1)]}]}]},
        langsmith(1, child_runs=["odd"]),
        {"data": [{"context": 5, "attributes": {}}, langsmith(1)]},
    ],
)
def test_an_odd_part_costs_itself_alone(tmp_path: Path, document: dict[str, Any]) -> None:
    calls, skipped, _ = items_of(tmp_path, document)
    assert (len(calls), len(skipped)) == (1, 1)


def test_only_known_kinds_of_steps_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "_MOST_KINDS", 2)
    kinds = ["tool", "My name is Ann <ann@x.org>", "a" * 99, "chain", "retriever", "tool"]
    _, skipped, passed = items_of(tmp_path, *(langsmith(n, run_type=kind) for n, kind in enumerate(kinds)))
    assert (skipped, passed) == ([], {"tool step": 2, "chain step": 1, "another step": 3})


def _call(call_id: str, text: str = "hello") -> Call:
    return Call.from_record({"id": call_id, "messages": [{"role": "user", "content": text}]})


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        ([("in", "mid"), None, ("mid", "out", ""), ("out", "")], ["in"]),
        ([("in", "mid"), ("mid", "out", ""), None, ("out", "")], ["in"]),
        ([("in", "out"), None, ("out", "", "other words")], ["in", "out"]),
        ([("out", ""), ("in", "out"), None], ["in"]),
        ([("a", "b"), ("b", "a")], ["a"]),
        ([("a", ""), ("a", "", "other words")], ["a", "a"]),
    ],
    ids=["between after", "between before", "another call", "together", "circle", "one id twice"],
)
def test_a_call_is_taken_once_whenever_its_steps_come(steps: list[Any], left: list[str]) -> None:
    """None: what is held is released. A step with empty words is no call."""
    once = Once()
    released: list[Call] = []
    for step in [*steps, None]:
        if step is None:
            released += once.released()
            continue
        step_id, parent, *words = step
        if words == [""]:
            once.passed(Span(step_id, parent, None))
        else:
            once.hold(Span(step_id, parent, {}), _call(step_id, *words))
    assert [call.id for call in released] == left
