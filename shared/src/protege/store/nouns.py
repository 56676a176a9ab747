"""Tasks, specialists and routes: each a record under its id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from ..specialist import Route, Specialist
from ..task import Task
from . import tables
from .database import Database, dump


class Nouns:
    """What a workspace knows, as the loop left it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def tasks(self) -> list[Task]:
        """The tasks, largest first."""
        return sorted(map(Task.from_record, self._records(tables.tasks)), key=lambda task: -task.calls)

    def save_tasks(self, tasks: Sequence[Task]) -> None:
        """Replace all tasks."""
        with self._database.connection() as connection:
            connection.execute(sa.delete(tables.tasks))
            if tasks:
                rows = [{"id": task.id, "body": dump(task.to_record())} for task in tasks]
                connection.execute(sa.insert(tables.tasks), rows)

    def specialists(self, task_id: str | None = None) -> list[Specialist]:
        """The specialists of a task, or all; oldest first."""
        of = () if task_id is None else (tables.specialists.c.task_id == task_id,)
        specialists = map(Specialist.from_record, self._records(tables.specialists, *of))
        return sorted(specialists, key=lambda specialist: (specialist.created, specialist.version))

    def specialist(self, specialist_id: str) -> Specialist | None:
        """The specialist of this id."""
        record = self._database.body(tables.specialists, specialist_id)
        return None if record is None else Specialist.from_record(record)

    def save_specialist(self, specialist: Specialist) -> None:
        """Store a specialist, in place of what was there under its id."""
        row = {"id": specialist.id, "name": specialist.name, "task_id": specialist.task_id}
        self._database.put(tables.specialists, [{**row, "body": dump(specialist.to_record())}])

    def routes(self) -> dict[str, Route]:
        """The route of each specialist that was certified, by its id."""
        routes = map(Route.from_record, self._records(tables.routes))
        return {route.specialist_id: route for route in routes}

    def save_route(self, route: Route) -> None:
        """Store a specialist's route in place of the one it had."""
        row = {"specialist_id": route.specialist_id, "task_id": route.task_id}
        self._database.put(tables.routes, [{**row, "body": dump(route.to_record())}])

    def _records(self, table: sa.Table, *conditions: Any) -> list[dict[str, Any]]:
        rows = self._database.rows(sa.select(table.c.body).where(*conditions))
        return [orjson.loads(row.body) for row in rows]
