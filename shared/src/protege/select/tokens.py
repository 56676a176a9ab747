"""What is read alike from a GGUF file and a folder: chat template, licence, control tokens, and ends of answers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import BaseModelError
from .models import Model, spdx, template_of

CONTROL, _USER_DEFINED = 3, 4
"""Types of tokens in GGUF."""

_LOOKS_SPECIAL = re.compile(r"<[|｜].*[|｜]>|\[/?[A-Z_]+\]|</?(think|tools?|tool_\w+|start_of_\w+|end_of_\w+)>")
"""Matches those added tokens that structure a chat: Gemma, for one, also added `<table>` and tabs."""

_IDLE = re.compile(r"unused|reserved")
"""Matches tokens without a meaning: Gemma has 6,243 of them, and each would be searched for in every message."""


def chat_template(path: Path, own: Any, model: Model | None) -> str:
    """The base's own chat template, else the catalogue's. Raises BaseModelError if there is neither."""
    template = str(own or "") or (template_of(model) if model else "")
    if not template:
        raise BaseModelError(
            f"{path} has no chat template.",
            "Use the model's instruct file, or add one: gguf-new-metadata --chat-template-file FILE IN.gguf OUT.gguf",
        )
    return template


def licence_of(own: Any, model: Model | None) -> str:
    """The SPDX identifier of the base's licence, or "unknown"."""
    return spdx(str(own or "")) or (model.licence if model else "unknown")


def control_tokens(tokens: Iterable[tuple[str, bool, int]]) -> tuple[str, ...]:
    """The texts of those tokens, given as (text, special, type), that structure a chat."""
    return tuple(
        text
        for text, special, kind in tokens
        if (special or (kind == _USER_DEFINED and _LOOKS_SPECIAL.fullmatch(text))) and not _IDLE.search(text)
    )


_TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<|end|>", "<|end_of_text|>", "<|endoftext|>")


def ends(template: str, control: tuple[str, ...], named: list[str]) -> tuple[str, ...]:
    """The texts that end an answer: those that the tokenizer names, and those known to end a turn in this template.

    Texts that occur in the template come first, because files of pre-trained models name only the end of a document.
    """
    known = [text for text in _TURN_ENDS if text in control and text in template]
    every = dict.fromkeys(text for text in (*named, *known) if text)
    return tuple(sorted(every, key=lambda text: text not in template))
