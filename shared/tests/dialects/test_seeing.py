"""Images are left out of what specialists are shown where the user says so, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
from protege.dialects import LEFT_OUT, Asked, dialect_at, without_images

DATA = "data:image/png;base64,AAAA"
SOURCE = {"type": "base64", "media_type": "image/png", "data": "AAAA"}


def asked(path: str, **body: Any) -> Asked:
    dialect = dialect_at("POST", path).dialect
    assert dialect is not None
    return dialect.asked(path, {}, {"model": "m", **body})


def chat(*parts: Any, **more: Any) -> Asked:
    return asked("/v1/chat/completions", messages=[{"role": "user", "content": list(parts)}], **more)


TEXT = {"type": "text", "text": "[3] link: a lamp"}
IMAGE = {"type": "image_url", "image_url": {"url": DATA}}
ANTHROPIC = [TEXT, {"type": "image", "source": SOURCE}]
GEMINI = [{"text": TEXT["text"]}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]
RESPONSES = [{"type": "input_text", "text": TEXT["text"]}, {"type": "input_image", "image_url": DATA}]
SEEN = [
    chat(TEXT, IMAGE),
    asked("/v1/messages", max_tokens=9, messages=[{"role": "user", "content": ANTHROPIC}]),
    asked("/v1beta/models/g:generateContent", contents=[{"role": "user", "parts": GEMINI}]),
    asked("/v1/responses", store=False, input=[{"role": "user", "content": RESPONSES}]),
    asked("/api/chat", messages=[{"role": "user", "content": TEXT["text"], "images": ["AAAA"]}]),
]


@pytest.mark.parametrize("given", SEEN, ids=["chat", "anthropic", "gemini", "responses", "ollama"])
def test_each_image_becomes_a_mark_and_a_specialist_may_answer(given: Asked) -> None:
    found = without_images(given)
    assert found.teacher_only is None
    assert found.record["messages"] == [{"role": "user", "content": f"{TEXT['text']}\n{LEFT_OUT}"}]
    assert {**found.record, "messages": 0} == {**given.record, "messages": 0}


RESULT = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": SOURCE}]}

CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
}
FUNCTION = {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"}
FUNCTION_OUTPUT = {"type": "function_call_output", "call_id": "c"}
SAID = {"role": "user", "content": "Go on."}
PDF = {"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}}


@pytest.mark.parametrize(
    "given",
    [
        chat(TEXT),
        chat(TEXT, IMAGE, n=2),
        chat(TEXT, {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}),
        chat(IMAGE, {"type": "file", "file": {"file_id": "f"}}),
        asked("/v1/messages", max_tokens=9, messages=[{"role": "user", "content": [RESULT]}]),
        asked("/v1/chat/completions", messages=[CALLED, {"role": "tool", "tool_call_id": "c", "content": [IMAGE]}]),
        asked("/v1/responses", store=False, input=[FUNCTION, {**FUNCTION_OUTPUT, "output": [RESPONSES[1]]}]),
        asked("/v1/chat/completions", messages=[{"role": "assistant", "content": None, "audio": {"id": "a"}}, SAID]),
        asked("/v1beta/models/g:generateContent", contents=[{"role": "user", "parts": [{**GEMINI[0], **PDF}]}]),
        asked("/v1beta/models/g:generateContent", contents=[{"role": "user", "parts": [GEMINI[1], PDF]}]),
    ],
    ids=[
        "text alone",
        "several answers",
        "audio",
        "a file",
        "in a tool's result",
        "in a tool's message",
        "in a function's output",
        "audio of an answer",
        "a file beside its text",
        "a file beside an image",
    ],
)
def test_other_requests_stay_as_they_are(given: Asked) -> None:
    assert without_images(given) is given
