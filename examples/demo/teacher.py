"""Who answers before any specialist does: published human labels, or a model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from agent import PROMPTS
from inputs import Entry
from langchain_core.language_models import BaseChatModel
from protege import Request, text_of
from protege_langchain.testing import ScriptedTeacher
from pydantic import SecretStr


class Published:
    """The labels that people published with the entries, by node and text."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = {entry.text: entry for entry in entries}
        self._nodes = {system: node for node, system in PROMPTS.items()}

    def answer(self, request: Request) -> dict[str, Any]:
        """The label for what a node asks about an entry, as an assistant message in OpenAI chat form."""
        node = self._nodes[request.system]
        asked = text_of(request.messages[-1])
        entry = self._entries[asked if node == "assist" else asked.split(": ", 1)[1]]
        # Where the first answer was wrong, the agent asks another node about the entry than its label would have it.
        label = entry.answers.get(
            node, dict.fromkeys(("city", "state", "zip") if node == "place" else ("given", "surname"))
        )
        if node == "assist":
            assert isinstance(label, dict), "the label of a call to a tool is its name and arguments"
            call = {"name": label["name"], "arguments": json.dumps(label["args"], ensure_ascii=False)}
            tool_calls = [{"id": "call_1", "type": "function", "function": call}]
            return {"role": "assistant", "content": None, "tool_calls": tool_calls}
        text = label if isinstance(label, str) else json.dumps(label, ensure_ascii=False)
        return {"role": "assistant", "content": text}


def published(entries: Sequence[Entry]) -> BaseChatModel:
    """A chat model that answers with published labels. Its tokens are counted as four characters each."""
    labels = Published(entries)
    return ScriptedTeacher(labels.answer, model="published-labels", count_tokens=lambda text: -(-len(text) // 4))


def endpoint(url: str, model: str) -> BaseChatModel:
    """A real model; its key is read from OPENAI_API_KEY and never shown."""
    from langchain_openai import ChatOpenAI

    key = SecretStr(os.environ.get("OPENAI_API_KEY", "none"))
    return ChatOpenAI(base_url=url, model=model, api_key=key, stream_usage=True)
