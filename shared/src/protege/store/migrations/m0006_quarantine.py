"""A table for what was set aside: records, calls and tasks that this version could not read."""

from __future__ import annotations

import sqlalchemy as sa

quarantine = sa.Table(
    "quarantine",
    sa.MetaData(),
    sa.Column("place", sa.String, primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("detail", sa.String, nullable=False),
    sa.Column("version", sa.String, nullable=False),
    sa.Column("time", sa.Float, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)


def apply(connection: sa.Connection) -> None:
    quarantine.create(connection)
