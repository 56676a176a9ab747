"""Warnings that are logged once: a part that fails in every call must not fill the log."""

from __future__ import annotations

import logging
import traceback

logger = logging.getLogger("protege.capture")


def log_once(what: str, error: Exception | None = None) -> None:
    """Warn that a part of Protégé failed, the first time it does. The agent goes on without that part.

    The error's message is left out, because it may hold what the agent was asked. Its traceback goes to the debug log.
    """
    reason = type(error).__name__ if error else "its form is not known"
    if (what, reason) not in _logged:
        _logged.add((what, reason))
        logger.warning("%s failed (%s); the agent goes on without it.", what, reason)
        if error is not None:
            logger.debug("%s failed (%s) in:\n%s", what, reason, "".join(traceback.format_tb(error.__traceback__)))


_logged: set[tuple[str, str]] = set()
