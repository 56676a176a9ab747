"""route(): which models of a graph it finds, and that they go on as what they were."""

# pyright: reportArgumentType=false

from __future__ import annotations

import functools
import gc
import logging
import pickle
import types
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import openai
import pytest
from langchain.agents import create_agent
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from protege_langchain import ChatProtege, ProtegeCallbackHandler, handler
from protege_langchain.testing import ScriptedTeacher
from protege_langgraph import reached, route

if TYPE_CHECKING:
    from agents import Records, Routed


class State(TypedDict, total=False):
    said: str


def graph_of(**nodes: Any) -> StateGraph[Any, Any, Any, Any]:
    """A graph whose nodes run one after the other."""
    graph = StateGraph(State)
    before = START
    for name, node in nodes.items():
        graph.add_node(name, node)
        graph.add_edge(before, name)
        before = name
    return graph


def echo(**options: Any) -> ScriptedTeacher:
    return ScriptedTeacher(lambda request: "echo", **options)


@tool
def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


shelf = types.SimpleNamespace(model=echo())
large = echo()


def _with_helper(state: State) -> State:
    return {"said": _helper("a")}


def _helper(text: str) -> str:
    return str(large.invoke(text).content)


class _Node:
    def __init__(self, model: Any) -> None:
        self.models = {"large": model}

    def __call__(self, state: State) -> State:
        return {"said": str(self.models["large"].invoke("a").content)}

    def run(self, state: State) -> State:
        return self(state)


def _with_default(state: State, *, model: Any = large) -> State:
    return {"said": str(model.invoke("a").content)}


def _closure() -> Any:
    model = echo()
    return lambda state: {"said": str(model.invoke("a").content)}


def _partial() -> Any:
    return functools.partial(lambda model, state: {"said": str(model.invoke("a").content)}, echo())


def _sequence() -> Any:
    return RunnableLambda(lambda state: [HumanMessage("a")]) | echo() | (lambda message: {"said": message.content})


def _bound() -> Any:
    model = echo().bind_tools([add])
    return lambda state: {"said": str(model.invoke("a").content)}


def _agent() -> Any:
    agent = create_agent(echo(), [add])
    return lambda state: {"said": agent.invoke({"messages": [("user", "a")]})["messages"][-1].content}


WAYS: dict[str, Callable[[], Any]] = {
    "a helper's module variable": lambda: _with_helper,
    "an attribute of a module's object": lambda: lambda state: {"said": str(shelf.model.invoke("a").content)},
    "an object": lambda: _Node(echo()),
    "a method": lambda: _Node(echo()).run,
    "a default": lambda: _with_default,
    "a closure": _closure,
    "a partial": _partial,
    "a sequence": _sequence,
    "a binding": _bound,
    "an agent in a closure": _agent,
}


def test_a_chain_that_is_a_node_knows_it_when_it_streams_too(tmp_path: Path, records: Records):
    graph = route(graph_of(step=_sequence()).compile(), tmp_path, recorder=records)
    assert "".join(chunk.text for chunk, _ in graph.stream({}, stream_mode="messages")) == "echo"  # pyright: ignore[reportAttributeAccessIssue]
    assert records.only["node"] == ["step"]


@pytest.mark.parametrize("way", WAYS, ids=WAYS.keys())
def test_a_model_is_found_wherever_a_node_holds_it(tmp_path: Path, records: Records, way: str):
    graph = route(graph_of(step=WAYS[way]()).compile(), tmp_path, recorder=records)
    assert graph.invoke({})["said"] == "echo"
    assert records.only["node"][0] == "step"
    assert reached(graph).reached[0][0] == "step"
    assert not reached(graph).unreached


def test_a_graph_that_is_not_compiled_yet_can_be_routed(tmp_path: Path, records: Records):
    builder = route(graph_of(step=_closure()), tmp_path, recorder=records)
    builder.compile().invoke({})
    assert records.only["node"] == ["step"]


def test_a_function_of_the_functional_api_can_be_routed(tmp_path: Path, records: Records):
    model = echo()

    @task
    def ask(text: str) -> str:
        return str(model.invoke(text).content)

    @entrypoint()
    def work(text: str) -> str:
        return ask(text).result()

    assert route(work, tmp_path, recorder=records).invoke("a") == "echo"
    assert records.only["response"]["content"] == "echo"


def test_what_cannot_be_reached_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    client = openai.OpenAI(api_key="none")

    def raw(state: State) -> State:
        return {"said": str(client.models)}

    def inside(state: State) -> State:
        import anthropic  # never run

        return {"said": str(anthropic.Anthropic())}

    with caplog.at_level(logging.WARNING, "protege.langgraph"):
        reach = reached(route(graph_of(good=_closure(), raw=raw, inside=inside, code=lambda state: {}), tmp_path))
    assert reach.reached == (("good",),)
    assert set(reach.unreached) == {("raw",), ("inside",)}
    assert "openai.OpenAI" in reach.unreached[("raw",)]
    assert "anthropic" in reach.unreached[("inside",)]
    assert reach.without == (("code",),)
    assert [("Node raw" in m, "Node inside" in m) for m in caplog.messages] == [(True, False), (False, True)]
    assert str(reach).splitlines()[0] == "good: ScriptedTeacher"


def test_a_nested_graphs_nodes_are_told_by_their_path(tmp_path: Path):
    inner = graph_of(first=_closure(), second=_closure()).compile()
    graph = route(graph_of(outer=inner, agent=create_agent(echo(), [add])).compile(), tmp_path)
    assert set(reached(graph).reached) == {("outer", "first"), ("outer", "second"), ("agent", "model")}


def test_a_routed_model_is_what_it_was(tmp_path: Path, records: Records, endpoint: str):
    model = ChatOpenAI(base_url=endpoint, api_key="none", model="large")
    before = (repr(model), model.lc_id(), model._llm_type, model.bind_tools([add]).kwargs)  # pyright: ignore[reportAttributeAccessIssue]
    graph = route(graph_of(step=lambda state: {"said": model.invoke("a").text}).compile(), tmp_path, recorder=records)
    assert isinstance(model, ChatOpenAI)
    assert before == (repr(model), model.lc_id(), model._llm_type, model.bind_tools([add]).kwargs)  # pyright: ignore[reportAttributeAccessIssue]
    assert model.invoke("outside of the graph").text
    assert records.kept == []
    model.temperature = 0.25
    graph.invoke({})
    assert records.only["parameters"] == {"temperature": 0.25}, "what is set later counts"
    copied = model.model_copy(update={"temperature": 0.5})
    assert copied.invoke("a").text
    assert copied.temperature == 0.5


def test_a_routed_model_is_pickled_as_what_it_was(tmp_path: Path):
    model = FakeListChatModel(responses=["b"])
    route(graph_of(step=lambda state: {"said": model.invoke("a").text}), tmp_path)
    back = pickle.loads(pickle.dumps(model))
    assert type(back) is FakeListChatModel
    assert back.invoke("a").text == "b"


def test_routing_twice_records_once(tmp_path: Path, records: Records):
    graph = graph_of(step=_closure()).compile()
    route(route(graph, tmp_path, recorder=records), tmp_path, recorder=records).invoke({})
    assert len(records.kept) == 1


def test_a_model_that_is_wrapped_already_is_left_to_its_wrapper(tmp_path: Path, records: Records):
    model = ChatProtege(echo(), tmp_path, recorder=records)
    graph = route(graph_of(step=lambda state: {"said": model.invoke("a").text}).compile(), tmp_path / "other")
    graph.invoke({})
    assert reached(graph).reached == (("step",),)
    assert len(records.kept) == 1


def test_a_rate_limit_is_waited_for_once(tmp_path: Path, records: Records):
    class Limiter:
        acquired = 0

        def acquire(self, *, blocking: bool = True) -> bool:
            self.acquired += 1
            return True

    limiter: Any = Limiter()
    model = echo()
    model.__dict__["rate_limiter"] = limiter  # pyright: ignore[reportIndexIssue]
    route(graph_of(step=lambda s: {"said": model.invoke("a").text}).compile(), tmp_path, recorder=records).invoke({})
    assert limiter.acquired == 1
    assert len(records.kept) == 1


def test_each_node_goes_by_its_own_rule(tmp_path: Path, records: Records, keeping: Callable[..., Routed]):
    model, other = echo(), ScriptedTeacher(lambda request: "another", model="small")

    def ask(state: State) -> State:
        return {"said": state.get("said", "") + model.invoke("a").text + " "}

    graph = graph_of(switched=ask, recorded=ask, left=ask, other=ask).compile()
    router = keeping({"role": "assistant", "content": "kept"})
    rules: Any = {"recorded": "record", "left": "leave", "other": other}

    def only_echo(request: Any, run: Any = None) -> Any:
        return router.outcome if request.node == ("switched",) else teacher

    from protege.route import Outcome

    teacher = Outcome(None, None, "no live route")
    router.answer = only_echo
    said = route(graph, tmp_path, nodes=rules, recorder=records, router=router).invoke({})["said"]
    assert said.split() == ["kept", "echo", "echo", "another"]
    assert [(r["node"], r["decision"], r["answered_by"]) for r in records.kept] == [
        (["switched"], "kept", "s1"),
        (["recorded"], "off", "scripted-teacher"),
        (["other"], "no live route", "small"),
    ]


def test_another_model_gets_the_tools_in_its_own_form(tmp_path: Path, records: Records, endpoint: str):
    other = ChatOpenAI(base_url=endpoint, api_key="none", model="small")
    agent = create_agent(echo(), [add])
    graph = route(agent, tmp_path, nodes={"model": other}, recorder=records)
    said = graph.invoke({"messages": [("user", "1 and 2")]})["messages"]
    assert said[1].tool_calls[0]["name"] == "add"
    assert {r["answered_by"] for r in records.kept} == {"small"}


@pytest.mark.parametrize(
    ("nodes", "told"),
    [({"nowhere": "record"}, "no node 'nowhere'. It has: step"), ({"step": "replace"}, "a rule is")],
)
def test_a_rule_that_cannot_be_followed_is_refused(tmp_path: Path, nodes: Any, told: str):
    with pytest.raises(ValueError, match=told):
        route(graph_of(step=_closure()), tmp_path, nodes=nodes)


def test_what_is_no_graph_is_refused(tmp_path: Path):
    with pytest.raises(TypeError, match="takes a LangGraph graph"):
        route(echo(), tmp_path)
    with pytest.raises(ValueError, match="not given to route"):
        reached(graph_of(step=_closure()))


def test_a_copy_of_a_model_answers_with_its_own_settings(tmp_path: Path, records: Records):
    asked_with: list[float] = []

    class Warm(ScriptedTeacher):
        temperature: float = 0.0

        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            asked_with.append(self.temperature)
            return super()._generate(*args, **kwargs)

    model = Warm(lambda request: "fine")  # pyright: ignore[reportCallIssue]
    warmths = [i / 100 for i in range(100)]

    def ask(state: State) -> State:
        return {"said": model.model_copy(update={"temperature": float(state.get("said", "0"))}).invoke("a").text}

    graph = route(graph_of(step=ask).compile(), tmp_path, recorder=records)
    for warmth in warmths:
        graph.invoke({"said": str(warmth)})
    assert asked_with == warmths
    assert len(records.kept) == 100


def test_each_graph_goes_by_its_own_rules_though_they_share_a_model(
    tmp_path: Path, records: Records, keeping: Callable[..., Routed]
):
    model = echo()
    router = keeping({"role": "assistant", "content": "kept"})
    left, switched, other = (create_agent(model, []) for _ in range(3))
    route(left, tmp_path, nodes={"model": "leave"}, recorder=records, router=router)
    route(switched, tmp_path, recorder=records, router=router)
    question: Any = {"messages": [("user", "a")]}
    said = [graph.invoke(question)["messages"][-1].text for graph in (left, switched, other)]
    assert said == ["echo", "kept", "echo"]
    assert records.only["answered_by"] == "s1"
    again = route(switched.with_config(tags=["t"]), tmp_path, nodes={"model": "leave"}, recorder=records, router=router)
    assert [graph.invoke(question)["messages"][-1].text for graph in (again, switched)] == ["echo", "kept"]


def test_a_copy_of_a_routed_graph_is_routed_and_reaches_the_same(tmp_path: Path, records: Records):
    graph = route(graph_of(step=_closure()).compile(), tmp_path, recorder=records).with_config(tags=["t"])
    assert graph.invoke({})["said"] == "echo"
    assert len(records.kept) == 1
    assert reached(graph).reached == (("step",),)
    assert reached(route(graph_of(step=_closure()), tmp_path).compile()).reached == (("step",),)


def test_a_nested_graph_that_runs_alone_is_not_switched(tmp_path: Path, records: Records):
    inner = graph_of(first=_closure()).compile()
    outer = route(graph_of(outer=inner).compile(), tmp_path, recorder=records)
    inner.invoke({})
    assert records.kept == []
    route(inner, tmp_path / "other", nodes={"first": "leave"})
    outer.invoke({})
    assert records.only["node"] == ["outer", "first"], "the outer graph decides"


def test_the_task_of_a_function_is_switched_in_its_own_graph_alone(tmp_path: Path, records: Records):
    model = echo()

    @task
    def ask(text: str) -> str:
        return str(model.invoke(text).content)

    @entrypoint()
    def work(text: str) -> str:
        return ask(text).result()

    @entrypoint()
    def other(text: str) -> str:
        return ask(text).result()

    route(work, tmp_path, recorder=records)
    assert (work.invoke("a"), other.invoke("b")) == ("echo", "echo")
    assert records.only["messages"][0]["content"] == "a"


def test_rules_go_with_their_graph(tmp_path: Path):
    model = echo()
    for _ in range(20):
        route(graph_of(step=lambda state: {"said": model.invoke("a").text}).compile(), tmp_path)
    gc.collect()
    assert len(model.__dict__["__protege_switch__"].rules) <= 1


def test_a_wrapper_around_a_routed_model_records_alone(tmp_path: Path, records: Records):
    model = echo()
    wrapper = ChatProtege(model, tmp_path, recorder=records)

    def both(state: State) -> State:
        streamed = "".join(chunk.text for chunk in wrapper.stream("a"))
        return {"said": f"{wrapper.invoke('b').text} {streamed} {model.invoke('c').text}"}

    said = route(graph_of(both=both).compile(), tmp_path, recorder=records).invoke({})["said"]
    assert said == "echo echo echo"
    assert [record["messages"][0]["content"] for record in records.kept] == ["a", "b", "c"]


def test_what_is_asked_between_the_parts_of_a_stream_is_recorded_too(tmp_path: Path, records: Records):
    model = ScriptedTeacher(lambda request: "one two")
    wrapper = ChatProtege(model, tmp_path, recorder=records)

    def both(state: State) -> State:
        said = [model.invoke("inner").text for chunk in wrapper.stream("outer") if chunk.text == "one"]
        return {"said": said[0]}

    route(graph_of(both=both).compile(), tmp_path, recorder=records).invoke({})
    assert [record["messages"][0]["content"] for record in records.kept] == ["inner", "outer"]


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
async def test_a_chain_that_is_a_node_is_recorded_once_beside_a_callback(
    tmp_path: Path, records: Records, monkeypatch: pytest.MonkeyPatch, way: str
):
    monkeypatch.setattr(handler, "recorder_of", lambda home: records)
    graph = route(graph_of(step=_sequence()).compile(), tmp_path, recorder=records)
    config: Any = {"callbacks": [ProtegeCallbackHandler(tmp_path)]}
    if way == "invoke":
        graph.invoke({}, config)
    elif way == "ainvoke":
        await graph.ainvoke({}, config)
    elif way == "stream":
        list(graph.stream({}, config, stream_mode="messages"))
    else:
        [_ async for _ in graph.astream({}, config, stream_mode="messages")]
    assert records.only["node"] == ["step"]


def test_no_function_is_kept_alive_by_the_search(tmp_path: Path):
    def routed() -> weakref.ref[Any]:
        held = _Node(echo())
        route(graph_of(step=lambda state: held(state)), tmp_path)
        return weakref.ref(held)

    gone = routed()
    gc.collect()
    assert gone() is None
