"""A server that speaks every API that the gateway stands in front of, and answers from a script."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import orjson
from gateways import Send, body_of, left, lifespan
from protege.call import Attempt, Reply, Request, request_from, text_of
from protege.dialects import dialect_at
from protege.errors import BadCall
from protege.gateway.refusals import Refusal, written
from protege.route import Outcome

SLOW_S = 30.0


def scripted(request: Request) -> dict[str, Any]:
    """The answer to a request: a call of its tool, JSON of its schema, or a word; after a tool's result another."""
    if request.messages[-1].get("role") == "tool":
        return {"role": "assistant", "content": "it rains"}
    if names := request.tool_names:
        arguments = '{"queue":"billing"}' if names[0] in ("queue", "json") else '{"city":"Oslo"}'
        call = {"id": "call_1", "type": "function", "function": {"name": names[0], "arguments": arguments}}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    if request.response_format:
        return {"role": "assistant", "content": '{"queue":"billing"}'}
    return {"role": "assistant", "content": "hello"}


EMPTY: dict[str, Any] = {"object": "list", "data": []}
_EMBEDDING = {"object": "embedding", "index": 0, "embedding": [0.5, -0.5]}
OTHERS: dict[tuple[str, str], dict[str, Any]] = {
    ("anthropic", "count_tokens"): {"input_tokens": 12},
    ("gemini", "count_tokens"): {"totalTokens": 12},
    ("openai", "embeddings"): {
        "object": "list",
        "model": "m",
        "data": [_EMBEDDING],
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    },
}
"""The answers to what is no call of a model, by front and operation; others get EMPTY."""


class Apis:
    """The server. It fails with a status where it is asked for `error-STATUS`, and is late where for `slow`."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            return await lifespan(receive, send)
        body = await body_of(receive)
        self.asked += 1
        query = dict(pair.split("=", 1) for pair in scope["query_string"].decode().split("&") if "=" in pair)
        operation = dialect_at(scope["method"], scope["path"])
        if operation.dialect is None:
            return await whole(send, 200, orjson.dumps(OTHERS.get((operation.front, operation.name), EMPTY)))
        try:
            asked = operation.dialect.asked(scope["path"], query, orjson.loads(body))
            request = request_from(asked.record)
        except (BadCall, ValueError):
            return await whole(send, 400, written(Refusal(400, "not understood"), operation.front))
        wish = text_of(request.messages[-1])
        if wish.startswith("error-"):
            status = int(wish[6:])
            return await whole(send, status, written(Refusal(status, "scripted"), operation.front))
        if wish == "slow" and await left(receive, SLOW_S):
            return None
        answer = scripted(request)
        reason = "tool_calls" if answer.get("tool_calls") else "stop"
        reply = Reply(answer, reason, asked.model, 12, 3)
        kind = operation.dialect.content_type(asked).encode()
        if not asked.streams:
            return await whole(send, 200, operation.dialect.whole(reply, asked), kind)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        for event in operation.dialect.stream(reply, asked):
            await send({"type": "http.response.body", "body": event, "more_body": True})
            await asyncio.sleep(0.001)
        await send({"type": "http.response.body", "body": b""})


async def whole(send: Send, status: int, body: bytes, kind: bytes = b"application/json") -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Specialists:
    """Answer all that the server would, but for what is to fail or to be late."""

    def __init__(self) -> None:
        self.kept = 0

    def answer(self, request: Request, run: str | None = None) -> Outcome:
        if text_of(request.messages[-1]).startswith(("error-", "slow")):
            return Outcome(None, None, "below threshold")
        self.kept += 1
        attempt = Attempt("s1@1", "kept", "kept", 0.99, 1.0, None)
        return Outcome(scripted(request), attempt, "kept", "s1", "s1@1", "t", 12, 3)

    async def aanswer(self, request: Request, run: str | None = None) -> Outcome:
        return self.answer(request, run)
