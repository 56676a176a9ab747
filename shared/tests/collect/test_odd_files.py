"""What is odd in a file costs itself alone: no call is lost, none is taken for another, and nothing is unbounded."""

from __future__ import annotations

import gzip
import io
import json
import random
import tracemalloc
import zipfile
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import zstandard
from protege import Call, Workspace
from protege.collect import collect, importing, json_files, json_lists
from protege.collect.formats.base import Half, Span
from protege.collect.formats.figures import times
from protege.collect.importing import Skipped, _Reading
from protege.collect.once import Once
from protege.collect.pairing import Pairing
from protege.errors import BadCall, BadInput

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


@pytest.mark.parametrize(
    "line", [b"\x0b\x8e", b"\xb1\x0c", b"\x0b{", b",\x0b,\x1e", b"\x85 {,", b"\x1e" * 9_000 + b"\x0b"]
)
def test_a_line_between_odd_blanks_costs_itself_alone(tmp_path: Path, line: bytes) -> None:
    good = json.dumps({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}).encode()
    path = tmp_path / "calls.jsonl"
    path.write_bytes(good + b"\n" + line + b"\n" + good.replace(b'"a"', b'"c"') + b"\n")
    items = list(_Reading(None).of([path]))
    assert [type(item) for item in items] == [Call, Skipped, Call]


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


def _line(n: int, **fields: Any) -> bytes:
    record = {"id": f"c{n}", **ASKED, "response": {"role": "assistant", "content": "hi"}}
    return json.dumps({**record, **fields}).encode() + b"\n"


def _damaged(method: int) -> bytes:
    """A zip of three members, the second of which is not what it says."""
    buffer = io.BytesIO()
    middle = b"".join(_line(n, x=f"{n * n}") for n in range(100, 200))
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("/etc/first.jsonl", _line(1))
        archive.writestr("second.jsonl", middle)
        archive.writestr("third.jsonl", _line(3))
        second, third = archive.infolist()[1:]
    data = bytearray(buffer.getvalue())
    begin = second.header_offset + 30 + len(second.filename)
    data[begin + 9 : third.header_offset] = bytes(third.header_offset - begin - 9)
    return bytes(data)


def _zip(second: bytes, flag: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("first.jsonl", _line(1))
        archive.writestr("second.jsonl", second)
        archive.writestr("third.jsonl", _line(3))
    data = buffer.getvalue()
    at = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1) + 8
    return data[:at] + bytes([data[at] | flag]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (_damaged(zipfile.ZIP_STORED), "cut off or damaged here; copy it again"),
        (_damaged(zipfile.ZIP_DEFLATED), "cut off or damaged here; copy it again"),
        (_damaged(zipfile.ZIP_BZIP2), "cut off or damaged here; copy it again"),
        (_damaged(zipfile.ZIP_LZMA), "cut off or damaged here; copy it again"),
        (_zip(_line(2), flag=1), "it is encrypted. Unpack it"),
        (_zip(_line(2).decode().encode("utf-16") + b"\x00"), "cut off here, or is not the UTF-16"),
    ],
    ids=["stored", "deflate", "bzip2", "lzma", "encrypted", "UTF-16"],
)
def test_a_damaged_member_of_a_zip_costs_itself_alone(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "calls.zip"
    path.write_bytes(content)
    result = collect(Workspace(tmp_path / "home"), [path])
    assert result.read in range(2, 102)
    assert reason in result.skipped[-1].reason
    assert {skipped.file for skipped in result.skipped} == {path / "second.jsonl"}


def test_a_zip_is_refused_where_nothing_in_it_can_be_read_and_its_names_stay_within(tmp_path: Path) -> None:
    path = tmp_path / "calls.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("/etc/passwd", b"odd\n")
    ((skipped,), *_) = [list(_Reading(None).of([path]))]
    assert isinstance(skipped, Skipped)
    assert skipped.file == path / "etc/passwd"
    data = path.read_bytes()
    at = data.index(b"PK\x01\x02") + 8
    path.write_bytes(data[:at] + b"\x01" + data[at + 1 :])
    with pytest.raises(BadInput, match=r"holds no file that can be read\..*encrypted"):
        collect(Workspace(tmp_path / "home"), [path])


def test_damaged_zstd_gives_what_comes_before(tmp_path: Path) -> None:
    noise = random.Random(1)
    whole = zstandard.ZstdCompressor().compress(b"".join(_line(n, x=noise.randbytes(1000).hex()) for n in range(300)))
    path = tmp_path / "calls.zst"
    path.write_bytes(whole + b"\x28\xb5\x2f\xfd" + b"\xff" * 40)
    result = collect(Workspace(tmp_path / "home"), [path])
    assert 0 < result.read <= 300
    assert "damaged here" in result.skipped[-1].reason


def test_what_holds_no_call_is_bounded_over_all_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_files, "MOST_PASSED_BYTES", 1000)
    path = tmp_path / "calls.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for n in range(20):
            archive.writestr(f"{n:02}", b"\n" * 5 + _line(n))
    items = list(_Reading(None).of([path]))
    assert [type(item) for item in items] == [Call, Call, Call, Skipped]


@pytest.mark.parametrize("inside", [b"\n", b"0", b"{"])
@pytest.mark.parametrize("name", ["calls.gz", "calls.zst", "calls.zip"])
def test_a_bomb_is_read_neither_into_memory_nor_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, inside: bytes
) -> None:
    """8 MB of the same, packed into a few kilobytes; the bounds are a four-thousandth of the real ones."""
    monkeypatch.setattr(json_files, "MOST_BYTES", 8 << 10)
    monkeypatch.setattr(json_files, "MOST_PASSED_BYTES", 512 << 10)
    path, bomb = tmp_path / name, inside * ((8 << 20) // len(inside))
    if name.endswith("zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("calls.jsonl", bomb)
            archive.writestr("more.jsonl", bomb)
    else:
        path.write_bytes(gzip.compress(bomb, 1) if name.endswith("gz") else zstandard.ZstdCompressor().compress(bomb))
    del bomb
    tracemalloc.start()
    try:
        items = list(_Reading(None).of([path]))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert items and all(isinstance(item, Skipped) for item in items)
    assert peak < 4 << 20


def test_an_item_without_an_end_is_not_read_to_the_end() -> None:
    for within in (b"1,", b'"'):
        file = io.BytesIO(b'[1,["' + within * 3_000_000)
        with pytest.raises(json_lists.Endless):
            list(json_lists.items(file, 100_000))
        assert file.tell() <= 3 << 20


def test_a_file_is_stored_in_batches_of_calls_and_of_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "_BATCH_BYTES", 300)
    monkeypatch.setattr(importing, "_BATCH", 4)
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b"".join(chain((_line(n, x="x" * 200) for n in range(2)), (_line(n) for n in range(9)))))
    reading = _Reading(None)
    items = reading.of([path])
    sizes = [len(batch) for batch in iter(lambda: reading.batch(items), [])]
    assert sum(sizes) == 11
    assert max(sizes) <= 4
    assert sizes[0] == 1


@pytest.mark.parametrize(
    "odd",
    [
        {"cost_usd": "much"}, {"cost_usd": float("nan")}, {"latency_ms": -1}, {"time": "yesterday"}, {"time": 1e99},
        {"ttft_ms": []}, {"usage": {"prompt_tokens": -1}}, {"usage": {"input_tokens": "many"}}, {"usage": "much"},
    ],
)  # fmt: skip
def test_a_figure_that_cannot_be_costs_itself_alone(tmp_path: Path, odd: dict[str, Any]) -> None:
    right = {"cost_usd": 0.5, "latency_ms": 7.0, "time": 1.7e9, "ttft_ms": 3.0, "usage": {"output_tokens": 9}}
    (call,), skipped, _ = items_of(tmp_path, json.loads(_line(1, **{**right, **odd})))
    assert skipped == []
    told = {name: getattr(call, name) for name in right if name != "usage"}
    expected = {name: value for name, value in right.items() if name != "usage"} | dict.fromkeys(odd)
    assert told == {name: value for name, value in expected.items() if name != "usage"}
    assert call.output_tokens == (None if "usage" in odd else 9)


@pytest.mark.parametrize(
    "document",
    [
        {"call_type": "acompletion", "spend": "much", "messages": ASKED["messages"], "response": ANSWERED},
        langfuse(1, calculatedTotalCost="nan", startTime="soon", usageDetails={"input": -1, "input_tokens": -1}),
        langsmith(1, total_cost="inf", start_time="soon", prompt_tokens=-1),
        {"resourceSpans": [{"scopeSpans": [{"spans": [span(1, startTimeUnixNano="soon", endTimeUnixNano=[])]}]}]},
    ],
    ids=["LiteLLM", "Langfuse", "LangSmith", "OTLP"],
)
def test_odd_figures_of_a_tracer_cost_no_call(tmp_path: Path, document: dict[str, Any]) -> None:
    (call,), skipped, _ = items_of(tmp_path, document)
    assert (skipped, call.cost_usd, call.time, call.input_tokens) == ([], None, None, None)


def test_a_cost_that_is_written_as_a_text_is_a_cost(tmp_path: Path) -> None:
    row = {"call_type": "acompletion", "spend": "0.1", "messages": ASKED["messages"], "response": ANSWERED}
    (call,), skipped, _ = items_of(tmp_path, row)
    assert (skipped, call.cost_usd) == ([], 0.1)


def test_each_time_of_a_trace_stands_by_itself() -> None:
    assert times("2026-01-01T00:00:00Z", "later", "2026-01-01T00:00:01Z") == {"time": 1767225600.0, "ttft_ms": 1000.0}
    assert times("once", "2026-01-01T00:00:01Z") == {}
