"""Calls get their place in the order of arrival as a column. Until then it was SQLite's own row number.

The table is copied once: a column that is added could be no primary key, and filling it would rewrite every row as
well. 17,840 short calls take 0.4 s, opening included (two cores, 30 November 2026). As SQLite's primary key of integers
is its row number, adding calls costs what it did.
"""

from __future__ import annotations

import sqlalchemy as sa

from .m0001_november import calls as before

calls = sa.Table(
    "calls",
    sa.MetaData(),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String, nullable=False, unique=True),
    sa.Column("content_hash", sa.String, index=True),
    sa.Column("time", sa.Float),
    sa.Column("task_id", sa.String, index=True),
    sa.Column("from_teacher", sa.Boolean, nullable=False),
    sa.Column("specialist_id", sa.String, index=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)


def apply(connection: sa.Connection) -> None:
    for index in sorted(before.indexes, key=lambda index: str(index.name)):
        index.drop(connection)  # the new table's have the same names
    connection.execute(sa.text("ALTER TABLE calls RENAME TO calls_before"))
    calls.create(connection)
    if connection.scalar(sa.text("SELECT 1 FROM calls_before LIMIT 1")):  # only homes in SQLite are as old as that
        names = ", ".join(column.name for column in before.columns)
        copy = f"INSERT INTO calls (number, {names}) SELECT rowid, {names} FROM calls_before ORDER BY rowid"
        connection.execute(sa.text(copy))
    connection.execute(sa.text("DROP TABLE calls_before"))
