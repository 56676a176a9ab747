"""An OpenAI-compatible server on loopback that keeps what it was sent and what it sent, byte for byte.

What it answers: `answer` of a test, else what the request asks for (a tool's call, JSON of a schema, or words). The
content of the last message may ask for trouble: see FAIL, CUT and SLOW.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAIL = "answer with status 400"
CUT = "break off in the middle"
SLOW = "take your time"
"""In the last message's text: an error at once; a stream whose connection ends after two words; 0.2 s a word."""

USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
WORDS = "Hello there, how are things?"

Answer = Callable[[dict[str, Any]], Mapping[str, Any]]


@dataclass
class Exchange:
    """A request and what came of it. body, sent: the bytes of both. message: the whole answer, however it was sent."""

    body: bytes
    asked: dict[str, Any]
    message: dict[str, Any]
    usage: dict[str, Any] | None
    sent: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    """By name in title case: OpenAI's client 3 writes them in lower case, client 2 in title case."""


class OpenAIServer:
    """Runs in a thread; `exchanges` in the order of their coming. `answer`: from a request to an assistant message."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.answer: Answer = wanted
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def only(self) -> Exchange:
        assert len(self.exchanges) == 1, f"{len(self.exchanges)} requests came"
        return self.exchanges[0]

    def reset(self) -> None:
        self.exchanges, self.answer = [], wanted

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # many agents connect at once


def wanted(asked: dict[str, Any]) -> dict[str, Any]:
    """What a request asks for: a tool's call, JSON of a schema, or words."""
    tools, choice, last = asked.get("tools"), asked.get("tool_choice"), asked["messages"][-1]
    if choice == "auto":
        choice = None
    if tools and choice != "none" and (choice or last["role"] == "user"):
        named = choice["function"]["name"] if isinstance(choice, dict) else tools[0]["function"]["name"]
        schema = next(t["function"]["parameters"] for t in tools if t["function"]["name"] == named)
        function = {"name": named, "arguments": json.dumps(filled(schema, str(last["content"])))}
        return {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
    response_format = asked.get("response_format") or {}
    if schema := response_format.get("json_schema", {}).get("schema"):
        return {"content": json.dumps(filled(schema, "why?"))}
    if response_format.get("type") == "json_object":
        return {"content": json.dumps({"setup": "why?", "punchline": "because"})}
    return {"content": WORDS}


def filled(schema: Mapping[str, Any], text: str) -> dict[str, Any]:
    """An object of this schema: texts are `text`, whole numbers those in it, or 3."""
    number = int((re.findall(r"\d+", text) or ["3"])[0])
    return {
        name: number if kind.get("type") == "integer" else text for name, kind in schema.get("properties", {}).items()
    }


def _handler(server: OpenAIServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"  # a connection a call: clients are shared between tests' event loops

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked = json.loads(body)
            last = str(asked["messages"][-1].get("content"))
            if FAIL in last:
                self._exchange(body, asked, {}, None)
                self._send(400, "application/json", b'{"error": {"message": "no", "type": "invalid_request_error"}}')
                return
            message = {"role": "assistant", **server.answer(asked)}
            told = not asked.get("stream") or (asked.get("stream_options") or {}).get("include_usage")
            self._exchange(body, asked, message, USAGE if told else None)
            head = {"id": "chatcmpl-1", "created": 1, "model": asked["model"], "system_fingerprint": "fp_1"}
            reason = "tool_calls" if message.get("tool_calls") else "stop"
            if asked.get("stream"):
                self._stream(_chunks(head, message, reason, bool(told)), last)
            else:
                if SLOW in last:
                    time.sleep(2)
                choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
                whole = {**head, "object": "chat.completion", "choices": [choice], "usage": USAGE}
                self._send(200, "application/json", json.dumps(whole).encode())

        def _exchange(self, body: bytes, asked: Any, message: Any, usage: Any) -> None:
            self.exchange = Exchange(
                body, asked, message, usage, headers={name.title(): value for name, value in self.headers.items()}
            )
            server.exchanges.append(self.exchange)

        def _stream(self, chunks: list[dict[str, Any]], last: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            if CUT in last:
                self.send_header("Content-Length", "1000000")  # so that the client can tell that it was cut off
            self.end_headers()
            for number, chunk in enumerate(chunks):
                if CUT in last and number == 3:
                    return
                if SLOW in last:
                    time.sleep(0.2)
                if not self._write(f"data: {json.dumps(chunk)}\n\n".encode()):
                    return
            self._write(b"data: [DONE]\n\n")

        def _send(self, status: int, kind: str, data: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self._write(data)

        def _write(self, data: bytes) -> bool:
            try:
                self.wfile.write(data)
                self.wfile.flush()
            except OSError:  # the client has gone
                return False
            self.exchange.sent += data
            return True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def _chunks(head: dict[str, Any], message: dict[str, Any], reason: str, usage: bool) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in re.findall(r"\S+\s*", message.get("content") or "")]
    for index, call in enumerate(message.get("tool_calls") or ()):
        arguments = call["function"]["arguments"]
        half = len(arguments) // 2
        opening = {**call, "index": index, "function": {**call["function"], "arguments": arguments[:half]}}
        deltas += [{"tool_calls": [opening]}]
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": arguments[half:]}}]}]
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": reason})
    chunks = [{**head, "object": "chat.completion.chunk", "choices": [choice]} for choice in choices]
    if usage:
        chunks.append({**head, "object": "chat.completion.chunk", "choices": [], "usage": USAGE})
    return chunks
