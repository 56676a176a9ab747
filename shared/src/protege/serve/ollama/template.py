"""Whether the chat template that Ollama has of a specialist writes the prompts that it was tuned on."""

from __future__ import annotations

import contextlib
import difflib

from ...call import Message
from ...chat.prompt import as_messages, render
from ...errors import CannotRender, EngineError
from ...ollama.api import Ollama
from ...specialist import Base, Specialist
from ..kind import TemplateCheck
from .models import imported, server_at

CHAT_TOKENS = 16
TIMEOUT_S = 60.0


_TOOL = {"type": "function", "function": {"name": "find", "description": "Finds.", "parameters": {"type": "object"}}}


_CONVERSATIONS: tuple[tuple[Message, ...], ...] = (
    ({"role": "user", "content": "Hello."},),
    ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Grüße aus 東京, né? 😀"}),
    (
        {"role": "system", "content": "Be brief.\n\nSort."},
        {"role": "user", "content": "One."},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "  Two.\n"},
    ),
)


def rendered_differences(server: Ollama, model: str, base: Base, adds_tokens: bool) -> list[str] | None:
    """The places where Ollama's template writes another prompt than that of tuning.

    Compared are system text, turns, tools and non-ASCII text. None if this Ollama does not tell what it writes.
    """
    differences: list[str] = []
    conversations = [as_messages(turns) for turns in _CONVERSATIONS]
    conversations.append(as_messages(_CONVERSATIONS[1], [_TOOL]))
    for messages in conversations:
        try:
            ours = render(base, messages)
        except CannotRender:
            continue
        theirs = server.rendered(model, messages)
        if theirs is None:
            return None
        if adds_tokens:
            ours, theirs = ours.removeprefix(base.bos), theirs.removeprefix(base.bos)
        if ours != theirs:
            differences.append(_first_difference(ours, theirs))
    return differences


def _chat_is_raw(server: Ollama, model: str, base: Base, adds_tokens: bool) -> bool:
    """Whether messages that Ollama renders are answered as the prompt that we render of them."""
    messages = as_messages(_CONVERSATIONS[1])
    ours = render(base, messages)
    raw = server.generate(
        model, ours.removeprefix(base.bos) if adds_tokens else ours, max_tokens=CHAT_TOKENS, timeout_s=TIMEOUT_S
    )
    chat = server.chat(model, messages, max_tokens=CHAT_TOKENS, timeout_s=TIMEOUT_S)
    return (raw.text.strip(), raw.input_tokens) == (chat.text.strip(), chat.input_tokens)


def _first_difference(ours: str, theirs: str) -> str:
    """The first place where two texts differ. Both are made of our texts and the base's, of no call."""
    matcher = difflib.SequenceMatcher(None, ours, theirs, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind != "equal":
            return f"{ours[max(0, a - 20) : b + 20]!r} in tuning, {theirs[max(0, c - 20) : d + 20]!r} in Ollama"
    return ""


def compare_template(specialist: Specialist) -> TemplateCheck:
    """Whether Ollama's template of the specialist's model writes the prompts of tuning; never raises EngineError."""
    where = imported(specialist)
    try:
        with contextlib.closing(server_at(where.address)) as server:
            differences = rendered_differences(server, where.model, specialist.base, where.adds_tokens)
            if differences == [] and not _chat_is_raw(server, where.model, specialist.base, where.adds_tokens):
                differences = ["the same prompt is answered otherwise when it is asked for as a chat"]
    except EngineError as error:
        return TemplateCheck("not told", error.fact)
    if differences is None:
        return TemplateCheck("not told")
    return TemplateCheck("differs", differences[0]) if differences else TemplateCheck("same")
