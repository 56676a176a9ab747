"""One form for SQL queries that differ in layout only."""

from __future__ import annotations

import re
from typing import Any


def normal_form(query: str) -> str:
    """The query without differences of layout, comments, operators' spelling, and the case of what is not quoted.

    sqlglot parses it where that is installed and it can; else white space is made one and what is not quoted lower
    case. Neither knows that two different queries would give the same rows.
    """
    query = query.strip().rstrip(";").strip()
    parsed = _parse(query)
    if parsed is None:
        return _plain_form(query)
    from sqlglot.expressions import Identifier

    for identifier in parsed.find_all(Identifier):
        if not identifier.args.get("quoted"):
            identifier.set("this", identifier.name.lower())
    return parsed.sql(comments=False)


def _parse(query: str) -> Any:
    """sqlglot's tree; None where it is not installed, or reads no query in this text."""
    try:
        import sqlglot
        from sqlglot.errors import SqlglotError
    except ImportError:
        return None
    if not re.match(r"(select|with|insert|update|delete|\()", query, re.IGNORECASE):
        return None  # sqlglot reads nearly any words as a column and its alias
    try:
        return sqlglot.parse_one(query)
    except (SqlglotError, RecursionError):
        return None


def _plain_form(query: str) -> str:
    pieces = re.split(r"('(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")", query)
    return "".join(piece if place % 2 else _tight(piece) for place, piece in enumerate(pieces))


def _tight(text: str) -> str:
    return re.sub(r"\s*([(),=<>!+*/-])\s*", r"\1", re.sub(r"\s+", " ", text).lower())
