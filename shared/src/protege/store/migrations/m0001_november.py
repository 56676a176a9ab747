"""The tables of 29 November 2026, before migrations were counted. A home of then has them all already."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

calls = sa.Table(
    "calls",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("content_hash", sa.String, index=True),
    sa.Column("time", sa.Float),
    sa.Column("task_id", sa.String, index=True),
    sa.Column("from_teacher", sa.Boolean, nullable=False),
    sa.Column("specialist_id", sa.String, index=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
parts = sa.Table(
    "parts",
    metadata,
    sa.Column("hash", sa.String, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
specialists = sa.Table(
    "specialists",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("name", sa.String, unique=True, nullable=False),
    sa.Column("task_id", sa.String, nullable=False, index=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
terms = sa.Table(
    "terms",
    metadata,
    sa.Column("specialist_id", sa.String, primary_key=True),
    sa.Column("task_id", sa.String, nullable=False, index=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("call_id", sa.String, nullable=False),
    sa.Column("specialist_id", sa.String, nullable=False),
    sa.Column("task_id", sa.String, nullable=False, index=True),
    sa.Column("time", sa.Float),
    sa.Column("outcome", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("confidence", sa.Float),
    sa.Column("rate", sa.Float),
    sa.Column("agreed", sa.Boolean),
    sa.Column("latency_ms", sa.Float),
    sa.UniqueConstraint("call_id", "specialist_id"),
    sa.Index("attempts_by_outcome", "specialist_id", "outcome", "number"),
)
events = sa.Table(
    "events",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("task_id", sa.String, nullable=False, index=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
results = sa.Table(
    "results",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
journals = sa.Table(
    "journals",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("offset", sa.Integer, nullable=False),
)


def apply(connection: sa.Connection) -> None:
    metadata.create_all(connection)
