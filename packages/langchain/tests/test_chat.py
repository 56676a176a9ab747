"""ChatProtege where no specialist answers: the agent sees its teacher, and every call is recorded once."""

# pyright: reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from protege.collect import drain
from protege.workspace import Workspace
from protege_langchain import ChatProtege, ProtegeCallbackHandler
from protege_langchain.testing import ScriptedTeacher
from pydantic import BaseModel

if TYPE_CHECKING:
    from agents import Records, Routed

Wrap = Callable[..., ChatProtege]


class Ticket(BaseModel):
    """Where a ticket goes."""

    team: str


@tool
def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


@pytest.fixture
def wrap(tmp_path: Path, records: Records, teacher_only: Routed) -> Wrap:
    def make(teacher: BaseChatModel, **options: Any) -> ChatProtege:
        return ChatProtege(teacher, tmp_path, **{"recorder": records, "router": teacher_only, **options})

    return make


def test_an_answer_is_the_teachers_and_is_recorded_whole(wrap: Wrap, records: Records):
    answer = wrap(ScriptedTeacher({"Hello": "Good day"})).invoke("Hello", temperature=0.5, stop=["\n"])

    assert (answer.content, answer.response_metadata["model_name"]) == ("Good day", "scripted-teacher")
    record = records.only
    assert record["messages"] == [{"role": "user", "content": "Hello"}]
    assert record["response"] == {"role": "assistant", "content": "Good day"}
    assert record["parameters"] == {"temperature": 0.5, "stop": ["\n"]}
    assert record["model"] == record["answered_by"] == "scripted-teacher"
    assert record["usage"] == {"input_tokens": 1, "output_tokens": 2}
    assert (record["finish_reason"], record["framework"], record["decision"]) == ("stop", "langchain", "no live route")
    assert record["latency_ms"] >= 0


async def test_every_way_of_asking_is_recorded_once(wrap: Wrap, records: Records):
    model = wrap(ScriptedTeacher(lambda request: "one two three"))
    model.invoke("a")
    await model.ainvoke("b")
    streamed = "".join(str(chunk.content) for chunk in model.stream("c"))
    astreamed = "".join([str(chunk.content) async for chunk in model.astream("d")])
    model.batch(["e", "f"])
    await model.abatch(["g", "h"])

    assert streamed == astreamed == "one two three"
    assert sorted(r["messages"][0]["content"] for r in records.kept) == list("abcdefgh")
    assert all(r["response"]["content"] == "one two three" for r in records.kept)
    assert all(r["usage"] == {"input_tokens": 1, "output_tokens": 3} for r in records.kept)
    assert [("ttft_ms" in r) for r in records.kept[:4]] == [False, False, True, True]


def test_a_stream_passes_through_chunk_by_chunk(wrap: Wrap, records: Records):
    teacher = ScriptedTeacher(lambda request: "one two three")
    bare, wrapped = list(teacher.stream("x")), []
    for chunk in wrap(teacher).stream("x"):
        assert not records.kept, "the call is recorded when the stream has ended"
        wrapped.append(chunk)

    said = [(c.content, c.usage_metadata, c.response_metadata, c.chunk_position) for c in wrapped]
    assert said == [(c.content, c.usage_metadata, c.response_metadata, c.chunk_position) for c in bare]
    assert records.only["response"]["content"] == "one two three"


def test_a_stream_that_is_left_early_is_recorded_as_such(wrap: Wrap, records: Records):
    for _ in wrap(ScriptedTeacher(lambda request: "one two three")).stream("x"):
        break
    assert records.only["error"] == "GeneratorExit"
    assert records.only["response"]["content"] == "one"


async def test_an_async_stream_that_is_left_early_is_recorded_as_such(wrap: Wrap, records: Records):
    async for _ in wrap(ScriptedTeacher(lambda request: "one two three")).astream("x"):
        break
    await asyncio.sleep(0.05)
    assert records.only["error"] == "GeneratorExit"


def test_a_copy_works_as_the_model_does(wrap: Wrap, records: Records):
    model = wrap(ScriptedTeacher({"x": "y"}))
    assert copy.deepcopy(model.model_copy()).invoke("x").content == "y"
    assert model.with_config(tags=["t"]).invoke("x").content == "y"


async def test_a_cancelled_call_is_recorded_as_such(tmp_path: Path, records: Records, teacher_only: Routed):
    class Slow(ScriptedTeacher):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            await asyncio.sleep(60)

    model = ChatProtege(Slow({}), tmp_path, recorder=records, router=teacher_only)
    task = asyncio.create_task(model.ainvoke("x"))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert records.only["error"] == "CancelledError"


def test_the_teachers_error_reaches_the_agent_as_it_is(wrap: Wrap, records: Records):
    error = ValueError("too long")
    with pytest.raises(ValueError) as caught:
        wrap(ScriptedTeacher(lambda request: error)).invoke("x")
    assert caught.value is error
    assert records.only["error"] == "ValueError: too long"
    assert "response" not in records.only


def test_retries_and_fallbacks_work_around_it(wrap: Wrap, records: Records):
    answers = iter([ValueError("busy"), "second try"])
    model = wrap(ScriptedTeacher(lambda request: next(answers)))
    assert model.with_retry(stop_after_attempt=2, wait_exponential_jitter=False).invoke("x").content == "second try"
    assert ["error" in r for r in records.kept] == [True, False]

    failing = wrap(ScriptedTeacher(lambda request: ValueError("busy")))
    assert failing.with_fallbacks([ScriptedTeacher({"x": "other"})]).invoke("x").content == "other"


@pytest.mark.parametrize("how", ["recorder", "router"])
async def test_no_trouble_of_protege_reaches_the_agent(
    wrap: Wrap, broken: Routed, how: str, caplog: pytest.LogCaptureFixture
):
    class Full:
        def record(self, call_record: dict[str, Any]) -> None:
            raise OSError("disk full")

    model = wrap(ScriptedTeacher(lambda request: "fine"), **{how: Full() if how == "recorder" else broken})
    assert model.invoke("a").content == "fine"
    assert (await model.ainvoke("b")).content == "fine"
    assert "".join(str(c.content) for c in model.stream("c")) == "fine"
    assert "".join([str(c.content) async for c in model.astream("d")]) == "fine"
    assert len(caplog.records) <= 1, "trouble is said once"


def test_a_home_that_cannot_be_written_is_no_matter_to_the_agent(tmp_path: Path):
    (tmp_path / "file").write_text("")
    assert ChatProtege(ScriptedTeacher({"x": "y"}), tmp_path / "file" / "home").invoke("x").content == "y"


def test_handler_and_model_together_record_a_call_once(wrap: Wrap, records: Records, tmp_path: Path):
    handler = ProtegeCallbackHandler(tmp_path / "handler")
    wrap(ScriptedTeacher({"x": "y"})).invoke("x", config={"callbacks": [handler]})
    assert records.only["response"]["content"] == "y"
    assert drain(Workspace(tmp_path / "handler")) == 0


def test_what_is_drained_is_what_was_asked(tmp_path: Path):
    model = ChatProtege(ScriptedTeacher(lambda request: request.messages[-1]["content"].upper()), tmp_path)
    model.batch([f"text {i}" for i in range(20)])
    with pytest.raises(TypeError):
        ChatProtege(ScriptedTeacher(lambda request: TypeError("no")), tmp_path).invoke("bad")

    workspace = Workspace(tmp_path)
    assert drain(workspace) == 21
    calls = list(workspace.calls())
    said = {c.request.messages[0]["content"]: c.response and c.response["content"] for c in calls}
    assert said == {**{f"text {i}": f"TEXT {i}" for i in range(20)}, "bad": None}
    assert all(c.from_teacher for c in calls)


def test_the_teacher_gets_tools_and_options_in_its_own_form(wrap: Wrap, records: Records, endpoint: str):
    teacher = ChatOpenAI(base_url=endpoint, api_key="none", model="large")
    options: dict[str, Any] = {"tool_choice": "any", "strict": True, "parallel_tool_calls": False}
    bare = teacher.bind_tools([add, {"type": "web_search"}], **options)
    bound: Any = wrap(teacher).bind_tools([add, {"type": "web_search"}], **options)
    assert bound.kwargs == bare.kwargs  # pyright: ignore[reportAttributeAccessIssue]

    wrap(teacher).bind_tools([add], **options).invoke("1 and 2")
    record = records.only
    assert record["tools"][0]["function"]["strict"] is True
    assert record["tool_choice"] == "required"
    assert record["parameters"]["parallel_tool_calls"] is False
    assert record["response"]["tool_calls"][0]["function"]["name"] == "add"
    assert record["finish_reason"] == "tool_calls"


def test_tools_in_a_providers_own_form_are_recorded_in_openai_form(wrap: Wrap, records: Records):
    seen: list[Any] = []

    class Provider(ScriptedTeacher):
        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            return self.bind(tools=[{"function_declarations": [t.name for t in tools]}], mode=kwargs["tool_choice"])

        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            seen.append((kwargs.pop("tools"), kwargs.pop("mode")))
            return super()._generate(*args, **kwargs)

    teacher = Provider(lambda request: "3")
    wrap(teacher).bind_tools([add], tool_choice="any").invoke("1 and 2")
    assert seen == [([{"function_declarations": ["add"]}], "any")]
    assert records.only["tools"][0]["function"]["name"] == "add"
    assert records.only["tool_choice"] == "required"


def test_a_teacher_that_binds_tools_on_a_copy_of_itself_is_followed(wrap: Wrap, records: Records):
    class Copying(ScriptedTeacher):
        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            return self.model_copy(update={"model": "with tools"})

    answer = wrap(Copying(lambda request: "3")).bind_tools([add]).invoke("1 and 2")
    assert answer.response_metadata["model_name"] == records.only["model"] == "with tools"
    assert records.only["tools"][0]["function"]["name"] == "add"


def test_what_a_teacher_binds_in_an_unknown_form_is_left_as_it_is(wrap: Wrap, records: Records):
    class Odd(ScriptedTeacher):
        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            return RunnableLambda(lambda asked: AIMessage("odd"))

    assert wrap(Odd({})).bind_tools([add]).invoke("1 and 2").content == "odd"
    assert not records.kept


@pytest.mark.parametrize("include_raw", [False, True])
@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
def test_structured_output_is_the_teachers_own(
    wrap: Wrap, records: Records, endpoint: str, method: str, include_raw: bool
):
    teacher = ChatOpenAI(base_url=endpoint, api_key="none", model="large")
    schema = {"title": "Joke", "type": "object", "properties": {"setup": {"type": "string"}}}
    asked = wrap(teacher).with_structured_output(schema, method=method, include_raw=include_raw)
    bare = teacher.with_structured_output(schema, method=method, include_raw=include_raw)
    answer, expected = asked.invoke("why?"), bare.invoke("why?")
    assert (answer["parsed"] if include_raw else answer) == (expected["parsed"] if include_raw else expected)
    record = records.only
    assert ("tools" in record, "response_format" in record) == (
        method == "function_calling",
        method != "function_calling",
    )


def test_structured_output_of_a_teacher_that_uses_tools(wrap: Wrap, records: Records):
    call = {"id": "c", "type": "function", "function": {"name": "Ticket", "arguments": '{"team": "billing"}'}}
    teacher = ScriptedTeacher(lambda request: {"role": "assistant", "content": None, "tool_calls": [call]})
    assert wrap(teacher).with_structured_output(Ticket).invoke("x") == Ticket(team="billing")
    assert records.only["tools"][0]["function"]["name"] == "Ticket"
    assert records.only["tool_choice"] == "required"


def test_what_else_an_agent_asks_of_a_model_the_teacher_answers(wrap: Wrap, endpoint: str):
    profile: Any = {"structured_output": True, "max_input_tokens": 1000}
    teacher = ChatOpenAI(base_url=endpoint, api_key="none", model="large", temperature=0.1, profile=profile)
    model = wrap(teacher)
    assert model._llm_type == "openai-chat"
    assert model._get_ls_params() == teacher._get_ls_params()
    assert model._get_invocation_params(stop=["x"]) == teacher._get_invocation_params(stop=["x"])
    assert model.profile == profile
    assert (model.model_name, model.temperature) == ("large", 0.1)
    with pytest.raises(AttributeError):
        _ = model.no_such_thing


def test_a_teacher_that_cannot_stream_is_not_made_to(wrap: Wrap, records: Records):
    class Whole(ScriptedTeacher):
        def _should_stream(self, **kwargs: Any) -> bool:
            return False

    assert [c.content for c in wrap(Whole({"x": "one two"})).stream("x")] == ["one two"]
    assert "ttft_ms" not in records.only


def test_what_was_set_on_the_teacher_goes_on_working(wrap: Wrap, records: Records):
    usage, limiter = UsageMetadataCallbackHandler(), InMemoryRateLimiter(requests_per_second=1000)
    limiter.acquire(blocking=True)
    teacher = ScriptedTeacher({"x": "y"}, callbacks=[usage], cache=InMemoryCache(), rate_limiter=limiter)
    model = wrap(teacher)
    assert model.invoke("x").content == model.invoke("x").content == "y"
    assert "scripted-teacher" in usage.usage_metadata
    assert len(records.kept) == 1, "the cache answered the second call; no request was made"
    assert teacher.invoke("x").content == "y"


def test_a_call_of_many_messages_is_one_run_for_tracers(wrap: Wrap):
    teacher = FakeListChatModel(responses=["yes"])
    messages = [HumanMessage("a"), AIMessage("b"), HumanMessage("c")]
    assert type(wrap(teacher).invoke(messages)) is AIMessage
    assert all(type(chunk) is AIMessageChunk for chunk in wrap(teacher).stream(messages))


def test_only_a_chat_model_can_be_wrapped(tmp_path: Path):
    with pytest.raises(TypeError, match="Wrap the model itself"):
        ChatProtege(ScriptedTeacher({}).with_retry(), tmp_path)
    with pytest.raises(ValueError):
        ChatProtege(ScriptedTeacher({}), tmp_path, temprature=0)


def test_it_is_written_without_secrets_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    secret = "key-of-the-test"
    model = ChatProtege(ChatOpenAI(api_key=secret, model="large", temperature=0.5), tmp_path)
    written = dumps(model)
    assert secret not in written
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    allowed: Any = {"allowed_objects": [ChatProtege, ChatOpenAI], "valid_namespaces": ["protege_langchain"]}
    back = loads(written, secrets_from_env=True, **allowed)
    assert isinstance(back, ChatProtege)
    assert (back.home, back.teacher.temperature) == (model.home, 0.5)  # type: ignore[attr-defined]
    assert back.teacher.openai_api_key.get_secret_value() == secret  # type: ignore[attr-defined]


async def test_a_stream_that_is_left_early_closes_the_teachers(wrap: Wrap):
    closed: list[str] = []

    class Open(ScriptedTeacher):
        def _stream(self, *args: Any, **kwargs: Any) -> Any:
            try:
                yield from super()._stream(*args, **kwargs)
            finally:
                closed.append("sync")

        async def _astream(self, *args: Any, **kwargs: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            try:
                for chunk in super()._stream(*args, **kwargs):
                    yield chunk
            finally:
                closed.append("async")

    model = wrap(Open(lambda request: "one two three"))
    parts, aparts = model._stream([HumanMessage("x")]), model._astream([HumanMessage("x")])
    next(parts)
    parts.close()  # type: ignore[attr-defined]
    await anext(aparts)
    await aparts.aclose()  # type: ignore[attr-defined]
    assert closed == ["sync", "async"]


async def test_a_stream_without_any_part_is_recorded_as_failed(wrap: Wrap, records: Records):
    class Silent(ScriptedTeacher):
        def _stream(self, *args: Any, **kwargs: Any) -> Any:
            return iter(())

    with pytest.raises(ValueError, match="No generation chunks"):
        list(wrap(Silent({})).stream("x"))
    with pytest.raises(ValueError, match="No generation chunks"):
        [_ async for _ in wrap(Silent({})).astream("x")]
    assert [record["error"][:5] for record in records.kept] == ["empty", "empty"]


def test_a_recorder_that_is_empty_is_a_recorder(tmp_path: Path, teacher_only: Routed):
    class Kept(list[Any]):
        def record(self, call_record: Any) -> None:
            self.append(call_record)

    kept = Kept()
    ChatProtege(ScriptedTeacher({"x": "y"}), tmp_path, recorder=kept, router=teacher_only).invoke("x")
    assert len(kept) == 1
