"""ProtegeCallbackHandler: what it records of models that know nothing of Protégé."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from protege_langchain import ProtegeCallbackHandler, handler
from protege_langchain.testing import ScriptedTeacher

if TYPE_CHECKING:
    from agents import Records


@tool
def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


@pytest.fixture
def config(tmp_path: Path, records: Records, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(handler, "recorder_of", lambda home: records)
    return {"callbacks": [ProtegeCallbackHandler(tmp_path)]}


async def test_every_way_of_asking_is_recorded_once(config: Any, records: Records):
    model = ScriptedTeacher(lambda request: "one two three")
    model.invoke("a", config)
    await model.ainvoke("b", config)
    list(model.stream("c", config))
    _ = [chunk async for chunk in model.astream("d", config)]
    model.batch(["e", "f"], config)
    _ = list(model.stream_events("g", config, version="v3"))

    assert sorted(r["messages"][0]["content"] for r in records.kept) == list("abcdefg")
    assert all(r["response"] == {"role": "assistant", "content": "one two three"} for r in records.kept)
    assert all(r["finish_reason"] == "stop" for r in records.kept)
    streamed = [r["messages"][0]["content"] for r in records.kept if "ttft_ms" in r]
    assert streamed == ["c", "d", "g"]


def test_a_call_is_recorded_with_all_that_was_asked(config: Any, records: Records, endpoint: str):
    model = ChatOpenAI(base_url=endpoint, api_key="none", model="large", temperature=0.2)  # pyright: ignore[reportArgumentType]
    model.bind_tools([add], tool_choice="any").invoke("1 and 2", config, stop=["\n"])
    record = records.only
    assert record["model"] == record["answered_by"] == "large"
    assert record["tools"][0]["function"]["name"] == "add"
    assert record["tool_choice"] == "required"
    assert record["parameters"] == {"temperature": 0.2, "stop": ["\n"]}
    assert record["usage"] == {"input_tokens": 11, "output_tokens": 7}
    assert record["finish_reason"] == "tool_calls"


def test_an_agents_node_and_run_are_known(config: Any, records: Records):
    agent = create_agent(ScriptedTeacher(lambda request: "done"), [add], name="adder")
    agent.invoke({"messages": [HumanMessage("x")]}, config)
    agent.invoke({"messages": [HumanMessage("x")]}, config)
    one, other = records.kept
    assert (one["node"], one["agent"], one["framework"]) == (["model"], "adder", "langgraph")
    assert one["run"] != other["run"]


def test_errors_and_parts_of_streams_are_kept(config: Any, records: Records):
    with pytest.raises(ValueError):
        ScriptedTeacher(lambda request: ValueError("too long")).invoke("x", config)
    for _ in ScriptedTeacher(lambda request: "one two three").stream("x", config):
        break
    failed, left = records.kept
    assert (failed["error"], "response" in failed) == ("ValueError: too long", False)
    assert (left["error"], left["response"]["content"]) == ("GeneratorExit", "one")


def test_a_model_that_completes_text_is_recorded_as_a_chat(config: Any, records: Records):
    FakeListLLM(responses=["blue"]).invoke("The sky is", config)
    assert records.only["messages"] == [{"role": "user", "content": "The sky is"}]
    assert records.only["response"] == {"role": "assistant", "content": "blue"}


def test_an_answer_from_langchains_cache_is_no_call(config: Any, records: Records):
    model = ScriptedTeacher({"x": "y"}, cache=InMemoryCache())
    assert model.invoke("x", config).content == model.invoke("x", config).content == "y"
    assert len(records.kept) == 1


async def test_a_cancelled_call_is_written_down_as_lost(config: Any, records: Records, monkeypatch: pytest.MonkeyPatch):
    class Slow(ScriptedTeacher):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            await asyncio.sleep(60)

    task = asyncio.create_task(Slow({}).ainvoke("x", config))  # pyright: ignore[reportCallIssue]
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    monkeypatch.setattr(handler, "LOST_AFTER_S", 0.0)
    ScriptedTeacher({"later": "y"}).invoke("later", config)
    lost, later = records.kept
    assert lost["messages"][0]["content"] == "x"
    assert lost["error"].startswith("cancelled")
    assert later["response"]["content"] == "y"


def test_a_handler_attached_twice_records_once(config: Any, records: Records):
    twin = ProtegeCallbackHandler(config["callbacks"][0].home)
    assert len({twin, config["callbacks"][0]}) == 1
    model = ScriptedTeacher({"x": "y"}, callbacks=[twin])
    model.invoke("x", config)
    assert len(records.kept) == 1


def test_no_trouble_of_protege_reaches_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def fail(home: Path) -> Any:
        raise OSError("disk full")

    monkeypatch.setattr(handler, "recorder_of", fail)
    config: Any = {"callbacks": [ProtegeCallbackHandler(tmp_path)]}
    for _ in range(3):
        assert ScriptedTeacher({"x": "y"}).invoke("x", config).content == "y"
    assert len(caplog.records) <= 1


def test_a_recorded_call_loads_no_heavy_library(tmp_path: Path):
    code = """
import sys
from protege_langchain import ChatProtege
from protege_langchain.testing import ScriptedTeacher

assert ChatProtege(ScriptedTeacher({"x": "y"}), sys.argv[1]).invoke("x").content == "y"
print([name for name in ("torch", "transformers", "sklearn", "sqlalchemy", "langgraph") if name in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert ran.stdout.strip() == "[]", ran.stderr
