"""OpenAI's older completions of a text: https://platform.openai.com/docs/api-reference/completions"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import orjson

from ..call import Reply
from ..errors import BadCall, InvalidAnswer
from . import teacher
from .base import Asked, Dialect, read
from .openai_chat import fingerprint, usage
from .paths import deployment_in
from .writing import DONE, Said, event, new_id, now, said


class OpenAICompletions(Dialect):
    """`POST …/completions`."""

    name: ClassVar[str] = "openai-completions"

    def _asked(self, path: str, query: Mapping[str, str], body: Mapping[str, Any]) -> Asked:
        prompt = body.get("prompt")
        prompts = [prompt] if isinstance(prompt, str) else prompt
        if not prompts or not all(isinstance(text, str) for text in prompts):
            raise BadCall("a prompt that is no text.")
        options = body.get("stream_options") or {}
        return read(
            {**body, "prompt": prompts},
            {
                teacher.ANSWERS: len(prompts) > 1 or (body.get("n") or 1) != 1 or (body.get("best_of") or 1) != 1,
                teacher.LOGPROBS: body.get("logprobs") is not None or body.get("prompt_logprobs") is not None,
                teacher.GUIDED: teacher.guides(body),
                teacher.OUTPUT: body.get("echo") or body.get("suffix"),
            },
            model=deployment_in(path) or body.get("model"),
            streams=body.get("stream"),
            details={"usage": bool(options.get("include_usage"))},
        )

    def whole(self, reply: Reply, asked: Asked) -> bytes:
        answer = _text(reply, asked)
        return orjson.dumps({**_head(reply, asked), "choices": [_choice(answer)], "usage": usage(answer)})

    def stream(self, reply: Reply, asked: Asked) -> list[bytes]:
        answer = _text(reply, asked)
        with_usage = asked.details.get("usage")
        head = _head(reply, asked) | ({"usage": None} if with_usage else {})
        events = [
            event({**head, "choices": [{**_choice(answer), "finish_reason": None}]}),
            event({**head, "choices": [{**_choice(answer), "text": ""}]}),
        ]
        if with_usage:
            events.append(event({**head, "choices": [], "usage": usage(answer)}))
        return [*events, DONE]


def _text(reply: Reply, asked: Asked) -> Said:
    answer = said(reply, asked)
    if answer.calls:
        raise InvalidAnswer("a tool call where a text was asked for")
    return answer


def _choice(answer: Said) -> dict[str, Any]:
    return {"text": answer.text, "index": 0, "logprobs": None, "finish_reason": "length" if answer.cut else "stop"}


def _head(reply: Reply, asked: Asked) -> dict[str, Any]:
    return {
        "id": new_id("cmpl-"),
        "object": "text_completion",
        "created": now(),
        "model": asked.model,
        **fingerprint(reply),
    }
