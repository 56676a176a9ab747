"""Whose retries count, and streams that were cut off."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx
import httpx2
import openai
import pytest
from agents import Records, Routed
from protege_clients import wrap

ASKED: list[Any] = [{"role": "user", "content": "Is it spam?"}]
HEADERS = {"retry-after-ms": "1"}
TROUBLE = {"error": {"message": "overloaded"}}


def failing(library: Any) -> Any:
    return library.MockTransport(lambda _: library.Response(500, json=TROUBLE, headers=HEADERS))


@pytest.mark.parametrize(("before", "after"), [(2, 0), (0, 2), (0, 0), (1, 1)])
async def test_a_copy_of_a_client_is_counted_by_its_own_retries(
    before: int, after: int, records: Records, teacher_only: Routed, monkeypatch: Any
) -> None:
    kinds = (openai.OpenAI, openai.AsyncOpenAI, anthropic.Anthropic)
    for kind in kinds:
        monkeypatch.setattr(kind, "_calculate_retry_timeout", lambda *_: 0.0)
    sending = (
        httpx.Client(transport=failing(httpx)),
        httpx.AsyncClient(transport=failing(httpx)),
        httpx2.Client(transport=failing(httpx2)),
    )
    wrapped: Any = (
        wrap(kind(api_key="none", http_client=http, max_retries=before), recorder=records, router=teacher_only)  # type: ignore[arg-type]
        for kind, http in zip(kinds, sending, strict=True)
    )
    one, other, third = wrapped
    asked: Any = {"model": "m", "messages": ASKED}
    with pytest.raises(openai.InternalServerError):
        one.with_options(timeout=9).with_options(max_retries=after).chat.completions.create(**asked)
    with pytest.raises(openai.InternalServerError):
        await other.with_options(max_retries=after).chat.completions.create(**asked)
    with pytest.raises(anthropic.InternalServerError):
        third.with_options(max_retries=after).messages.create(**asked, max_tokens=9)
    assert [record["error"] for record in records.kept] == ["HTTP 500: overloaded"] * 3


BEGUN = {"type": "response.created", "response": {"model": "m", "status": "in_progress", "output": []}}
CUTS = [
    ("/v1/responses", {"input": "?", "stream": True}, [BEGUN], "data: %s\n\n"),
    ("/v1/chat/completions", {"messages": ASKED, "stream": True}, [{"choices": [{"delta": {"content": "s"}}]}], "%s\n"),
    ("/api/chat", {"messages": ASKED}, [{"message": {"content": "s"}, "done": False}], "%s\n"),
    ("/v1beta/models/m:streamGenerateContent", {"contents": "?"}, [{"candidates": []}], "[%s,"),
]


@pytest.mark.parametrize(("path", "asked", "documents", "form"), CUTS)
def test_a_cut_off_stream_of_any_form_counts_as_failed(
    path: str, asked: Any, documents: list[Any], form: str, records: Records, teacher_only: Routed
) -> None:
    body = "".join(form % json.dumps(document) for document in documents)
    handler = httpx.MockTransport(lambda _: httpx.Response(200, text=body))
    with wrap(httpx.Client(transport=handler), recorder=records, router=teacher_only) as client:
        client.post(f"http://x{path}", json={"model": "m", **asked})
    assert records.only["error"] == "the stream ended before its end was told"
