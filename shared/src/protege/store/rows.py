"""What the rows of each table are read as. A damaged row costs itself alone: it is left out, and counted by `damage`.

SQLite holds any value in any column and has no checksums, so that nothing of a row is believed before it was looked at:
the type of each column, the bounds of its numbers, and what a body of JSON says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import orjson
import sqlalchemy as sa

from ..common.checks import RANGES
from ..common.confinement import Aside
from ..common.shapes import fits
from ..errors import DamagedRow
from ..specialist import Route, Specialist
from ..task import Task
from . import tables
from .records import AttemptRow, DataSet, Decision, Event, ImprovementRow, Realised, Reason, Stage

Row: TypeAlias = Mapping[str, Any]
T = TypeVar("T")

MOST_NUMBER = 10**12
"""No place in an order of arrival and no count is greater."""


class NotUnicode(str):
    """A text that is not UTF-8, as far as it can be read. A row that holds one is damaged."""


def as_text(body: bytes) -> str:
    """The text that these bytes are; a `NotUnicode` where they are none. As sqlite3's `text_factory`."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return NotUnicode(body.decode(errors="replace"))


def plain(table: sa.Table) -> sa.Select[*tuple[Any, ...]]:
    """All columns as the database has them: SQLAlchemy would turn a number that stands for bytes into so many zeros."""
    columns: list[Any] = [sa.type_coerce(column, sa.types.NULLTYPE).label(column.name) for column in table.columns]
    return sa.select(*columns)


def read(table: sa.Table, row: Row) -> Any:
    """What a row is (READERS). Raises DamagedRow."""
    try:
        return READERS[table.name]({column.name: _value(column, row[column.name]) for column in table.columns})
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError, OverflowError) as error:
        raise DamagedRow(f"A row of {table.name} is damaged.", "protege doctor --repair") from error


def _value(column: sa.Column[Any], value: Any) -> Any:
    """The value of a column. Raises ValueError for another type."""
    if value is None:
        if not column.nullable:
            raise ValueError(f"{column.name} is missing")
        return None
    if isinstance(column.type, sa.Boolean):
        if value not in (0, 1):
            raise ValueError(f"{column.name} is neither true nor false")
        return bool(value)
    for kind, types in _TYPES.items():
        if isinstance(column.type, kind):
            if not isinstance(value, types) or isinstance(value, bool | NotUnicode):
                raise ValueError(f"{column.name} has another type")
            return bytes(value) if kind is sa.LargeBinary else value
    raise ValueError(f"{column.name} is of no type that is used here")


_TYPES: Mapping[Any, Any] = {
    sa.Integer: int,
    sa.Float: (int, float),
    sa.LargeBinary: (bytes, memoryview),
    sa.String: str,
}


def _within(value: float | None, least: float, most: float) -> None:
    """Raises ValueError for a number out of bounds; None is none."""
    if value is not None and not (math.isfinite(value) and least <= value <= most):
        raise ValueError("a number is out of bounds")


def _within_range(row: Row, *names: str) -> None:
    for name in names:
        _within(row[name], *RANGES.get(name, (0, MOST_NUMBER)))


def _fitting(value: T, kind: type[T]) -> T:
    if not fits(value, kind):
        raise ValueError(f"no {kind.__name__}")
    return value


def _same(*pairs: tuple[Any, Any]) -> None:
    """Raises ValueError where a body says something else than its row: one of them is damaged."""
    if any(first != second for first, second in pairs):
        raise ValueError("the body is another's")


def _task(row: Row) -> Task:
    task = _fitting(Task.from_record(orjson.loads(row["body"])), Task)
    _same((task.id, row["id"]))
    return task


def _specialist(row: Row) -> Specialist:
    specialist = _fitting(Specialist.from_record(orjson.loads(row["body"])), Specialist)
    _same((specialist.id, row["id"]), (specialist.name, row["name"]), (specialist.task_id, row["task_id"]))
    _within(specialist.created, *RANGES["time"])
    return specialist


def _route(row: Row) -> Route:
    route = _fitting(Route.from_record(orjson.loads(row["body"])), Route)
    _same((route.specialist_id, row["specialist_id"]), (route.task_id, row["task_id"]))
    for share in (route.epsilon, route.delta, route.share, route.audit):
        _within(share, 0, 1)
    return route


def _attempt(row: Row) -> AttemptRow:
    _within_range(row, "number", "time", "confidence", "rate", "latency_ms")
    return AttemptRow(**row)


def _event(row: Row) -> Event:
    event = _fitting(Event(**orjson.loads(row["body"])), Event)
    _same((event.task_id, row["task_id"]))
    _within(event.time, *RANGES["time"])
    return event


def _policy(row: Row) -> Row:
    """What is said; an absent field is left open. The bounds are those of `rollout.TaskPolicy`."""
    if row["promise"] not in (None, "", "kept", "all"):
        raise ValueError("no promise")
    for name in ("epsilon", "delta", "epsilon_all", "audit"):
        _within(row[name], math.nextafter(0, 1), 1 if name == "audit" else math.nextafter(1, 0))
    for name in ("latency_ms", "budget_usd"):
        _within(row[name], math.nextafter(0, 1), math.inf)
    return {name: value for name, value in row.items() if value is not None and name != "task_id"}


def _stage(row: Row) -> Stage:
    _within_range(row, "attempt", "call", "time")
    return Stage(row["attempt"], row["call"], row["time"])


def _decision(row: Row) -> Decision:
    _within(row["delta"], 0, 1)
    return _fitting(Decision(row["key"], tuple(orjson.loads(row["calls"])), row["delta"]), Decision)


def _data_set(row: Row) -> DataSet:
    _within_range(row, "calls", "time", "attempt")
    return DataSet(**_without_task(row))


def _improvement(row: Row) -> ImprovementRow:
    unpacked = {name: orjson.loads(row[name]) for name in ("figures", "passed_over")}
    return _fitting(ImprovementRow(**{**row, **unpacked}), ImprovementRow)


def _realised(row: Row) -> Realised:
    _within_range(row, "calls", "kept", "compared", "disagreements")
    return Realised(**_without_task(row))


def _reason(row: Row) -> Reason:
    for name in ("since", "learn_since", "opened"):
        _within(row[name], *RANGES["time"])
    return Reason(**_without_task(row))


def _numbered(row: Row) -> Row:
    for name in ("number", "attempt", "offset"):
        if name in row:
            _within(row[name], 0, MOST_NUMBER)
    return row


def _object(row: Row) -> Any:
    return _fitting(orjson.loads(row["body"]), dict)


def _json(row: Row) -> Any:
    return orjson.loads(row["body"])


def _aside(row: Row) -> tuple[Aside, str]:
    """What was set aside, and by which version."""
    _within_range(row, "time")
    return Aside(row["place"], row["key"], row["reason"], row["detail"], row["body"]), row["version"]


def _correction(row: Row) -> Any:
    """The answer; None if it was taken back."""
    _within_range(row, "time")
    message = orjson.loads(row["body"])
    if message is not None:
        _same((message["role"], "assistant"))
    return message


def _without_task(row: Row) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "task_id"}


READERS: Mapping[str, Callable[[Row], Any]] = {
    "tasks": _task,
    "specialists": _specialist,
    "routes": _route,
    "attempts": _attempt,
    "corrections": _correction,
    "events": _event,
    "policies": _policy,
    "stages": _stage,
    "marks": lambda row: row,
    "decisions": _decision,
    "data_sets": _data_set,
    "improvements": _improvement,
    "ceilings": _object,
    "realised": _realised,
    "remarks": _json,
    "reasons": _reason,
    "cursors": _numbered,
    "changes": _numbered,
    "windows": _object,
    "journals": _numbered,
    "quarantine": _aside,
    "cache": _json,
}
"""By the table's name. Calls and their parts are read by `calls`."""

STATE = (tables.policies, tables.stages, tables.marks, tables.decisions, tables.routes, tables.reasons)
"""The tables that say on what promise a task may be answered: where a row of theirs is damaged, the teacher answers."""
