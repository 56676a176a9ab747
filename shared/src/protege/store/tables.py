"""The database behind a workspace: its tables, and the parts of calls that are kept once.

SQLAlchemy Core over SQLite in WAL mode. A request's large repeated parts (system text, tools, images, long messages)
are stored once, by the hash of their content: the body of a call holds `{"$part": hash}` in their place.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import filelock
import sqlalchemy as sa
from sqlalchemy import event

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


def connect(path: Path) -> sa.Engine:
    """The database at `path`, its tables made where they are missing."""
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
    event.listen(engine, "connect", _pragmas)
    with filelock.FileLock(path.with_suffix(".lock")):  # two processes that make the tables at once would collide
        metadata.create_all(engine)
        with engine.connect() as connection:  # a look takes no lock; an older home is changed once
            older = connection.execute(_OLDER).first()
        if older is not None:
            with engine.begin() as connection:
                connection.execute(_MOVE_TERMS)
    return engine


_OLDER = sa.text(
    "SELECT 1 FROM results WHERE key LIKE 'route:%' AND substr(key, 7) NOT IN (SELECT specialist_id FROM terms)"
)
_MOVE_TERMS = sa.text(
    "INSERT OR IGNORE INTO terms SELECT substr(key, 7), json_extract(CAST(body AS TEXT), '$.task_id'), "
    "json_set(CAST(body AS TEXT), '$.audit', 0.02) FROM results WHERE key LIKE 'route:%'"
)
"""What an older home certified stands among its results, from before there were audits."""


def _pragmas(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()
