"""Which migrations there are, and how those that are missing are applied."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeAlias

import sqlalchemy as sa

from ...errors import WorkspaceError
from . import (
    m0001_november,
    m0002_older_routes,
    m0003_numbered_calls,
    m0004_typed_state,
    m0005_cache,
    m0006_quarantine,
    m0007_promises,
    m0008_corrections,
)

Begin: TypeAlias = Callable[[sa.Engine], AbstractContextManager[sa.Connection]]
"""Gives a connection in a transaction that holds changes of tables too, commits it, or rolls it back on an error. While
one process is in it, another that enters waits."""


@dataclass(frozen=True, slots=True)
class Migration:
    """A change of the tables."""

    number: int
    name: str
    apply: Callable[[sa.Connection], None]


ALL = (
    Migration(1, "the tables of 29 November 2026", m0001_november.apply),
    Migration(2, "routes that were kept among the results", m0002_older_routes.apply),
    Migration(3, "calls have numbers", m0003_numbered_calls.apply),
    Migration(4, "state in tables of its own", m0004_typed_state.apply),
    Migration(5, "what is left of the results is a cache", m0005_cache.apply),
    Migration(6, "what was set aside", m0006_quarantine.apply),
    Migration(7, "policies say which promise", m0007_promises.apply),
    Migration(8, "what people correct", m0008_corrections.apply),
)

_applied = sa.Table(
    "migrations",
    sa.MetaData(),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("time", sa.Float, nullable=False),
)


def is_current(engine: sa.Engine) -> bool:
    """Whether all migrations are applied; reads only. Raises WorkspaceError if a newer version has applied more."""
    with engine.connect() as connection:
        return _numbers(connection) == {migration.number for migration in ALL}


def migrate(engine: sa.Engine, begin: Begin = sa.Engine.begin) -> None:
    """Apply the migrations that are missing. Killed at any time, it has applied each of them wholly or not at all."""
    if is_current(engine):  # a look, for which nobody who writes has to be waited for
        return
    for migration in ALL:
        with begin(engine) as connection:
            _applied.create(connection, checkfirst=True)
            if migration.number not in _numbers(connection):
                migration.apply(connection)
                record = {"number": migration.number, "name": migration.name, "time": time.time()}
                connection.execute(sa.insert(_applied).values(record))


def _numbers(connection: sa.Connection) -> set[int]:
    if not sa.inspect(connection).has_table(_applied.name):
        return set()
    numbers = set(connection.scalars(sa.select(_applied.c.number)))
    if unknown := numbers - {migration.number for migration in ALL}:
        raise WorkspaceError(
            f"The store was written by a newer Protégé (migration {max(unknown)}, this one knows {ALL[-1].number}).",
            "Update: pip install --upgrade protege",
        )
    return numbers
