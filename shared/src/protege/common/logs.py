"""Warnings that are given once: a part that fails in every call must not fill the log."""

from __future__ import annotations

import traceback

from ..capture.calls import logger


def log_once(what: str, error: Exception | None = None) -> None:
    """Say that a part of Protégé fails, the first time it does; the agent goes on without it.

    Where it failed is told to those who debug, but not the error's message, which may hold what the agent was asked.
    """
    reason = type(error).__name__ if error else "its form is not known"
    if (what, reason) not in _logged:
        _logged.add((what, reason))
        logger.warning("%s failed (%s); the agent goes on without it.", what, reason)
        if error is not None:
            logger.debug("%s failed (%s) in:\n%s", what, reason, "".join(traceback.format_tb(error.__traceback__)))


_logged: set[tuple[str, str]] = set()
