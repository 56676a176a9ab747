"""The prompt that a specialist is shown: messages, rendered by its base's chat template.

Tuning and serving both use this module, so that a specialist is asked as it was taught.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from ..call import Message, Request, text_of
from ..common.forks import importing
from ..errors import CannotRender
from ..specialist import Base, PromptForm
from ..task import Task, Template
from .answer import history_text
from .results import RESULT


def messages_for(task: Task, request: Request, form: PromptForm) -> tuple[Message, ...]:
    """The messages that a specialist of `task` is shown: the slots, or the whole prompt.

    form: "slots" leaves the constant text out, because tuning replaces it; tools are in the system text only if they
    differ from call to call. "whole" shows the whole prompt. A system message always comes first, even an empty one,
    because many chat templates add one of their own if there is none. Raises CannotRender if no wording of the task's
    prompt fits, or if content is not text.
    """
    if form == "whole":
        return as_messages(request.messages, request.tools)
    fitting = fitting_template(task, request)
    if fitting is None:
        raise CannotRender("The request fits no known wording of the task's prompt.")
    template, slots = fitting
    return as_messages(slots, () if template.constant_tools else request.tools)


def as_messages(turns: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> tuple[Message, ...]:
    """Turns and tools in a form that any base's chat template takes. Raises CannotRender if content is not text."""
    plain = [_plain(message) for message in turns]
    system = "\n".join(text for role, text in plain if role == "system")
    if tools:
        system = f"{system}\n{tools_text(tools)}".strip()
    rest = _alternate([(role, text) for role, text in plain if role != "system"])
    return ({"role": "system", "content": system}, *({"role": role, "content": text} for role, text in rest))


def render(base: Base, messages: Sequence[Message]) -> str:
    """The prompt as the base's chat template writes it, up to the beginning of the answer.

    Raises CannotRender if a message holds a control token, since text from outside must not end a turn, and if the
    template cannot be used or does too much (see `sandbox`).
    """
    for message in messages:
        text = text_of(message)
        if any(token in text for token in base.control_tokens):
            raise CannotRender("The input holds a control token of the specialist's base.")
    return _compiled(base.chat_template)(
        messages=messages,
        add_generation_prompt=True,
        bos_token=base.bos,
        eos_token=base.eos[0] if base.eos else "",
        tools=None,
    )


def tools_text(tools: Sequence[Mapping[str, Any]]) -> str:
    """The tools, each as one line of JSON."""
    return "\n".join(orjson.dumps(tool.get("function", tool)).decode() for tool in tools)


def fitting_template(task: Task, request: Request) -> tuple[Template, tuple[Message, ...]] | None:
    """The first wording of the task's prompt that fits the request, and the request's slots; None if none fits."""
    for template in task.templates:
        slots = template.slots(request)
        if slots is not None:
            return template, slots
    return None


def wording_of(task: Task, request: Request) -> str | None:
    """Which wording of the task's prompt a request has; None if none fits.

    The template's signature, and how many system messages say more than its constant text: none, one, or 2 for more. So
    an instruction that somebody adds to a prompt makes another wording of it, although the constant text is all there.
    """
    fitting = fitting_template(task, request)
    if fitting is None:
        return None
    return worded(*fitting)


def worded(template: Template, slots: Sequence[Message]) -> str:
    """As `wording_of`, of what fits."""
    more = sum(message.get("role") in ("system", "developer") for message in slots)
    return f"{template.signature}/{min(2, more)}"


def _plain(message: Message) -> tuple[str, str]:
    """Role and text for any chat template: tool calls become JSON, tool results become the user's turn."""
    content = message.get("content")
    if not (content is None or isinstance(content, str)):
        raise CannotRender("A message holds content that is not text.")
    role = str(message["role"])
    if role == "assistant":
        return "assistant", history_text(message)
    if role in ("tool", "function"):
        return "user", f"{RESULT}{content or ''}"
    return ("system" if role == "developer" else role), content or ""


def _alternate(turns: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The turns, with neighbours of one role joined: some templates refuse two in a row."""
    joined: list[tuple[str, str]] = []
    for role, text in turns:
        if joined and joined[-1][0] == role:
            joined[-1] = (role, f"{joined[-1][1]}\n{text}")
        else:
            joined.append((role, text))
    return joined or [("user", "")]


@functools.lru_cache(maxsize=64)
def _compiled(chat_template: str) -> Callable[..., str]:
    """A function that renders the template. Raises CannotRender, as that function does, if it cannot be used."""
    with importing():
        # Here, since the route loads this module inside the agent: jinja2 takes 55 ms to import.
        from .sandbox import compiled

    return compiled(chat_template)
