"""What comes from outside takes bounded time and memory: headers of GGUF files, SQL, fences, files of calls."""

from __future__ import annotations

import gzip
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from protege import Workspace
from protege.call import Call
from protege.cluster.answers import forms_of
from protege.cluster.tally import Tally
from protege.collect import collect, importing, json_files
from protege.errors import BaseModelError
from protege.evaluate.graders.code.grader import Code
from protege.evaluate.graders.sql.grader import Sql
from protege.evaluate.graders.sql.schema import schema_in
from protege.gguf.header import read_header

SECONDS = 1.0
"""On a busy machine; each takes milliseconds where it is linear, and minutes where it was not."""


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def head(*pairs: bytes, tensors: int = 0, tail: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, len(pairs)) + b"".join(pairs) + tail


@pytest.mark.parametrize(
    "body",
    [
        head(pair("x", 9, struct.pack("<IQ", 9, 1) * 3000 + struct.pack("<IQ", 4, 0))),
        head(pair("x", 9, struct.pack("<IQ", 0, 1 << 40))),
        head(pair("x", 9, struct.pack("<IQ", 8, 1 << 60))),
        head(pair("x", 8, struct.pack("<Q", 1 << 62))),
        head(pair("general.alignment", 8, text("abc"))),
        head(pair("llama.context_length", 6, struct.pack("<f", float("nan")))),
        head(pair("tokenizer.ggml.tokens", 4, struct.pack("<I", 7))),
        head(pair("tokenizer.ggml.eos_token_id", 5, struct.pack("<i", -9))),
        head(tensors=1 << 60),
        head(tensors=1, tail=text("t") + struct.pack("<I", 40_000) + struct.pack("<Q", 2**63) * 40_000 + bytes(12)),
    ],
)
def test_a_gguf_header_that_no_model_has_is_refused_at_once(tmp_path: Path, body: bytes) -> None:
    file = tmp_path / "m.gguf"
    with file.open("wb") as written:
        written.write(body)
        written.truncate(100_000_000)  # sparse: what it announces could be in it
    tracemalloc.start()
    began = time.thread_time()
    with pytest.raises(BaseModelError):
        read_header(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.thread_time() - began < SECONDS and peak < 50_000_000


def answered(content: str) -> Call:
    response = {"role": "assistant", "content": content}
    return Call.from_record({"messages": [{"role": "user", "content": "x"}], "response": response})


@pytest.mark.parametrize("n", [8_000, 64_000])
@pytest.mark.parametrize(
    "work",
    [
        lambda n: Sql().agree("/**/" * n + "x", "SELECT 1"),
        lambda n: Sql().agree("--\n" * n + "x", "SELECT 1"),
        lambda n: Sql().agree("/*" * n, "SELECT 1"),
        lambda n: Sql().agree("SELECT " + "(" * n, "SELECT 1"),
        lambda n: Sql().agree("SELECT " + "CASE WHEN a THEN " * n, "SELECT 1"),
        lambda n: schema_in("create table a (" * (n // 8)),
        lambda n: forms_of([answered("```" + " " * n + "x")]),
        lambda n: forms_of([answered("```\n" + "\n " * n + "x```")]),
        lambda n: Tally().add(answered("```\n" + " \n" * n + "x")),
        lambda n: Tally().add(answered("```" + "a" * n)),
        lambda n: Code().agree("```" + "a" * n + "```", "```py\nx\n```"),
    ],
)
def test_hostile_repeats_take_linear_time(work: Callable[[int], object], n: int) -> None:
    began = time.thread_time()
    work(n)
    assert time.thread_time() - began < SECONDS


GOOD = orjson.dumps({"id": "good", "messages": [{"role": "user", "content": "x"}]}) + b"\n"


def test_a_line_that_is_too_long_is_named_and_the_next_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_files, "MOST_BYTES", 10_000)
    file = tmp_path / "bomb.jsonl.gz"
    file.write_bytes(gzip.compress(b'{"messages":"' + b"a" * 3_000_000 + b'"}\n' + GOOD))
    result = collect(Workspace(tmp_path / "home"), [file], form="calls")
    assert (result.added, result.unusable, result.skipped[0].line) == (1, 1, 1)
    assert "longer than" in result.skipped[0].reason


@pytest.mark.parametrize("first", [b"{\n", b'{"a": [\n', b"x,\n"])
def test_a_document_over_many_lines_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bytes) -> None:
    monkeypatch.setattr(json_files, "MOST_BYTES", 10_000)
    monkeypatch.setattr(importing, "MOST_UNUSABLE", 5_000)
    file = tmp_path / "bomb.jsonl.gz"
    file.write_bytes(gzip.compress(first + b'"a",\n' * 1_000_000))
    result = collect(Workspace(tmp_path / "home"), [file], form="calls")
    assert result.added == 0 and len(result.skipped) <= importing.MOST_SKIPPED and result.unusable <= 5_001


def test_a_file_of_blank_lines_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_files, "MOST_PASSED_BYTES", 100_000)
    file = tmp_path / "bomb.jsonl.gz"
    file.write_bytes(gzip.compress(GOOD + b"\n" * 5_000_000 + GOOD))
    began = time.thread_time()
    result = collect(Workspace(tmp_path / "home"), [file], form="calls")
    assert result.added == 1 and "not read" in result.skipped[-1].reason and time.thread_time() - began < SECONDS
