"""A table for the answers that people say are right."""

from __future__ import annotations

import sqlalchemy as sa

corrections = sa.Table(
    "corrections",
    sa.MetaData(),
    sa.Column("call_id", sa.String, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("by_hand", sa.Boolean, nullable=False),
    sa.Column("time", sa.Float, nullable=False),
)


def apply(connection: sa.Connection) -> None:
    corrections.create(connection)
