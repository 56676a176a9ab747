"""sqlglot, where it is installed, and the queries that it parses."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

try:
    import sqlglot as sqlglot
    from sqlglot import expressions as exp
    from sqlglot.errors import SqlglotError as SqlglotError

    installed = True
except ImportError:  # it comes with the extra `discover`; without it, queries are compared as texts
    if TYPE_CHECKING:
        raise
    sqlglot = exp = None
    SqlglotError = ValueError
    installed = False

_QUERY = re.compile(
    r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*(select|with|insert|update|delete|\()", re.IGNORECASE | re.DOTALL
)
MOST_CHARACTERS = 20_000
"""A longer query is not parsed: sqlglot takes about 10 µs a character."""


def parse(query: str) -> Any | None:
    """sqlglot's tree of one query; None if sqlglot is not installed or does not read the text as exactly one query."""
    if not installed or not _QUERY.match(query) or len(query) > MOST_CHARACTERS:
        return None  # without _QUERY, sqlglot would read nearly any words as a column and its alias
    for dialect in (None, "sqlite"):  # the second for names in `backticks` and [brackets]
        try:
            with quietly():
                trees = sqlglot.parse(query, dialect=dialect)
        except (SqlglotError, RecursionError):
            continue
        return trees[0] if len(trees) == 1 else None
    return None


class _Quiet(threading.local):
    on = False


_quiet = _Quiet()
logging.getLogger("sqlglot").addFilter(lambda _: not _quiet.on)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Drop what sqlglot logs in this thread: its warnings quote the query, which is content of a call."""
    _quiet.on = True
    try:
        yield
    finally:
        _quiet.on = False


__all__ = ["MOST_CHARACTERS", "SqlglotError", "exp", "installed", "parse", "quietly", "sqlglot"]
