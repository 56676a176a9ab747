"""What providers' clients and servers send is read in time that grows with its length only, whatever it repeats."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hostile import check, forgotten, functions, in_the_agent_s, quietly
from protege.call import Reply
from protege.dialects import (
    Asked,
    bodies,
    default_node,
    dialect_at,
    own_tools,
    paths,
    reading,
    teacher,
    tried_id,
    without_images,
    writing,
)
from protege.errors import ProtegeError

PATHS = (
    "/v1/chat/completions", "/v1/responses", "/v1/completions", "/v1/messages", "/v1beta/models/m:generateContent",
    "/api/chat", "/api/generate",
)  # fmt: skip


def body(text: str) -> dict[str, Any]:
    """A request of every dialect at once, with the text in all places that hold any."""
    said = {"role": "user", "content": [{"type": "text", "text": text}]}
    function = {"name": text[:64], "description": text, "parameters": {"properties": {text: {}}}}
    return {
        "model": text, "system": text, "instructions": text, "messages": [said, {"role": "user", "content": text}],
        "input": text, "prompt": text, "contents": [{"role": "user", "parts": [{"text": text}]}],
        "tools": [{"type": "function", "function": function}], "tool_choice": text, "store": False,
    }  # fmt: skip


def asked(text: str) -> None:
    for path in PATHS:
        dialect = dialect_at("POST", path).dialect
        assert dialect is not None
        quietly(lambda d=dialect, p=path: d.asked(p, {"alt": text}, body(text)))


def answered(text: str) -> None:
    chunk = json.dumps({"choices": [{"delta": {"content": text}}]})
    dialect = dialect_at("POST", PATHS[0]).dialect
    assert dialect is not None
    for told in (text, f"data: {text}", f"[{text}", f"data: {chunk}\n\n{text}", chunk, f'{{"done": 1}}\n{text}'):
        quietly(lambda t=told: dialect.answered(t.encode(errors="replace")))


def written(text: str) -> None:
    call = {"id": text, "function": {"name": text, "arguments": json.dumps({text: text})}}
    reply = Reply({"role": "assistant", "content": text, "tool_calls": [call]}, "stop", text)
    plain = Reply({"role": "assistant", "content": text}, "stop", text)
    for path in PATHS:
        dialect = dialect_at("POST", path).dialect
        assert dialect is not None
        try:
            request = dialect.asked(path, {}, body(text))
        except ProtegeError:
            continue
        for each in (reply, plain):
            quietly(lambda d=dialect, r=each, a=request: (d.whole(r, a), d.stream(r, a)))


def node(text: str) -> None:
    for said in (text, f"You are a {text}", f"You are a x, named {text}", f"# format example {text}", f"Role: {text}"):
        messages = [{"role": "system", "content": said}, {"role": "user", "content": said}]
        default_node({"messages": messages}, text)
        default_node({"messages": messages, "tools": body(text)["tools"]}, text)


def unseen(text: str) -> None:
    parts = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": text}}]
    said = [{"role": "user", "content": parts}, {"role": "user", "content": text, "images": [text]}]
    without_images(Asked({"messages": said}, text, False, teacher.MEDIA))


CALLED: Mapping[str, Callable[[str], object]] = {
    "dialects.base.Dialect.asked()": asked,
    "dialects.base.Dialect.whole()": written,
    "dialects.base.Dialect.answered()": answered,
    "dialects.bodies.documents": lambda text: quietly(
        lambda: bodies.documents(f"data:{text}".encode(errors="replace"))
    ),
    "dialects.naming.default_node": node,
    "dialects.naming.tried_id": lambda text: tried_id(text, text.encode(errors="replace")),
    "dialects.own_tools.without_secrets": lambda text: own_tools.without_secrets({"url": text, text: f"//{text}"}),
    "dialects.paths.place_of": lambda text: [paths.place_of(t) for t in (text, f"/{text}/messages")],
    "dialects.paths.deployment_in": lambda text: paths.deployment_in(f"/openai/deployments/{text}"),
    "dialects.paths.gemini_model_in": lambda text: quietly(lambda: paths.gemini_model_in(f"/models/{text}:x")),
    "dialects.registry.dialect_at": lambda text: dialect_at(text, f"/{text}"),
    "dialects.reading.request_of": lambda text: quietly(lambda: reading.request_of(body(text))),
    "dialects.reading.response_of": lambda text: quietly(lambda: reading.response_of({"message": {"content": text}})),
    "dialects.seeing.without_images": unseen,
    "dialects.teacher.searches": lambda text: teacher.searches(text),
    "dialects.teacher.gives_more_than_text": lambda text: teacher.gives_more_than_text(text),
    "dialects.teacher.signs_calls": lambda text: teacher.signs_calls(f"gemini-{text}", [1]),
    "dialects.writing.with_prefix": lambda text: writing.with_prefix(text, "call_"),
}
TIMES = {
    "dialects.base.Dialect.asked()": 30,
    "dialects.base.Dialect.whole()": 60,
    "dialects.base.Dialect.answered()": 6,
    "dialects.naming.default_node": 20,
    "dialects.seeing.without_images": 3,
}
"""How often the text stands in what the function is given."""
ELSEWHERE = {
    "dialects.base": "called by the dialects",
    "dialects.bodies.answer_in": "called by the dialects",
    "dialects.bodies.answer_told": "called by in_every_form",
    "dialects.streamed": "called by the dialects",
    "dialects.openai_chat": "called by the dialects",
    "dialects.record": "looks entries up",
    "dialects.reading.is_request": "looks entries up",
    "dialects.reading.pending": "looks entries up",
    "dialects.reading.options_of": "called by request_of",
    "dialects.reading.tools_of": "called by request_of",
    "dialects.teacher.holds_media": "called by the dialects",
    "dialects.teacher.cites": "called by the dialects",
    "dialects.teacher.guides": "looks entries up",
    "dialects.teacher.is_on": "looks entries up",
    "dialects.teacher.named": "looks entries up",
    "dialects.teacher.prefills": "looks entries up",
    "dialects.teacher.ran_code": "looks entries up",
    "dialects.teacher.thinks": "looks entries up",
    "dialects.teacher.restricts_tools": "looks entries up",
    "dialects.teacher.offers_own_tools": "looks entries up",
    "dialects.writing.said": "called by the dialects",
    "dialects.writing.new_id": "takes our own words",
    "dialects.writing.event": "writes JSON",
}


def test_each_function_that_takes_text_is_called_here() -> None:
    assert not forgotten(functions("protege.dialects"), CALLED, ELSEWHERE)


@pytest.mark.parametrize("name", CALLED)
def test_no_repetition_makes_it_slow(name: str) -> None:
    check(CALLED[name], lambda text: TIMES.get(name, 1) * in_the_agent_s(text))


def test_the_depth_of_what_is_sent_is_no_matter() -> None:
    deep: Any = {"type": "image"}
    for _ in range(5000):
        deep = {"content": [deep]}
    assert teacher.holds_media([{"role": "user", "content": [deep]}]) is False
    asked_deep = "[" * 100_000
    quietly(lambda: bodies.answer_in(asked_deep.encode()))
