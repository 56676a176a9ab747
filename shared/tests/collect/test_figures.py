"""Times, costs and tokens in the units and words of others, and files as other programs write them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from protege import Call
from protege.collect.formats.figures import time_or_none
from protege.collect.importing import Skipped, _Reading
from protege.common.usage import Tokens, tokens_used

MAY = 1_777_629_600.0
LINE = {"messages": [{"role": "user", "content": "hi"}], "response": {"role": "assistant", "content": "yo"}}


def read(path: Path, content: bytes) -> tuple[list[Call], list[str]]:
    path.write_bytes(content)
    items = list(_Reading(None).of([path]))
    return [item for item in items if isinstance(item, Call)], [i.reason for i in items if isinstance(i, Skipped)]


@pytest.mark.parametrize(
    "written",
    [
        MAY, 1777629600, "1777629600", 1777629600000, "1777629600000.0", 1777629600000000, 1777629600000000000,
        "1.7776296e9", "2026-05-01T10:00:00Z", "2026-05-01T10:00:00.000000000Z", "2026-05-01T12:00:00+0200",
        "2026-05-01T12:00:00+02", "2026-05-01 10:00:00 UTC", "2026-05-01 10:00:00.000+00:00 ", "20260501T100000Z",
        "Fri, 01 May 2026 10:00:00 GMT", "Fri, 1 May 2026 12:00:00 +0200", "2026/05/01 10:00:00",
        "2026-05-01T10:00:00Z[UTC]", {"$date": "2026-05-01T10:00:00Z"}, {"$date": {"$numberLong": "1777629600000"}},
        {"seconds": "1777629600", "nanos": 0},
    ],
)  # fmt: skip
def test_a_time_is_read_in_everybody_s_words(written: Any) -> None:
    assert time_or_none(written) == MAY


@pytest.mark.parametrize(
    "written", [-1, "0001-01-01T00:00:00Z", "soon", ", ", "2026/13/41", {}, {"$date": {}}, [], 1e99]
)
def test_what_is_no_time_is_none(written: Any) -> None:
    assert time_or_none(written) is None


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"inputTokens": 9, "inputTokenDetails": {"cacheReadTokens": 4, "cacheWriteTokens": 1}, "outputTokens": 5,
          "outputTokenDetails": {"reasoningTokens": 2}}, Tokens(9, 5, 4, 1, 2)),
        ({"inputTokens": {"total": 9, "cacheRead": 4}, "outputTokens": {"total": 5, "reasoning": 2}},
         Tokens(9, 5, 4, None, 2)),
        ({"billed_units": {"input_tokens": 1}, "tokens": {"input_tokens": 9, "output_tokens": 5}}, Tokens(9, 5)),
        ({"request_tokens": 9, "response_tokens": 5, "details": {"cached_tokens": 4}}, Tokens(9, 5, 4)),
        ({"prompt_tokens": 9, "completion_tokens": 5, "num_cached_tokens": 4}, Tokens(9, 5, 4)),
        ({"gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": 5}, Tokens(9, 5)),
        ({"promptTokenCount": 9, "toolUsePromptTokenCount": 3, "candidatesTokenCount": 5, "thoughtsTokenCount": 2},
         Tokens(12, 7, None, None, 2)),
    ],
)  # fmt: skip
def test_tokens_are_read_in_everybody_s_words(usage: dict[str, Any], expected: Tokens) -> None:
    assert tokens_used(usage) == expected


def test_figures_that_are_written_as_texts_are_figures(tmp_path: Path) -> None:
    said = {"cost_usd": "0.25", "latency_ms": "812.5", "ttft_ms": "12", "time": {"$date": 1777629600000}}
    line = {**LINE, **said, "usage": {"prompt_tokens": "9", "completion_tokens": "5"}}
    (call,), skipped = read(tmp_path / "f.jsonl", json.dumps(line).encode())
    assert not skipped and (call.cost_usd, call.latency_ms, call.ttft_ms, call.time) == (0.25, 812.5, 12.0, MAY)
    assert (call.input_tokens, call.output_tokens) == (9, 5)


def lines(indent: int | None = None) -> list[bytes]:
    return [json.dumps({"id": f"c{n}", **LINE}, indent=indent).encode() for n in range(3)]


COMPACT, SPREAD = lines(), lines(2)
FILES: dict[str, bytes] = {
    "as jq writes them": b"\n".join(SPREAD) + b"\n",
    "with carriage returns": b"\r\n".join(SPREAD).replace(b"\n", b"\r\n"),
    "a list without brackets": b",\n".join(SPREAD),
    "packed": gzip.compress(b"\n\n".join(SPREAD)),
    "lines with commas": b",\n".join(COMPACT) + b",\n",
    "RFC 7464": b"".join(b"\x1e" + line + b"\n" for line in COMPACT),
    "lines after one over many": b"\n".join([SPREAD[0], *COMPACT[1:]]),
}


@pytest.mark.parametrize("name", FILES)
def test_documents_may_stand_over_many_lines_and_be_parted_otherwise(tmp_path: Path, name: str) -> None:
    calls, skipped = read(tmp_path / "f.json", FILES[name])
    assert ([call.id for call in calls], skipped) == (["c0", "c1", "c2"], [])


def test_a_document_over_many_lines_that_is_cut_off_costs_what_follows_it_at_most(tmp_path: Path) -> None:
    calls, skipped = read(tmp_path / "f.json", b"\n".join([SPREAD[0], SPREAD[1][:40], SPREAD[2]]))
    assert calls[0].id == "c0" and len(calls) + len(skipped) >= 2
    calls, skipped = read(tmp_path / "f.json", b"\n".join([SPREAD[0], SPREAD[1], SPREAD[2][:40]]))
    assert [call.id for call in calls] == ["c0", "c1"] and skipped == ["not JSON, or cut off"]


@pytest.mark.parametrize(
    "message", [LINE["response"], {"role": "user", "parts": [{"text": "hi"}]}, {"kind": "request", "parts": []}]
)
def test_a_message_by_itself_is_named(tmp_path: Path, message: Any) -> None:
    calls, skipped = read(tmp_path / "f.json", json.dumps([message]).encode())
    assert not calls and skipped == ["a message by itself; write a line with messages and response for each call"]
