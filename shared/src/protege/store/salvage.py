"""What can still be read of a damaged SQLite file, copied row by row into a new one.

Only a copy of the file is touched. Where the pages that describe the tables are damaged, what they were when the tables
were last changed is laid over them (`description_of`).
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import sqlalchemy as sa

from ..common.confinement import Aside
from . import tables
from .database import dump
from .rows import NotUnicode, as_text

WAL_MAGIC = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
PAGE = 4096
"""Bytes of a page, SQLite's default."""
MOST_ROW = 1 << 40
MOST_FAILURES, MOST_IN_VAIN = 4_000, 200
"""Reads of a table that may fail, each halving the rows that are in question; so many if no row was read at all."""

EVERYTHING, SCHEMA = "all", "schema"
"""What is lost, where it is no table: nothing could be read, or the log was; which tables there were."""

Values = tuple[Any, ...]


def salvage(damaged: Path, fresh: Path, work: Path, description: bytes = b"") -> list[Aside]:
    """Copy all rows that can be read out of `damaged` into `fresh`, an empty store. Returns what could not be.

    damaged: a store's file, with its `-wal` if it has one; it is not changed. work: a folder for a copy. description:
    what `description_of` gave when the file was sound.
    """
    asides: list[Aside] = []
    with contextlib.closing(sqlite3.connect(fresh)) as target:
        source, described = _opened(damaged, work, description)
        if source is None:
            return [Aside("store", EVERYTHING, "DatabaseError", "Nothing of the store could be read.")]
        if not described:
            asides.append(Aside("store", SCHEMA, "DatabaseError", "Which tables there were could not be read."))
        with contextlib.closing(source), target:
            for table in tables.metadata.sorted_tables:
                asides += _copy(source, target, table)
    return asides


def aside_of(table: str, row_id: int, row: dict[str, Any], reason: str = "DamagedRow") -> Aside:
    """A row that is set aside, with what it holds."""
    plain = {name: v.decode(errors="replace") if isinstance(v, bytes) else v for name, v in row.items()}
    return Aside("store", f"{table} {row_id}", reason, f"A row of {table} is damaged.", dump(plain))


def _opened(damaged: Path, work: Path, description: bytes) -> tuple[sqlite3.Connection | None, bool]:
    """A connection to a copy of the file, None if it holds nothing; and whether the file itself says which tables it
    has, so that none can be missing unnoticed."""
    copy = work / "copy.db"
    wal = damaged.with_name(f"{damaged.name}-wal")
    size = damaged.stat().st_size if damaged.exists() else 0
    if not size and not wal.exists():
        return None, False
    for laid_over in (False, True) if description else (False,):
        for name in ("", "-wal", "-shm"):
            copy.with_name(f"{copy.name}{name}").unlink(missing_ok=True)
        shutil.copyfile(damaged, copy) if size else copy.touch()
        if wal.exists():
            shutil.copyfile(wal, copy.with_name(f"{copy.name}-wal"))
        if laid_over:
            _lay_over(copy, description)
        connection = sqlite3.connect(copy, isolation_level=None)
        connection.text_factory = as_text
        with contextlib.suppress(sqlite3.Error):
            connection.execute("PRAGMA writable_schema=ON")  # one description that is damaged costs no other
            names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if laid_over or "calls" in names:
                return connection, not laid_over
        connection.close()
    return None, False


def _lay_over(copy: Path, description: bytes) -> None:
    """Write the pages that describe the tables over those of the copy."""
    with copy.open("r+b") as file:
        for at in range(0, len(description), 4 + PAGE):
            file.seek((int.from_bytes(description[at : at + 4], "big") - 1) * PAGE)
            file.write(description[at + 4 : at + 4 + PAGE])
        pages = file.seek(0, 2) // PAGE
        file.seek(28)
        file.write(pages.to_bytes(4, "big"))


def description_of(file: BinaryIO) -> bytes:
    """The pages that describe the tables of a sound file, each after its number in 4 bytes; b"" for another page size.

    They are the tree of sqlite_master, which begins on page 1 after the file's header of 100 bytes (SQLite's file
    format, section 1.6).
    """

    def page(number: int) -> bytes:
        file.seek((number - 1) * PAGE)
        return number.to_bytes(4, "big") + file.read(PAGE)

    first = page(1)[4:]
    if int.from_bytes(first[16:18], "big") != PAGE:
        return b""
    numbers = [1]
    if first[100] == 5:  # an inner page
        cells = int.from_bytes(first[103:105], "big")
        at = [int.from_bytes(first[112 + 2 * i : 114 + 2 * i], "big") for i in range(cells)]
        numbers += [int.from_bytes(first[a : a + 4], "big") for a in (*at, 108)]
    return b"".join(map(page, numbers))


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, table: sa.Table) -> list[Aside]:
    try:
        there = {row[1] for row in source.execute(f"PRAGMA table_info({table.name})")}
    except sqlite3.Error:
        there = set[str]()
    names = [column.name for column in table.columns if column.name in there]
    if not names:
        return [Aside("store", f"{table.name} all", "DatabaseError", f"The table {table.name} could not be read.")]
    marks = ", ".join("?" * len(names))
    insert = f"INSERT INTO {table.name} ({_listed(names)}) VALUES ({marks})"
    asides: list[Aside] = []
    lost = _Lost()
    for row_id, *values in _rows(source, table.name, names, lost):
        try:
            if any(isinstance(value, NotUnicode) for value in values):
                raise sqlite3.IntegrityError("a text is not UTF-8")
            target.execute(insert, values)
        except (sqlite3.IntegrityError, OverflowError):
            asides.append(aside_of(table.name, row_id, dict(zip(names, values, strict=True))))
    if lost.places:
        detail = f"Pages of {table.name} could not be read."
        asides.append(Aside("store", f"{table.name} pages", "DatabaseError", detail))
    return asides


class _Lost:
    """Counts the reads that failed."""

    def __init__(self) -> None:
        self.places = 0


def _rows(source: sqlite3.Connection, table: str, names: Sequence[str], lost: _Lost) -> Iterator[Values]:
    """All rows that can be read, in the order of their ids but where something is damaged: the ids around it are halved
    until only single rows are left that cannot be read."""
    query = f"SELECT rowid, {_listed(names)} FROM {table} NOT INDEXED WHERE rowid BETWEEN ? AND ? ORDER BY rowid"
    ranges = deque([(0, MOST_ROW)])
    most = MOST_IN_VAIN
    while ranges and lost.places < most:
        low, high = ranges.popleft()
        try:
            for row in source.execute(query, (low, high)):
                yield row
                low, most = row[0] + 1, MOST_FAILURES
        except (sqlite3.Error, MemoryError):
            lost.places += 1
            if low < high:
                middle = (low + high) // 2
                ranges += [(low, middle), (middle + 1, high)]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
