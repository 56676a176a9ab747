"""What the tests share: a recorder that keeps a list, a route that answers as told, an OpenAI-compatible server."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from protege.call import Attempt, Message, Request
from protege.route import Outcome


@dataclass
class Records:
    """A recorder that keeps what it was given, as the journal would: by its bytes at that moment."""

    kept: list[dict[str, Any]] = field(default_factory=list)

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
    asked: list[tuple[Request, str | None]] = field(default_factory=list)

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
def endpoint() -> Iterator[str]:
    """A server on loopback that answers in OpenAI's chat form whatever it is asked."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


class _Endpoint(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"  # a connection a call: langchain-openai shares its client between tests' event loops

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        message = _answer(asked)
        reason = "tool_calls" if message.get("tool_calls") else "stop"
        usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
        head = {"id": "chatcmpl-1", "created": 1, "model": asked["model"]}
        if asked.get("stream"):
            self._send("text/event-stream", _events(head, message, reason, usage))
        else:
            choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
            body = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
            self._send("application/json", json.dumps(body))

    def _send(self, kind: str, body: str) -> None:
        data = body.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    tools, choice, last = asked.get("tools"), asked.get("tool_choice"), asked["messages"][-1]
    if tools and (choice or last["role"] == "user"):
        named = choice["function"]["name"] if isinstance(choice, dict) else tools[0]["function"]["name"]
        schema = next(t["function"]["parameters"] for t in tools if t["function"]["name"] == named)
        function = {"name": named, "arguments": json.dumps(_filled(schema, str(last["content"])))}
        return {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
    response_format = asked.get("response_format") or {}
    if schema := response_format.get("json_schema", {}).get("schema"):
        return {"content": json.dumps(_filled(schema, "why?"))}
    if response_format:
        return {"content": json.dumps({"setup": "why?", "punchline": "because"})}
    return {"content": "Hello there, how are things?"}


def _filled(schema: dict[str, Any], text: str) -> dict[str, Any]:
    number = int((re.findall(r"\d+", text) or ["3"])[0])
    return {
        name: number if kind.get("type") == "integer" else text for name, kind in schema.get("properties", {}).items()
    }


def _events(head: dict[str, Any], message: dict[str, Any], reason: str, usage: dict[str, Any]) -> str:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in re.findall(r"\S+\s*", message["content"] or "")]
    if calls := message.get("tool_calls"):
        deltas.append({"tool_calls": [{"index": 0, **calls[0]}]})
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": reason})
    chunks = [{**head, "object": "chat.completion.chunk", "choices": [choice]} for choice in choices]
    chunks.append({**head, "object": "chat.completion.chunk", "choices": [], "usage": usage})
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
