"""The tables that a request describes."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .parsing import MOST_LEVELS, SqlglotError, exp, installed, levels_in, pieces_in, quietly, sqlglot

_CREATE = re.compile(r"\bcreate\s+(?:temp(?:orary)?\s+)?table\b[^(;]{1,200}\(", re.IGNORECASE)
_LISTED = re.compile(r"^[ \t\-*]*(\w+)[ ]?\(([\w ]+(?:,[\w ]+)*)\)[ \t.;]*$", re.MULTILINE)
_PARENTHESIS = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|--[^\n]*|[()]")
_AFFINITIES = (
    ("INT", "INTEGER"),
    ("CHAR|CLOB|TEXT|STRING|ENUM|UUID", "TEXT"),
    ("REAL|FLOA|DOUB", "REAL"),
    ("DEC|NUM", "NUMERIC"),
)
_DIALECTS = (None, "sqlite", "mysql", "postgres")
MOST_CHARACTERS = 200_000
"""Of a text only this many characters are looked at."""
MOST_TABLES = 100
"""In it only this many CREATE TABLEs."""
MOST_STATEMENT = 20_000
"""Of each only this many characters: one that nothing closes would else be read to the text's end, for every CREATE
TABLE again."""
MOST_PIECES = 10_000
"""Of all together only this many names, numbers, quoted texts and signs, counted anew for each dialect that is tried:
sqlglot takes about 15 µs a piece."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    name: str
    affinity: str = ""
    """SQLite's type affinity; empty where the text gives no type."""
    date: bool = False
    """Whether it holds dates or times, as text."""
    required: bool = False
    """Whether it cannot be NULL."""
    refers: str = ""
    """The name of the column that it is a foreign key to; empty if it is none."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table. keys: groups of columns, by name, whose values no two rows share."""

    name: str
    columns: tuple[Column, ...]
    keys: tuple[frozenset[str], ...] = ()


@functools.lru_cache(maxsize=256)
def schema_in(text: str) -> tuple[Table, ...]:
    """The tables that a text defines by CREATE TABLE; without any, the tables that it lists as `name(column, column)`,
    one a line.

    Names are in lower case. A table that cannot be read or is defined twice is left out.
    """
    text = text[:MOST_CHARACTERS]
    tables = list(_created(text)) or [_listed(match[1], match[2]) for match in _LISTED.finditer(text)]
    names = [table.name for table in tables]
    return tuple(table for table in tables if names.count(table.name) == 1)


def _listed(name: str, columns: str) -> Table:
    return Table(name.lower(), tuple(Column(column.strip().lower()) for column in columns.split(",")))


def _statements(text: str) -> Iterator[str]:
    """Each CREATE TABLE, up to the parenthesis that closes it."""
    at = 0
    for _ in range(MOST_TABLES):
        match = _CREATE.search(text, at)
        if match is None:
            return
        at = match.end()
        depth = 1
        for piece in _PARENTHESIS.finditer(text, at, match.start() + MOST_STATEMENT):
            depth += {"(": 1, ")": -1}.get(piece[0], 0)
            if depth == 0:
                at = piece.end()
                yield text[match.start() : at]
                break


def _created(text: str) -> Iterator[Table]:
    """The tables of the CREATE TABLEs that can be read, until the bounds are reached."""
    left = MOST_PIECES
    for statement in _statements(text) if installed else ():
        pieces = pieces_in(statement)
        for dialect in _DIALECTS if levels_in(statement) <= MOST_LEVELS else ():
            left -= pieces
            if left < 0:
                return
            try:
                with quietly():
                    tree = sqlglot.parse_one(statement, dialect=dialect)
                if isinstance(tree, exp.Create) and isinstance(tree.this, exp.Schema):
                    table = _table(tree.this)
                    if table is not None:
                        yield table
                    break
            except (SqlglotError, RecursionError):
                continue


def _table(schema: Any) -> Table | None:
    columns = [_column(part) for part in schema.find_all(exp.ColumnDef)]
    keys = [_names(part) for part in schema.find_all(exp.PrimaryKey)]
    primary = frozenset().union(*keys)
    for part in schema.find_all(exp.ColumnDef):
        if part.find(exp.PrimaryKeyColumnConstraint):
            keys.append(frozenset({part.name.lower()}))
            primary |= keys[-1]
        elif part.find(exp.UniqueColumnConstraint):
            keys.append(frozenset({part.name.lower()}))
    keys += [_names(part) for part in schema.find_all(exp.UniqueColumnConstraint) if part.this]
    refers = {**dict(filter(None, (_reference(part) for part in schema.find_all(exp.ForeignKey))))}
    names = {column.name for column in columns}
    if not columns or len(names) != len(columns):
        return None
    made = tuple(
        Column(c.name, c.affinity, c.date, c.required or c.name in primary, refers.get(c.name, c.refers))
        for c in columns
    )
    return Table(schema.this.name.lower(), made, tuple(key for key in keys if key and key <= names))


def _column(part: Any) -> Column:
    kind = part.args.get("kind")
    said = kind.sql().upper() if kind is not None else ""
    affinity = next((a for pattern, a in _AFFINITIES if re.search(pattern, said)), "")
    required = any(not node.args.get("allow_null") for node in part.find_all(exp.NotNullColumnConstraint))
    reference = part.find(exp.Reference)
    refers = next(iter(_names(reference.this)), "") if reference is not None else ""
    date = bool(re.search("DATE|TIME", said))
    return Column(part.name.lower(), "TEXT" if date else affinity, date, required, refers)


def _reference(part: Any) -> tuple[str, str] | None:
    """A foreign key of one column: the column, and the one that it refers to."""
    reference = part.args.get("reference")
    own, others = _names(part), _names(reference.this) if reference is not None else frozenset[str]()
    return (next(iter(own)), next(iter(others))) if len(own) == len(others) == 1 else None


def _names(part: Any) -> frozenset[str]:
    """The columns that a constraint names."""
    inner = part.this if part.args.get("this") is not None and part.this.expressions else part
    return frozenset(item.name.lower() for item in inner.expressions)
