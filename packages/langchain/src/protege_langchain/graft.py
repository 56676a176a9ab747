"""Replaces the chat model inside what a teacher's own methods built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableParallel, RunnableSequence
from langchain_core.runnables.base import RunnableBindingBase

Replace: TypeAlias = Callable[[BaseChatModel, Mapping[str, Any]], Runnable[Any, Any]]
"""From the model inside, and the arguments bound to it, to what takes its place."""


def graft(built: Runnable[Any, Any], replace: Replace) -> Runnable[Any, Any] | None:
    """`built` with its chat model replaced; None if it holds none.

    A teacher's `bind_tools` and `with_structured_output` know its provider's form of tools, strictness and parsers. So
    they do their work, and only the model in their result is replaced.
    """
    if isinstance(built, BaseChatModel):
        return replace(built, {})
    if isinstance(built, RunnableBindingBase):
        if isinstance(built.bound, BaseChatModel):
            return built.model_copy(update={"bound": replace(built.bound, built.kwargs)})
        inner = graft(built.bound, replace)
        return None if inner is None else built.model_copy(update={"bound": inner})
    if isinstance(built, RunnableSequence):
        first = graft(built.first, replace)
        return None if first is None else built.model_copy(update={"first": first})
    if isinstance(built, RunnableParallel):
        steps = {name: graft(step, replace) or step for name, step in built.steps__.items()}
        changed = any(steps[name] is not step for name, step in built.steps__.items())
        return built.model_copy(update={"steps__": steps}) if changed else None
    return None
