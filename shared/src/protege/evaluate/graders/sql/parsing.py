"""sqlglot, where it is installed, and the queries that it parses."""

from __future__ import annotations

import contextlib
import functools
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

_BEGINS = re.compile(r"select|with|insert|update|delete|\(", re.IGNORECASE)
_SPACE = re.compile(r"\s*")
_OPENS_OR_CLOSES = re.compile(r"[(\[{]|[)\]}]|\b(?:case|end)\b", re.IGNORECASE)
_PIECE = re.compile(r"'[^']*+'?+|\"[^\"]*+\"?+|\w+|[^\w\s]")
MOST_CHARACTERS = 20_000
"""A longer query is not parsed: sqlglot takes about 10 µs a character."""
MOST_PIECES = 2_000
"""A query of more names, numbers, quoted texts and signs is not parsed: sqlglot takes about 15 µs a piece."""
MOST_LEVELS = 100
"""A query with more brackets or CASEs open at once is not parsed: what walks its tree recurses, and sorts at each
level what stands below it."""


def parse(query: str) -> Any | None:
    """sqlglot's tree of one query; None if sqlglot is not installed or does not read the text as exactly one query."""
    if not installed or len(query) > MOST_CHARACTERS or not is_query(query):
        return None  # without is_query, sqlglot would read nearly any words as a column and its alias
    tree = _tree(query)
    return None if tree is None else tree.copy()


@functools.lru_cache(maxsize=16)  # a comparison reads the same two queries three times; large trees take megabytes
def _tree(query: str) -> Any | None:
    if pieces_in(query) > MOST_PIECES or levels_in(query) > MOST_LEVELS:
        return None
    for dialect in (None, "sqlite"):  # the second for names in `backticks` and [brackets]
        try:
            with quietly():
                trees = sqlglot.parse(query, dialect=dialect)
        except (SqlglotError, RecursionError):
            continue
        return trees[0] if len(trees) == 1 else None
    return None


def is_query(text: str) -> bool:
    """Whether a text begins as a query does, after white space and comments. Each character is looked at once."""
    at = 0
    while True:
        space = _SPACE.match(text, at)
        at = space.end() if space else at
        if text.startswith("--", at):
            at = text.find("\n", at) + 1
        elif text.startswith("/*", at):
            at = text.find("*/", at + 2) + 2
            if at == 1:
                return False
        else:
            return _BEGINS.match(text, at) is not None
        if at == 0:
            return False  # a comment without an end


def pieces_in(query: str) -> int:
    """How many names, numbers, quoted texts and signs a query has."""
    return sum(1 for _ in _PIECE.finditer(query))


def levels_in(query: str) -> int:
    """The most brackets and CASEs that are open at once, those in strings and comments included."""
    level = most = 0
    for piece in _OPENS_OR_CLOSES.finditer(query):
        level = level + 1 if piece[0].lower() in _OPENING else max(0, level - 1)
        most = max(most, level)
    return most


_OPENING = frozenset({"(", "[", "{", "case"})


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


__all__ = [
    "MOST_CHARACTERS",
    "MOST_LEVELS",
    "SqlglotError",
    "exp",
    "installed",
    "is_query",
    "levels_in",
    "parse",
    "pieces_in",
    "quietly",
    "sqlglot",
]
