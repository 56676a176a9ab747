"""Across the adapters: one task and one specialist for all four, versions as documented, nothing heavy brought."""

from __future__ import annotations

import importlib.metadata
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from agents import INSTRUCTIONS, LiveHome
from autogen_core.models import SystemMessage as AutoGenSystem
from autogen_core.models import UserMessage
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.tools import FunctionTool
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from protege import Workspace
from protege_autogen import ProtegeChatCompletionClient
from protege_autogen.testing import ScriptedClient
from protege_clients import wrap
from protege_clients.testing import ScriptedProvider
from protege_langchain import ChatProtege
from protege_langchain.testing import ScriptedTeacher
from protege_langgraph import route
from protege_llamaindex import ProtegeLLM
from protege_llamaindex.testing import ScriptedLLM

ROOT = Path(__file__).parents[1]
THING = "a fire engine"


def never(request: Any) -> Any:
    return AssertionError("the teacher was asked")


async def in_langchain(home: LiveHome) -> str:
    model = ChatProtege(ScriptedTeacher(never), home.path, router=home.router)
    return str((await model.ainvoke([SystemMessage(INSTRUCTIONS["label"]), HumanMessage(THING)])).content)


async def in_langgraph(home: LiveHome) -> str:
    model = ScriptedTeacher(never)
    graph = StateGraph(dict)  # pyright: ignore[reportArgumentType]
    asked = [SystemMessage(INSTRUCTIONS["label"]), HumanMessage(THING)]
    graph.add_node("colour", lambda state: {"said": model.invoke(asked).text})
    graph.add_edge(START, "colour")
    return (await route(graph.compile(), home.path, router=home.router).ainvoke({}))["said"]


async def in_llamaindex(home: LiveHome) -> str:
    llm = ProtegeLLM(ScriptedLLM(never), home.path, router=home.router)
    asked = [ChatMessage(INSTRUCTIONS["label"], role="system"), ChatMessage(THING, role="user")]
    return str((await llm.achat(asked)).message.content)


async def in_autogen(home: LiveHome) -> str:
    client = ProtegeChatCompletionClient(ScriptedClient(never), home.path, router=home.router)
    asked = [AutoGenSystem(content=INSTRUCTIONS["label"]), UserMessage(content=THING, source="user")]
    return str((await client.create(asked)).content)


async def in_openai(home: LiveHome) -> str:
    http = httpx.AsyncClient(transport=httpx.MockTransport(ScriptedProvider(never)))
    client = wrap(openai.AsyncOpenAI(api_key="none", http_client=http), home.path, router=home.router)
    asked: Any = [{"role": "system", "content": INSTRUCTIONS["label"]}, {"role": "user", "content": THING}]
    return str((await client.chat.completions.create(model="m", messages=asked)).choices[0].message.content)


async def test_one_specialist_answers_in_all(live_home: LiveHome):
    said = [await ask(live_home) for ask in (in_langchain, in_langgraph, in_llamaindex, in_autogen, in_openai)]
    assert said == ["red"] * 5
    calls = live_home.calls()
    assert [call.framework for call in calls] == ["langchain", "langgraph", "llamaindex", "autogen", "openai"]
    assert {call.answered_by for call in calls} == {"id-label"}


async def test_a_tool_is_offered_alike_by_all_four(live_home: LiveHome):
    from autogen_core.tools import FunctionTool as AutoGenTool
    from protege.task import offered

    def add(a: int, b: int) -> int:
        """Adds."""
        return a + b

    fine: Any = lambda request: "fine"  # noqa: E731
    where: Any = {"home": live_home.path}
    ChatProtege(ScriptedTeacher(fine), **where).bind_tools([tool(add)]).invoke("x")
    ProtegeLLM(ScriptedLLM(fine), **where).chat_with_tools([FunctionTool.from_defaults(add)], "x")
    client = ProtegeChatCompletionClient(ScriptedClient(fine), **where)
    await client.create([UserMessage(content="x", source="user")], tools=[AutoGenTool(add, "Adds.")])
    requests = [call.request for call in live_home.calls()]
    assert len(requests) == 3
    assert len({offered(request.response_format, request.tools) for request in requests}) == 1
    assert {request.tool_choice for request in requests} == {None}


def test_the_same_desk_in_four_frameworks_yields_one_task(tmp_path: Path):
    command = [sys.executable, str(ROOT / "examples/frameworks/frameworks.py"), "--home", str(tmp_path / "home")]
    done = subprocess.run([*command, "--only-record", "--tickets", "20"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("20 tickets handled, 20 replies name the right team") == 4
    workspace = Workspace(tmp_path / "home")
    task_of = workspace.assignments()
    sorting = [call for call in workspace.calls() if call.request.system.startswith("You sort the tickets")]
    assert len(sorting) == 80
    assert {call.framework for call in sorting} == {"langgraph", "llamaindex", "autogen"}  # create_agent is LangGraph's
    assert len({task_of[call.id] for call in sorting}) == 1
    assert len({call.node for call in sorting}) >= 2
    workspace.close()


def test_the_versions_in_the_documentation_are_those_that_the_tests_run_with():
    rows = re.findall(r"^\| ([a-z-]+) \| ([\d.]+) \|", (ROOT / "docs/frameworks.md").read_text(), re.MULTILINE)
    assert len(rows) == 10
    assert {name: importlib.metadata.version(name) for name, _ in rows} == dict(rows)


def test_the_matrix_in_the_documentation_is_of_the_versions_that_the_packages_claim_and_nothing_failed():
    matrix = runpy.run_path(str(ROOT / "tests/bench/frameworks_matrix.py"))
    table = (ROOT / "docs/frameworks.md").read_text().partition(matrix["START"])[2].partition(matrix["END"])[0]
    rows = re.findall(r"^\| (\w+) \| ([\w-]+) \| `(.+)` \| ([\d.]+) \| ([\d.]+) \|$", table, re.MULTILINE)
    adapters = [pyproject.parent.name for pyproject in (ROOT / "packages").glob("*/pyproject.toml")]
    assert {(adapter, name): SpecifierSet(claimed) for adapter, name, claimed, *_ in rows} == {
        (adapter, name): bound for adapter in adapters for name, bound in matrix["claims"](adapter).items()
    }
    for _, _, claimed, oldest, newest in rows:
        assert Version(oldest) == matrix["lower_bound"](SpecifierSet(claimed))
        assert Version(newest) in SpecifierSet(claimed)
    results = re.findall(r"^\| (\w+) \| \*its tests\* \| \| (.+) \| (.+) \|$", table, re.MULTILINE)
    assert sorted(adapter for adapter, *_ in results) == sorted(adapters)
    said = [words for _, *ends in results for words in ends]
    assert all(re.fullmatch(r"\d+ passed(, \d+ skipped)?", words) for words in said), said


HEAVY = ("torch", "transformers", "sklearn", "hdbscan", "datasets", "plotly", "xllamacpp", "gguf")


@pytest.mark.parametrize("adapter", ["langchain", "langgraph", "llamaindex", "autogen", "clients"])
def test_an_adapter_brings_its_framework_and_the_core_and_loads_nothing_heavy(adapter: str):
    needed = importlib.metadata.requires(f"protege-{adapter}") or []
    plain = [re.match(r"[\w.-]+", one)[0] for one in needed if "extra ==" not in one]  # type: ignore[index]
    own = {"llamaindex": "llama-index", "clients": "protege"}
    light = ("protege", "lazy-loader", "orjson", "uuid-utils", "pydantic", own.get(adapter, adapter))
    assert all(name.startswith(light) for name in plain), plain
    script = f"import sys, protege_{adapter}; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
