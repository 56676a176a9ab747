"""What decides who answers leaves the results for tables of its own: one for each kind, with typed columns.

A result was a row of a key, such as `policy:<task>`, and JSON. What is not named in MOVES is a cache and stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import orjson
import sqlalchemy as sa

from .m0001_november import results

metadata = sa.MetaData()

policies = sa.Table(
    "policies",
    metadata,
    sa.Column("task_id", sa.String, primary_key=True),
    sa.Column("epsilon", sa.Float),
    sa.Column("delta", sa.Float),
    sa.Column("latency_ms", sa.Float),
    sa.Column("budget_usd", sa.Float),
    sa.Column("audit", sa.Float),
    sa.Column("pin", sa.String),
    sa.Column("off", sa.Boolean),
    sa.Column("grader", sa.String),
    sa.Column("price_as", sa.String),
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

Row: TypeAlias = tuple[sa.Table, dict[str, Any]]
EVERY = "*"


def apply(connection: sa.Connection) -> None:
    metadata.create_all(connection)
    moved: dict[tuple[str, ...], Row] = {}
    for key in connection.scalars(sa.select(results.c.key)).all():
        family, _, of = key.partition(":")
        if family not in MOVES:
            continue
        body = connection.scalar(sa.select(results.c.body).where(results.c.key == key))
        for table, row in MOVES[family](of, orjson.loads(body or b"null")):
            place = (table.name, *(str(row[column.name]) for column in table.primary_key if column.name in row))
            place = (*place, str(len(moved))) if table is decisions else place  # each a row, in its order
            moved[place] = (table, {**moved.get(place, (table, {}))[1], **row})
        connection.execute(sa.delete(results).where(results.c.key == key))
    for table, row in moved.values():
        connection.execute(sa.insert(table).values(row))


def _policy(task_id: str, said: Mapping[str, Any]) -> Iterator[Row]:
    yield policies, {"task_id": task_id, **said}


def _teacher(_: str, said: Mapping[str, Any]) -> Iterator[Row]:
    if said.get("price_as"):
        yield policies, {"task_id": EVERY, "price_as": said["price_as"]}
    if said.get("stand_in"):
        yield remarks, {"about": "stand-in teacher", "body": orjson.dumps(said["stand_in"])}


def _stage(specialist_id: str, began: Mapping[str, Any]) -> Iterator[Row]:
    row = {"attempt": began.get("after", 0), "call": began.get("calls", 0), "time": began.get("time", 0.0)}
    yield stages, {"specialist_id": specialist_id, **row}


def _replaced(specialist_id: str, mark: bool) -> Iterator[Row]:
    yield marks, {"specialist_id": specialist_id, "replaced": bool(mark)}


def _taken_out(specialist_id: str, mark: bool) -> Iterator[Row]:
    yield marks, {"specialist_id": specialist_id, "taken_out": bool(mark)}


def _decisions(task_id: str, ledger: list[dict[str, Any]]) -> Iterator[Row]:
    for entry in ledger:
        row = {"key": entry["key"], "calls": orjson.dumps(entry["calls"]), "delta": entry["delta"]}
        yield decisions, {"task_id": task_id, **row}


def _data_set(task_id: str, record: Mapping[str, Any]) -> Iterator[Row]:
    row = {"folder": record["folder"], "made_from": record.get("terms", ""), "calls": record.get("calls", 0)}
    times = {"time": record.get("time", 0.0), "attempt": record.get("after", 0)}
    yield data_sets, {"task_id": task_id, **row, **times}


def _improvement(task_id: str, record: Mapping[str, Any]) -> Iterator[Row]:
    row: dict[str, Any] = {name: record.get(name) or "" for name in ("decision", "reason")}
    row |= {"specialist_id": record.get("specialist_id"), "figures": orjson.dumps(record.get("figures") or {})}
    yield improvements, {"task_id": task_id, **row, "passed_over": orjson.dumps(record.get("passed_over") or [])}


def _ceiling(task_id: str, record: Mapping[str, Any]) -> Iterator[Row]:
    yield ceilings, {"task_id": task_id, "body": orjson.dumps(record)}


def _realised(task_id: str, counts: Mapping[str, Any]) -> Iterator[Row]:
    row = {name: counts.get(name, 0) for name in ("calls", "kept", "compared")}
    yield realised, {"task_id": task_id, **row, "disagreements": counts.get("disagreements")}


def _end_to_end(_: str, record: Mapping[str, Any]) -> Iterator[Row]:
    yield remarks, {"about": "end to end", "body": orjson.dumps(record)}


def _demo(of: str, entries: Any) -> Iterator[Row]:
    yield remarks, {"about": f"demo: {of}", "body": orjson.dumps(entries)}


def _reason(task_id: str, record: Mapping[str, Any]) -> Iterator[Row]:
    yield reasons, {"task_id": task_id, "learn_since": 0.0, "opened": 0.0, "closed": False, **record}


def _noticed(_: str, number: int) -> Iterator[Row]:
    yield cursors, {"name": "noticed", "task_id": "", "number": number}


def _compared(task_id: str, number: int) -> Iterator[Row]:
    yield cursors, {"name": "compared", "task_id": task_id, "number": number}


def _changed(specialist_id: str, noticed: Mapping[str, int]) -> Iterator[Row]:
    for what, attempt in noticed.items():
        yield changes, {"specialist_id": specialist_id, "what": what, "attempt": attempt}


def _window(specialist_id: str, window: Any) -> Iterator[Row]:
    yield windows, {"specialist_id": specialist_id, "body": orjson.dumps(window)}


def _route(_specialist_id: str, _record: Any) -> Iterator[Row]:
    yield from ()  # in the table of routes already, by the migration before


MOVES: Mapping[str, Callable[[str, Any], Iterator[Row]]] = {
    "policy": _policy,
    "teacher": _teacher,
    "stage": _stage,
    "replaced": _replaced,
    "taken-out": _taken_out,
    "decisions": _decisions,
    "data": _data_set,
    "improvement": _improvement,
    "ceiling": _ceiling,
    "realised": _realised,
    "end-to-end": _end_to_end,
    "demo": _demo,
    "reason": _reason,
    "noticed": _noticed,
    "compared": _compared,
    "changed": _changed,
    "window": _window,
    "route": _route,
}
