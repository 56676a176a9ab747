"""The tables, as the last of `migrations` leaves them. A test holds that both are the same.

A request's large repeated parts (system text, tools, images, long messages) are stored once, by the hash of their
content: the body of a call holds `{"$part": hash}` in their place.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

calls = sa.Table(
    "calls",
    metadata,
    # The order of arrival. Numbers only grow, since no call is deleted: readers keep the last one that they have seen.
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String, nullable=False, unique=True),
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
corrections = sa.Table(
    "corrections",
    metadata,
    sa.Column("call_id", sa.String, primary_key=True),
    # JSON: the answer that a person says is right; null where a person took it back.
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("by_hand", sa.Boolean, nullable=False),
    sa.Column("time", sa.Float, nullable=False),
)
journals = sa.Table(
    "journals",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("offset", sa.Integer, nullable=False),
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
routes = sa.Table(
    "routes",
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

# State: who answers, on what promise, and what was spent on it

policies = sa.Table(
    "policies",
    metadata,
    sa.Column("task_id", sa.String, primary_key=True),
    # NULL: nothing is said about it.
    sa.Column("epsilon", sa.Float),
    sa.Column("delta", sa.Float),
    sa.Column("latency_ms", sa.Float),
    sa.Column("budget_usd", sa.Float),
    sa.Column("audit", sa.Float),
    sa.Column("pin", sa.String),
    sa.Column("off", sa.Boolean),
    sa.Column("grader", sa.String),
    sa.Column("price_as", sa.String),
    sa.Column("promise", sa.String),
    sa.Column("epsilon_all", sa.Float),
)
stages = sa.Table(
    "stages",
    metadata,
    sa.Column("specialist_id", sa.String, primary_key=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("call", sa.Integer, nullable=False),
    sa.Column("time", sa.Float, nullable=False),
)
marks = sa.Table(
    "marks",
    metadata,
    sa.Column("specialist_id", sa.String, primary_key=True),
    sa.Column("replaced", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("taken_out", sa.Boolean, nullable=False, server_default=sa.false()),
)
decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("task_id", sa.String, nullable=False),
    sa.Column("key", sa.String, nullable=False),
    sa.Column("calls", sa.LargeBinary, nullable=False),
    sa.Column("delta", sa.Float, nullable=False),
    sa.UniqueConstraint("task_id", "key"),
)

# Findings: what the loop and its measurements came to

data_sets = sa.Table(
    "data_sets",
    metadata,
    sa.Column("task_id", sa.String, primary_key=True),
    sa.Column("folder", sa.String, nullable=False),
    sa.Column("made_from", sa.String, nullable=False),
    sa.Column("calls", sa.Integer, nullable=False),
    sa.Column("time", sa.Float, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
)
improvements = sa.Table(
    "improvements",
    metadata,
    sa.Column("task_id", sa.String, primary_key=True),
    sa.Column("decision", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("specialist_id", sa.String),
    sa.Column("figures", sa.LargeBinary, nullable=False),
    sa.Column("passed_over", sa.LargeBinary, nullable=False),
)
ceilings = sa.Table(
    "ceilings",
    metadata,
    sa.Column("task_id", sa.String, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
realised = sa.Table(
    "realised",
    metadata,
    sa.Column("task_id", sa.String, primary_key=True),
    sa.Column("calls", sa.Integer, nullable=False),
    sa.Column("kept", sa.Integer, nullable=False),
    sa.Column("compared", sa.Integer, nullable=False),
    sa.Column("disagreements", sa.Integer),
)
remarks = sa.Table(
    "remarks",
    metadata,
    sa.Column("about", sa.String, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

# What the watch has seen

reasons = sa.Table(
    "reasons",
    metadata,
    sa.Column("task_id", sa.String, primary_key=True),
    sa.Column("why", sa.String, nullable=False),
    sa.Column("since", sa.Float, nullable=False),
    sa.Column("learn_since", sa.Float, nullable=False),
    sa.Column("opened", sa.Float, nullable=False),
    sa.Column("closed", sa.Boolean, nullable=False),
)
cursors = sa.Table(
    "cursors",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("task_id", sa.String, primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
)
changes = sa.Table(
    "changes",
    metadata,
    sa.Column("specialist_id", sa.String, primary_key=True),
    sa.Column("what", sa.String, primary_key=True),
    sa.Column("attempt", sa.Integer, nullable=False),
)
windows = sa.Table(
    "windows",
    metadata,
    sa.Column("specialist_id", sa.String, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

# What was set aside

quarantine = sa.Table(
    "quarantine",
    metadata,
    sa.Column("place", sa.String, primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("detail", sa.String, nullable=False),
    sa.Column("version", sa.String, nullable=False),
    sa.Column("time", sa.Float, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

# What may be cleared at any time

cache = sa.Table(
    "cache",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
