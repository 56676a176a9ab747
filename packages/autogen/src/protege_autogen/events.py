"""Writes specialists' answers to AutoGen's own log of model calls, which token counters and tracers read."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from autogen_core import EVENT_LOGGER_NAME
from autogen_core.logging import LLMCallEvent, LLMStreamEndEvent, LLMStreamStartEvent
from autogen_core.models import CreateResult
from protege.adapter import log_once

logger = logging.getLogger(EVENT_LOGGER_NAME)


def log_call(record: Mapping[str, Any], result: CreateResult, *, streams: bool) -> None:
    """Log a specialist's answer as a model client logs its own. record: the call's record, with its answer."""
    if not logger.isEnabledFor(logging.INFO):
        return
    try:
        asked: list[dict[str, Any]] = [dict(message) for message in record["messages"]]
        response = {**result.model_dump(), "model": record.get("answered_by")}
        used = {
            "prompt_tokens": result.usage.prompt_tokens,
            "completion_tokens": result.usage.completion_tokens,
        }
        if streams:
            logger.info(LLMStreamStartEvent(messages=asked))
            logger.info(LLMStreamEndEvent(response=response, **used))
        else:
            logger.info(LLMCallEvent(messages=asked, response=response, tools=record.get("tools") or [], **used))
    except Exception as error:  # noqa: BLE001 - the agent has its answer
        log_once("Logging a specialist's answer", error)
