"""AutoGen's messages as OpenAI chat messages, both as they are and as AutoGen's OpenAI client sends them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from autogen_core import FunctionCall
from autogen_core.models import AssistantMessage, FunctionExecutionResultMessage, LLMMessage, SystemMessage, UserMessage
from protege.adapter import Message, log_once, tool_call


class Style(NamedTuple):
    """How a client writes the source of a user's message."""

    names: bool = False
    """As the message's `name`."""
    prefixes: bool = False
    """Before its text."""


AS_THEY_ARE = Style()
"""The source is not written."""


def to_openai(messages: Sequence[LLMMessage], style: Style = AS_THEY_ARE) -> list[Message]:
    """AutoGen's messages as OpenAI chat messages. A message with the results of several tools becomes one for each."""
    return [written for message in messages for written in _to_openai(message, style)]


def is_openai(sender: object) -> bool:
    """Whether it is AutoGen's OpenAI client, or Azure's, which is a subclass of it."""
    return _is_openai(type(sender))


def as_sent(sender: Any, messages: Sequence[LLMMessage], options: Mapping[str, Any]) -> list[Message]:
    """The messages as AutoGen's OpenAI client sends them: with names, and with system messages merged.

    For the families of models whose white space it changes (Claude, Gemini, Mistral), the client itself is asked, which
    takes 20 µs for each message. Messages that the client will refuse stay as they are.
    """
    try:
        asked = {**sender._create_args, **options.get("extra_create_args", {})}
        if not _is_plain(str(asked.get("model")), str(sender.model_info["family"])):
            return _asked(sender, messages, options)
        if not sender.model_info.get("multiple_system_messages"):
            messages = _merged(messages)
        return to_openai(messages, Style(sender._include_name_in_message, sender._add_name_prefixes))
    except (ValueError, AssertionError):  # it refuses
        return to_openai(messages)
    except Exception as error:  # noqa: BLE001 - its insides may change
        log_once("Reading what AutoGen's OpenAI client sends", error)
        return to_openai(messages)


def calls_to_openai(calls: Sequence[FunctionCall]) -> list[dict[str, Any]]:
    """Tool calls, with their arguments as they were written."""
    return [tool_call(call.id, call.name, call.arguments) for call in calls]


@functools.lru_cache(maxsize=256)
def _is_openai(kind: type) -> bool:
    """By name, since autogen-ext need not be installed."""
    return any(base.__name__ == "BaseOpenAIChatCompletionClient" for base in kind.__mro__)


@functools.lru_cache(maxsize=256)
def _is_plain(model: str, family: str) -> bool:
    """Whether AutoGen changes nothing for this model and family. It knows Claude's models by their name, too."""
    # Here, since autogen-ext need not be installed; only its own client comes here.
    from autogen_ext.models.openai._transformation import get_transformer  # pyright: ignore[reportPrivateUsage]

    plain = get_transformer("openai", "default", "default")
    return get_transformer("openai", model, family) is plain and not model.startswith("claude-")


def _asked(sender: Any, messages: Sequence[LLMMessage], options: Mapping[str, Any]) -> list[Message]:
    # A copy, because the client shortens the last message in place for Claude's models.
    last = [message.model_copy() for message in messages[-1:]]
    chosen = {**_DEFAULTS, **{name: value for name, value in options.items() if name in _DEFAULTS}}
    return sender._process_create_args([*messages[:-1], *last], **chosen).messages


_DEFAULTS: Mapping[str, Any] = {"tools": (), "tool_choice": "auto", "json_output": None, "extra_create_args": {}}


def _merged(messages: Sequence[LLMMessage]) -> Sequence[LLMMessage]:
    """The messages with the system messages as one. Raises ValueError, as the client does, if others stand between."""
    places = [place for place, message in enumerate(messages) if isinstance(message, SystemMessage)]
    if not places:
        return messages
    if places[-1] - places[0] != len(places) - 1:
        raise ValueError("System messages that do not follow each other are refused.")
    # Like the client, strip the white space at the end of the text, and drop an empty text.
    text = "\n".join(str(messages[place].content) for place in places).rstrip()
    merged = [SystemMessage(content=text)] if text else []
    return [*messages[: places[0]], *merged, *messages[places[-1] + 1 :]]


def _to_openai(message: LLMMessage, style: Style) -> list[Message]:
    if isinstance(message, FunctionExecutionResultMessage):
        return [{"role": "tool", "content": r.content, "tool_call_id": r.call_id} for r in message.content]
    if isinstance(message, SystemMessage):
        return [{"role": "system", "content": message.content}]
    return [_user(message, style) if isinstance(message, UserMessage) else _assistant(message)]


def _user(message: UserMessage, style: Style) -> Message:
    prefix = f"{message.source} said:\n" if style.prefixes else ""
    content = message.content
    written: dict[str, Any] = {
        "role": "user",
        "content": prefix + content if isinstance(content, str) else _parts(content, prefix),
    }
    if style.names:
        written["name"] = message.source
    return written


def _parts(parts: Sequence[Any], prefix: str) -> list[dict[str, Any]]:
    """The parts in OpenAI form. Only the first part gets the prefix, if it is a text."""
    return [
        {"type": "text", "text": part if place else prefix + part}
        if isinstance(part, str)
        else dict(part.to_openai_format())
        for place, part in enumerate(parts)
    ]


def _assistant(message: AssistantMessage) -> Message:
    if isinstance(message.content, str):
        return {"role": "assistant", "content": message.content}
    return {"role": "assistant", "content": message.thought, "tool_calls": calls_to_openai(message.content)}
