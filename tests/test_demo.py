"""The demo's agent, with its real entries: every call is recorded, whoever its teacher is."""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from agents import LiveHome
from protege import Request, Workspace, report
from protege.collect import drain

DEMO = Path(__file__).parents[1] / "examples" / "demo"

pytestmark = pytest.mark.skipif(
    len(list((DEMO.parents[1] / ".downloads").glob("*"))) < 3, reason="the set-up has not fetched the demo's inputs"
)


@pytest.fixture(scope="module")
def demo() -> Iterator[ModuleType]:
    sys.path.insert(0, str(DEMO))
    import demo

    yield demo
    sys.path.remove(str(DEMO))


@pytest.fixture(scope="module")
def entries(demo: ModuleType) -> list[Any]:
    every = demo.inbox()
    return [*[entry for entry in every if not entry.tools][:30], *[entry for entry in every if entry.tools][:3]]


@pytest.fixture
def endpoint(demo: ModuleType, entries: list[Any]) -> Iterator[str]:
    """An OpenAI-compatible endpoint on loopback, whose model knows the labels."""
    labels = demo.teacher.Published(entries)

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            message = labels.answer(Request(tuple(asked["messages"]), tools=tuple(asked.get("tools", ()))))
            finish = "tool_calls" if message.get("tool_calls") else "stop"
            usage = {"prompt_tokens": 40, "completion_tokens": 5, "total_tokens": 45}
            choice = {"index": 0, "message": message, "finish_reason": finish}
            answer = {"id": "c", "object": "chat.completion", "created": 0, "model": asked["model"]}
            body = json.dumps({**answer, "choices": [choice], "usage": usage}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def watched(demo: ModuleType, entries: list[Any], model: Any, home: Path) -> list[Any]:
    demo.run(entries, model, home, "watching")
    workspace = Workspace(home)
    drain(workspace)
    return list(workspace.calls())


def expected(entries: list[Any]) -> Counter[tuple[str, ...]]:
    """How often each node is asked: a person's or an address's entry twice, a request once."""
    kinds = Counter(entry.kind for entry in entries)
    asked = {"sort": len(entries) - kinds["request"], "place": kinds["address"], "name": kinds["person"]}
    return Counter({(node,): count for node, count in {**asked, "assist": kinds["request"]}.items() if count})


def test_with_labels_for_a_teacher_every_node_is_recorded(demo: ModuleType, entries: list[Any], tmp_path: Path) -> None:
    calls = watched(demo, entries, demo.teacher.published(entries), tmp_path)
    assert Counter(call.node for call in calls) == expected(entries)
    assert {call.model for call in calls} == {"published-labels"}
    assert sum(bool(call.request.tools) for call in calls) == 3


def test_with_a_real_endpoint_for_a_teacher_the_same_calls_are_recorded(
    demo: ModuleType, entries: list[Any], endpoint: str, tmp_path: Path
) -> None:
    calls = watched(demo, entries, demo.teacher.endpoint(endpoint, "some-model"), tmp_path)
    assert Counter(call.node for call in calls) == expected(entries)
    assert {call.model for call in calls} == {"some-model"}
    assert all(call.latency_ms and call.latency_ms > 0 and call.input_tokens == 40 for call in calls)


def test_an_agent_succeeds_where_every_field_is_the_published_one(demo: ModuleType, entries: list[Any]) -> None:
    graph = demo.build(demo.teacher.published(entries))
    for entry in entries:
        state = graph.invoke({"text": entry.text, "tools": entry.tools})
        assert demo.as_published(state, entry)
        spoilt = {"call": {"name": "other"}} if entry.tools else {"fields": {"city": "Rome"}}
        assert not demo.as_published({**state, **spoilt}, entry)
    person = next(entry for entry in entries if entry.kind == "person")
    assert not demo.as_published({"kind": "company"}, person)


def test_the_whole_agent_is_compared_with_and_without(
    demo: ModuleType, entries: list[Any], live_home: LiveHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("protege.Router", lambda home: live_home.router)
    demo.whole_agent(live_home.workspace, entries, demo.teacher.published(entries))
    found = report.gather(live_home.workspace).end_to_end
    assert found is not None
    assert (found.without.succeeded, found.with_specialists.succeeded) == (33, 33)
    assert found.without.calls == sum(expected(entries).values()), "the calls of its own runs, and of no others"
