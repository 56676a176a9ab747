"""For the tests of all adapters: recorders and routes that stand in memory, a live home, an OpenAI-compatible server.

A pytest plugin; its fixtures are there in every package's tests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from memory_engine import BASE, FINGERPRINT, MemoryEngine
from openai_server import Exchange, OpenAIServer
from protege import Route, Specialist, Task, Template, Workspace
from protege.call import Attempt, Call, Message, Request, text_of
from protege.collect import drain
from protege.rollout import publish
from protege.route import Outcome, Router
from protege.task import Kind, TemplatePart


@dataclass
class Records:
    """A recorder that keeps what it was given, as the journal would: by its bytes at that moment."""

    kept: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def record(self, call_record: dict[str, Any]) -> None:
        self.kept.append(json.loads(json.dumps(call_record)))

    @property
    def only(self) -> dict[str, Any]:
        assert len(self.kept) == 1, f"{len(self.kept)} calls were recorded"
        return self.kept[0]


@dataclass
class Routed:
    """A route that gives the same outcome, or raises it, and remembers what it was asked."""

    outcome: Outcome | BaseException
    asked: list[tuple[Request, str | None]] = field(default_factory=list[tuple[Request, str | None]])

    def answer(self, request: Request, run: str | None = None) -> Outcome:
        self.asked.append((request, run))
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    async def aanswer(self, request: Request, run: str | None = None) -> Outcome:
        return self.answer(request, run=run)


@pytest.fixture
def records() -> Records:
    return Records()


@pytest.fixture
def teacher_only() -> Routed:
    """A route that leaves every call to the teacher."""
    return Routed(Outcome(None, None, "no live route"))


@pytest.fixture
def keeping() -> Callable[[Message], Routed]:
    """Makes a route whose specialist's answer is kept."""

    def make(message: Message) -> Routed:
        attempt = Attempt(by="s1", outcome="kept", reason="confident", confidence=0.99, latency_ms=12.0)
        return Routed(Outcome(message, attempt, "kept", "tickets-v1", "s1", "t1", input_tokens=25, output_tokens=3))

    return make


@pytest.fixture
def handing_back() -> Routed:
    """A route whose specialist was not sure."""
    attempt = Attempt(by="s1", outcome="handed_back", reason="below the threshold", confidence=0.4, content="maybe")
    return Routed(Outcome(None, attempt, "below threshold", "tickets-v1", "s1", "t1"))


@pytest.fixture
def broken() -> Routed:
    """A route that fails."""
    return Routed(RuntimeError("the route is broken"))


@pytest.fixture(scope="session")
def _openai_server() -> Iterator[OpenAIServer]:
    server = OpenAIServer()
    yield server
    server.close()


@pytest.fixture
def openai_server(_openai_server: OpenAIServer) -> OpenAIServer:
    """The server, its memory empty."""
    _openai_server.reset()
    return _openai_server


@pytest.fixture
def endpoint(openai_server: OpenAIServer) -> str:
    """The address to give to a framework's OpenAI client."""
    return openai_server.url


INSTRUCTIONS: Mapping[Kind, str] = {
    "label": "Name the colour of the thing. Answer with one word.",
    "tool_calls": "Add up the numbers that the user gives. Call the tool.",
    "json": "Take the shape out of the description. Answer with a JSON object.",
}
"""The system text of each task of the live home."""

SAID: Mapping[Kind, str] = {
    "label": "red",
    "tool_calls": '{"name": "add", "arguments": {"a": 1, "b": 2}}',
    "json": '{"shape": "round"}',
}
"""What each task's specialist answers."""


@dataclass
class LiveHome:
    """A home with a live route for each kind of task, whose engine stands in memory."""

    workspace: Workspace
    engine: MemoryEngine
    router: Router

    @property
    def path(self) -> Path:
        return self.workspace.home

    def calls(self) -> list[Call]:
        """The calls recorded so far, in order."""
        drain(self.workspace)
        return sorted(self.workspace.calls(), key=lambda call: call.time or 0)

    @property
    def only(self) -> Call:
        calls = self.calls()
        assert len(calls) == 1, f"{len(calls)} calls were recorded"
        return calls[0]


@pytest.fixture
def live_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveHome]:
    """Its specialists answer at once, with SAID; `engine.dies = True` makes the engine go away while answering."""
    monkeypatch.delenv("PROTEGE_ROUTE", raising=False)
    workspace = Workspace(tmp_path / "home")
    workspace.save_tasks([_task(kind, text) for kind, text in INSTRUCTIONS.items()], {})
    for kind in INSTRUCTIONS:
        workspace.save_specialist(
            Specialist(f"id-{kind}", f"{kind}-v1", kind, 1, base=BASE, form="slots", state="live", created=1.0)
        )
        workspace.save_route(
            Route(
                task_id=kind,
                specialist_id=f"id-{kind}",
                threshold=0.8,
                fingerprint=FINGERPRINT,
                epsilon=0.05,
                delta=0.05,
                calibration_calls=260,
                kept=240,
                errors=4,
                signatures=(f"sig-{kind}",),
                timeout_s=5.0,
            )
        )
    publish(workspace)
    engine = MemoryEngine({f"{kind}-v1": said for kind, said in SAID.items()})
    router = Router(workspace.home, connect=lambda home: engine, start=lambda home: None)
    assert router.wait_until_ready(5)
    yield LiveHome(workspace, engine, router)
    router.close()
    workspace.close()


def _task(kind: Kind, instruction: str) -> Task:
    words = {word.strip(".").lower() for word in instruction.split()}
    return Task(
        id=kind,
        name=kind,
        kind=kind,
        labels=("red", "blue") if kind == "label" else (),
        templates=(Template(f"sig-{kind}", (TemplatePart(0, "system", lines=(instruction,)),)),),
        centre=dict.fromkeys(words, len(words) ** -0.5),  # pyright: ignore[reportArgumentType]
        calls=500,
    )


def assert_same_as_sent(call: Call, exchange: Exchange) -> None:
    """The recorded call is what the server received and sent: content, tool arguments and usage, to the byte."""
    asked = exchange.asked["messages"]
    assert len(call.request.messages) == len(asked)
    for recorded, sent in zip(call.request.messages, asked, strict=True):
        assert recorded["role"] == sent["role"]
        assert text_of(recorded) == text_of(sent)
        assert _tool_calls(recorded) == _tool_calls(sent)
        assert recorded.get("tool_call_id") == sent.get("tool_call_id")
    assert [_offered(tool) for tool in call.request.tools] == [
        _offered(tool) for tool in exchange.asked.get("tools") or ()
    ]
    assert call.response is not None
    assert text_of(call.response) == text_of(exchange.message)
    assert _tool_calls(call.response) == _tool_calls(exchange.message)
    assert call.answered_by == exchange.asked["model"]
    if exchange.usage is not None:
        assert call.input_tokens == exchange.usage["prompt_tokens"]
        assert call.output_tokens == exchange.usage["completion_tokens"]


def _tool_calls(message: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    calls = message.get("tool_calls") or ()
    return [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in calls]


def _offered(tool: Mapping[str, Any]) -> tuple[str, list[str]]:
    function = tool["function"]
    return function["name"], sorted(function.get("parameters", {}).get("properties", {}))
