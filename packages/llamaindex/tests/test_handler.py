"""attach and detach: each call once, through whatever it goes, and nothing of the agent's is touched."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, CompletionResponse, LLMMetadata
from llama_index.core.instrumentation import get_dispatcher  # pyright: ignore[reportPrivateImportUsage]
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.core.llms.custom import CustomLLM
from llama_index.core.llms.mock import MockLLM
from protege.call import Call
from protege.collect import drain
from protege.workspace import Workspace
from protege_llamaindex import ProtegeLLM, attach, detach, handler
from protege_llamaindex.testing import ScriptedLLM

if TYPE_CHECKING:
    from agents import Records, Routed


@pytest.fixture
def attached(tmp_path: Path, records: Records) -> Iterator[None]:
    attach(tmp_path, recorder=records)
    yield
    detach()


@pytest.fixture
def llm() -> ScriptedLLM:
    return ScriptedLLM(lambda request: "one two three")


class Broken:
    """A recorder that fails."""

    def record(self, call_record: Any) -> None:
        raise OSError("no space left")


class Calling(CustomLLM):
    """An LLM that answers by another one."""

    inner: Any

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="calling")

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return self.inner.complete(prompt)

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        return self.inner.stream_complete(prompt)


def test_it_is_attached_once_however_often_that_is_asked(tmp_path: Path, records: Records, llm: ScriptedLLM):
    attach(tmp_path, recorder=records)
    attach(tmp_path, recorder=records)
    llm.complete("a")
    assert records.only["response"] == {"role": "assistant", "content": "one two three"}
    detach()


def test_nothing_is_recorded_once_it_is_detached_and_it_can_be_attached_again(
    tmp_path: Path, records: Records, llm: ScriptedLLM
):
    attach(tmp_path, recorder=records)
    detach()
    detach()
    llm.complete("a")
    assert not records.kept
    attach(tmp_path, recorder=records)
    llm.complete("b")
    detach()
    assert records.only["messages"] == [{"role": "user", "content": "b"}]


def test_what_is_under_way_when_it_is_detached_is_recorded(tmp_path: Path, records: Records, llm: ScriptedLLM):
    attach(tmp_path, recorder=records)
    parts = llm.stream_complete("a")
    next(parts)
    detach()
    list(parts)
    assert records.only["response"]["content"] == "one two three"


def test_to_attach_again_changes_the_home(tmp_path: Path, llm: ScriptedLLM):
    for name in ("first", "second"):
        attach(tmp_path / name)
        llm.complete(name)
    detach()
    for name in ("first", "second"):
        workspace = Workspace(tmp_path / name)
        drain(workspace)
        assert [call.request.messages[0]["content"] for call in workspace.calls()] == [name]
        workspace.close()


@pytest.mark.usefixtures("attached")
def test_a_call_has_all_that_is_known_of_it(records: Records, llm: ScriptedLLM):
    llm.chat([ChatMessage("Hello?")], temperature=0.2)
    call = Call.from_record(records.only)
    assert call.request.messages == ({"role": "user", "content": "Hello?"},)
    assert call.request.parameters == {"temperature": 0.2}
    assert (call.framework, call.model, call.finish_reason) == ("llamaindex", llm.model, "stop")
    assert call.input_tokens and call.output_tokens == 3
    assert call.latency_ms is not None and call.error is None


@pytest.mark.usefixtures("attached")
@pytest.mark.parametrize("stream", [False, True])
def test_of_llms_inside_each_other_the_innermost_is_recorded(records: Records, llm: ScriptedLLM, stream: bool):
    outer = Calling(inner=Calling(inner=llm))
    if stream:
        list(outer.stream_complete("a"))
    else:
        outer.complete("a")
    assert records.only["model"] == llm.model


@pytest.mark.usefixtures("attached")
def test_an_llm_that_knows_no_tools_is_recorded(records: Records):
    MockLLM(max_tokens=2).complete("a b c")
    assert records.only["response"]["content"] == "text text"


@pytest.mark.usefixtures("attached")
def test_a_wrapped_llm_beside_a_bare_one_are_recorded_once_each(
    tmp_path: Path, records: Records, teacher_only: Routed, llm: ScriptedLLM
):
    wrapped = ProtegeLLM(llm, tmp_path, recorder=records, router=teacher_only)
    wrapped.complete("wrapped")
    list(wrapped.stream_complete("wrapped"))
    llm.complete("bare")
    assert [(record["messages"][0]["content"], "decision" in record) for record in records.kept] == [
        ("wrapped", True),
        ("wrapped", True),
        ("bare", False),
    ]


@pytest.mark.usefixtures("attached")
async def test_an_error_and_a_stream_that_is_left_are_recorded(records: Records, llm: ScriptedLLM):
    with pytest.raises(ValueError, match="no"):
        ScriptedLLM(lambda request: ValueError("no")).complete("a")
    parts = llm.stream_complete("b")
    next(parts)
    parts.close()
    aparts = await llm.astream_complete("c")
    await anext(aparts)
    await aparts.aclose()
    failed, left, aleft = records.kept
    assert failed["error"] == "ValueError: no" and "response" not in failed
    for record in (left, aleft):
        assert (record["error"], record["response"]["content"]) == ("GeneratorExit", "one")


@pytest.mark.usefixtures("attached")
def test_a_stream_that_nobody_reads_is_written_down_as_lost(
    records: Records, llm: ScriptedLLM, monkeypatch: pytest.MonkeyPatch
):
    llm.stream_complete("a")
    gc.collect()
    assert not records.kept
    monkeypatch.setattr(handler, "LOST_AFTER_S", 0.0)
    llm.complete("b")
    assert [record["messages"][0]["content"] for record in records.kept] == ["a", "b"]
    assert records.kept[0]["error"].startswith("lost")


@pytest.mark.usefixtures("attached")
async def test_many_at_once_are_recorded_each_with_its_answer(records: Records):
    async def answer(llm: Any, number: int) -> None:
        async for _ in await llm.astream_complete(f"q{number}"):
            await asyncio.sleep(0)

    llm = ScriptedLLM(lambda request: f"to {request.messages[0]['content']}")
    await asyncio.gather(*(answer(llm, number) for number in range(24)))
    assert {(r["messages"][0]["content"], r["response"]["content"]) for r in records.kept} == {
        (f"q{number}", f"to q{number}") for number in range(24)
    }


def test_a_recorder_that_fails_is_told_once_and_the_agent_goes_on(
    tmp_path: Path, llm: ScriptedLLM, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("protege.common.logs._logged", set())
    attach(tmp_path, recorder=Broken())
    with caplog.at_level(logging.WARNING, logger="protege"):
        assert {str(llm.complete(f"secret {number}")) for number in range(5)} == {"one two three"}
    detach()
    (message,) = caplog.messages
    assert "OSError" in message and "secret" not in message


def test_the_handlers_of_others_are_left_as_they_are(tmp_path: Path):
    root = get_dispatcher()
    before = list(root.event_handlers), list(root.span_handlers)
    attach(tmp_path)
    detach()
    assert root.event_handlers[: len(before[0])] == before[0]
    assert root.span_handlers[: len(before[1])] == before[1]


class Saying(CustomLLM):
    """As a user writes one: the two methods that have to be."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="saying")

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text="hi")

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        return (CompletionResponse(text="hi"[: end + 1], delta="hi"[end]) for end in range(2))


@pytest.mark.usefixtures("attached")
@pytest.mark.parametrize("wrapped", [False, True])
async def test_an_async_stream_that_asks_for_the_sync_one_late_is_recorded_once(
    tmp_path: Path, records: Records, teacher_only: Routed, wrapped: bool
):
    llm: Any = Saying()
    if wrapped:
        llm = ProtegeLLM(llm, tmp_path, recorder=records, router=teacher_only)

    async def both(number: int) -> None:
        assert [part.text async for part in await llm.astream_complete(f"q{number}")] == ["h", "hi"]
        assert [str(part) async for part in await llm.astream_chat([ChatMessage(f"q{number}")])][-1].endswith("hi")

    await asyncio.gather(*(both(number % 2) for number in range(6)))
    assert len(records.kept) == 12
    assert {record["response"]["content"] for record in records.kept} == {"hi"}


@pytest.mark.usefixtures("attached")
async def test_the_same_llm_asked_between_the_parts_of_its_stream_is_recorded(records: Records, llm: ScriptedLLM):
    async for part in await llm.astream_complete("a"):
        if part.text == "one":
            list(llm.stream_complete("a"))
    assert len(records.kept) == 2


@pytest.mark.usefixtures("attached")
async def test_a_stream_without_any_part_is_recorded_as_failed(tmp_path: Path, records: Records, teacher_only: Routed):
    class Silent(ScriptedLLM):
        def _parts(self, messages: Any, options: Any) -> list[Any]:
            return []

    silent = Silent({})  # pyright: ignore[reportCallIssue]
    wrapped = ProtegeLLM(silent, tmp_path, recorder=records, router=teacher_only)
    for llm in (silent, wrapped):
        assert list(llm.stream_chat([ChatMessage("a")])) == []
        assert [part async for part in await llm.astream_chat([ChatMessage("a")])] == []
    assert [record["error"][:5] for record in records.kept] == ["empty"] * 4


def test_a_recorder_that_is_empty_is_a_recorder(tmp_path: Path, teacher_only: Routed, llm: ScriptedLLM):
    class Kept(list[Any]):
        def record(self, call_record: Any) -> None:
            self.append(call_record)

    attached, wrapping = Kept(), Kept()
    attach(tmp_path, recorder=attached)
    llm.complete("a")
    detach()
    ProtegeLLM(llm, tmp_path, recorder=wrapping, router=teacher_only).complete("b")
    assert (len(attached), len(wrapping)) == (1, 1)
