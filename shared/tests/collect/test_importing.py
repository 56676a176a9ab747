"""Importing files: every form, every fault of a line or a file, and a second time nothing."""

from __future__ import annotations

import gzip
import json
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from protege import Workspace
from protege.collect import Collected, collect
from protege.common.progress import Bar
from protege.errors import BadInput


def call(text: str = "hello", **fields: Any) -> dict[str, Any]:
    answer = {"role": "assistant", "content": "hi"}
    return {"messages": [{"role": "user", "content": text}], "response": answer, **fields}


def lines(*records: Any) -> bytes:
    return b"".join(r if isinstance(r, bytes) else json.dumps(r).encode() + b"\n" for r in records)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "home")


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(content: bytes, name: str = "calls.jsonl") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def reasons(result: Collected) -> list[tuple[int, str]]:
    return [(skipped.line, skipped.reason) for skipped in result.skipped]


def test_a_file_that_lost_its_first_line_holds_no_call_that_is_new(workspace: Workspace, write: Any) -> None:
    """Copies would calibrate as if they were calls of their own."""
    said = [call("a"), call("b"), call("b"), call("c")]
    assert collect(workspace, [write(lines(*said))]).added == 4
    assert collect(workspace, [write(lines(*said[1:]))]).added == 0


def test_calls_are_read_once_and_only_once(workspace: Workspace, write: Any) -> None:
    path = write(lines(call("a", id="1", run="r", node=["x"], latency_ms=3.5), call("b")))
    result = collect(workspace, [path])
    assert (result.read, result.added, result.skipped, result.files) == (2, 2, (), (path,))
    assert collect(workspace, [path]).added == 0
    first, second = workspace.calls()
    assert (first.id, first.run, first.node, first.latency_ms) == ("1", "r", ("x",), 3.5)
    assert second.id == f"{second.content_hash[:32]}-1"


def test_repeats_without_ids_count_as_volume(workspace: Workspace, write: Any) -> None:
    path = write(lines(call(), call(), call()))
    assert collect(workspace, [path]).added == 3
    assert collect(workspace, [path]).added == 0


@pytest.mark.parametrize("name", ["calls.jsonl.gz", "calls.jsonl"])
def test_compressed_files_are_known_by_their_content(workspace: Workspace, write: Any, name: str) -> None:
    assert collect(workspace, [write(gzip.compress(lines(call())), name)]).added == 1


def test_a_byte_order_mark_windows_lines_and_blank_lines_do_no_harm(workspace: Workspace, write: Any) -> None:
    content = b"\xef\xbb\xbf" + lines(call("a"), b"\r\n", b"   \n", call("b")).replace(b"\n", b"\r\n")
    result = collect(workspace, [write(content)])
    assert (result.added, result.skipped) == (2, ())


def test_answer_keys_are_dropped(workspace: Workspace, write: Any) -> None:
    keys = ("task", "agent", "split", "template_version", "source", "licence", "gold_accept")
    collect(workspace, [write(lines(call(**dict.fromkeys(keys, "the answer"))))])
    (stored,) = workspace.calls()
    assert "the answer" not in json.dumps(stored.to_record())


def test_secrets_are_masked_in_imports_too(workspace: Workspace, write: Any) -> None:
    secret = "ghp_" + "a1B2" * 9
    collect(workspace, [write(lines(call(f"use {secret}")))])
    (stored,) = workspace.calls()
    assert stored.request.messages[0]["content"] == "use [masked:github_token]"


def test_costs_are_filled_in(workspace: Workspace, write: Any) -> None:
    used = {"prompt_tokens": 1000, "completion_tokens": 100}
    collect(workspace, [write(lines(call(model="gpt-4o", usage=used), call(model="gold-label", usage=used)))])
    assert [stored.cost_usd for stored in workspace.calls()] == [pytest.approx(0.0035), None]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"hello\n", "not JSON"),
        (lines(call())[:-9] + b"\n", "not JSON, or cut off"),
        (b'{"messages": [\n', "not JSON, or cut off"),
        (b'{"messages": "\xff\xfe"}\n', "not valid UTF-8"),
        (b'"text"\n', "not a JSON object"),
        (b"{}\n", "messages is missing or is not a list of messages"),
        (lines({"messages": [], "response": None}), "messages is missing or is not a list of messages"),
        (lines(call(response=7)), "not a JSON object"),
        (lines(call(response=[1])), "response is a list, but not of stream chunks or answers"),
        (lines(call(node=5)), "node is neither a name nor a list of names"),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_bad_line_is_named_and_the_rest_is_kept(
    workspace: Workspace, write: Any, bad: bytes, reason: str, place: int
) -> None:
    good = [lines(call("a", id="a")), lines(call("b", id="b"))]
    path = write(b"".join([*good[:place], bad, *good[place:]]))
    result = collect(workspace, [path])
    assert (result.read, result.added) == (2, 2)
    assert reasons(result) == [(place + 1, reason)]
    assert result.skipped[0].file == path


def test_strict_stops_at_a_bad_line_and_adds_nothing_at_all(workspace: Workspace, write: Any) -> None:
    good = write(lines(call("a")), "good.jsonl")
    bad = write(lines(call("b"), b"oops\n", call("c")), "bad.jsonl")
    with pytest.raises(BadInput, match=r"bad\.jsonl, line 2: not JSON"):
        collect(workspace, [good, bad], strict=True)
    assert workspace.count_calls() == 0
    assert collect(workspace, [good], strict=True).added == 1


@pytest.mark.parametrize(
    ("content", "fact"),
    [(b"", "is empty"), (b" \n\n", "is empty"), (gzip.compress(b""), "is empty"), (b"PAR1\0", "is a Parquet table")],
)
def test_a_file_with_nothing_to_read_is_refused(workspace: Workspace, write: Any, content: bytes, fact: str) -> None:
    with pytest.raises(BadInput, match=fact):
        collect(workspace, [write(content)])


def test_missing_files_and_folders_are_refused_before_anything_is_added(
    workspace: Workspace, write: Any, tmp_path: Path
) -> None:
    good = write(lines(call()))
    with pytest.raises(BadInput, match="does not exist"):
        collect(workspace, [good, tmp_path / "nowhere.jsonl"])
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInput, match="is a folder without files of calls"):
        collect(workspace, [good, tmp_path / "folder"])
    assert workspace.count_calls() == 0


def test_a_compressed_file_that_is_cut_off_gives_what_is_left_of_it(workspace: Workspace, write: Any) -> None:
    whole = gzip.compress(lines(*(call(f"{n} {hash(str(n))}") for n in range(2000))))
    result = collect(workspace, [write(whole[: len(whole) // 2], "calls.jsonl.gz")])
    assert 0 < result.added < 2000
    assert result.skipped[-1].reason == "the compressed file is cut off or damaged here; copy it again"


def test_gzip_in_name_only_or_damaged_at_once_is_refused(workspace: Workspace, write: Any) -> None:
    assert collect(workspace, [write(lines(call()), "plain.jsonl.gz")]).added == 1
    with pytest.raises(BadInput, match="cut off or is not what"):
        collect(workspace, [write(b"\x1f\x8b" + b"\0" * 40)])


def test_streams_in_a_file_are_put_together(workspace: Workspace, write: Any) -> None:
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
        {"choices": [{"index": 0, "delta": {"content": "good"}}]},
        {"choices": [{"index": 0, "delta": {"content": "bye"}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}},
    ]
    collect(workspace, [write(lines(call(response=chunks)))])
    (stored,) = workspace.calls()
    assert stored.response == {"role": "assistant", "content": "goodbye"}
    assert (stored.finish_reason, stored.input_tokens, stored.output_tokens) == ("stop", 7, 2)


def test_progress_reaches_the_whole_of_all_files(workspace: Workspace, write: Any) -> None:
    class Counting:
        total = done = 0.0

        @contextmanager
        def step(self, name: str, total: float | None = None) -> Iterator[Bar]:
            self.total = total or 0
            yield self

        def advance(self, amount: float = 1, note: str = "") -> None:
            self.done += amount

    progress = Counting()
    files = [write(lines(*(call(str(n)) for n in range(3000))), "a.jsonl"), write(gzip.compress(lines(call())), "b.gz")]
    collect(workspace, files, progress=progress)
    assert progress.total == progress.done == sum(path.stat().st_size for path in files)


# OpenAI chat fine-tuning files


def tuning(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"messages": list(messages), **fields}


USER = {"role": "user", "content": "2 + 2?"}
WRONG = {"role": "assistant", "content": "5", "weight": 0}
RIGHT = {"role": "assistant", "content": "4", "weight": 1}


def test_a_fine_tuning_file_is_recognised_and_its_last_answer_is_the_response(workspace: Workspace, write: Any) -> None:
    collect(workspace, [write(lines(tuning(USER, WRONG, USER, RIGHT), tuning(USER, RIGHT, USER, WRONG, USER)))])
    first, second = workspace.calls()
    assert [m["content"] for m in first.request.messages] == ["2 + 2?", "5", "2 + 2?"]
    assert first.response == second.response == {"role": "assistant", "content": "4"}
    assert len(second.request.messages) == 1
    assert "weight" not in json.dumps([first.to_record(), second.to_record()])


def test_tools_of_a_fine_tuning_file_are_kept_in_both_spellings(workspace: Workspace, write: Any) -> None:
    function = {"name": "add", "parameters": {"type": "object"}}
    made = {"name": "add", "arguments": '{"a": 2}'}
    newer = {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": made}]}
    older = {"role": "assistant", "function_call": made}
    wrapped = [{"type": "function", "function": function}]
    files = lines(
        tuning(USER, newer, tools=wrapped, parallel_tool_calls=False), tuning(USER, older, functions=[function])
    )
    collect(workspace, [write(files)])
    for stored in workspace.calls():
        assert stored.request.tool_names == ("add",)
        assert stored.response is not None
        assert stored.response["tool_calls"][0]["function"] == made
    assert next(workspace.calls()).request.parameters == {"parallel_tool_calls": False}


def test_fine_tuning_lines_without_an_answer_are_named(workspace: Workspace, write: Any) -> None:
    result = collect(workspace, [write(lines(tuning(USER, RIGHT), tuning(USER), tuning(USER, WRONG), tuning(RIGHT)))])
    assert result.added == 1
    no_answer = "messages hold no assistant message to learn from"
    assert reasons(result) == [(2, no_answer), (3, no_answer), (4, "messages begin with the answer")]


def test_a_file_of_calls_that_begins_with_a_failed_one_is_no_fine_tuning_file(workspace: Workspace, write: Any) -> None:
    failed = {"messages": [USER], "error": "timeout"}
    assert collect(workspace, [write(lines(failed, call()))]).added == 2


def test_the_form_may_be_said(workspace: Workspace, write: Any) -> None:
    collect(workspace, [write(lines(tuning(USER, RIGHT, USER)))], form="calls")
    (stored,) = workspace.calls()
    assert stored.response is None
    assert len(stored.request.messages) == 3
    with pytest.raises(BadInput, match="There is no format 'xml'"):
        collect(workspace, [write(lines(call()))], form="xml")


DATA = Path(__file__).parents[4] / "shared" / "data" / "mixed_train.jsonl.gz"


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not here")
def test_all_recorded_calls_are_taken_once(workspace: Workspace) -> None:
    result = collect(workspace, [DATA])
    assert (result.read, result.added, result.skipped) == (17_840, 17_840, ())
    assert collect(workspace, [DATA]).added == 0


def _collect(home: Path, path: Path, start: Any) -> None:
    start.wait()
    collect(Workspace(home), [path])


def test_two_imports_of_one_file_at_once_store_each_call_once(tmp_path: Path, write: Any) -> None:
    named = [call(f"ask {n}", id=f"c{n}") for n in range(300)]
    path = write(lines(*named, *(call(f"text {n % 100}") for n in range(300))))
    fork = multiprocessing.get_context("fork")
    start = fork.Barrier(2)
    children = [fork.Process(target=_collect, args=(tmp_path / "home", path, start)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0]
    stored = [stored.id for stored in Workspace(tmp_path / "home").calls()]
    assert len(stored) == len(set(stored)) == 600
