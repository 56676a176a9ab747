"""Tasks, specialists and routes: each a record under its id."""

from __future__ import annotations

from collections.abc import Sequence

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
        return sorted(self._database.records(tables.tasks), key=lambda task: -task.calls)

    def save_tasks(self, tasks: Sequence[Task]) -> None:
        """Replace all tasks that can be read; a damaged row stays for `protege doctor --repair`."""
        with self._database.change():
            gone = [{"gone": task.id} for task in self.tasks()]
            query = sa.delete(tables.tasks).where(tables.tasks.c.id == sa.bindparam("gone"))
            with self._database.connection() as connection:
                if gone:
                    connection.execute(query, gone)
            self._database.put(tables.tasks, [{"id": task.id, "body": dump(task.to_record())} for task in tasks])

    def specialists(self, task_id: str | None = None) -> list[Specialist]:
        """The specialists of a task, or all; oldest first."""
        of = () if task_id is None else (tables.specialists.c.task_id == task_id,)
        specialists: list[Specialist] = self._database.records(tables.specialists, *of)
        return sorted(specialists, key=lambda specialist: (specialist.created, specialist.version))

    def specialist(self, specialist_id: str) -> Specialist | None:
        """The specialist of this id."""
        return self._database.record(tables.specialists, specialist_id)

    def save_specialist(self, specialist: Specialist) -> None:
        """Store a specialist, in place of what was there under its id."""
        row = {"id": specialist.id, "name": specialist.name, "task_id": specialist.task_id}
        self._database.put(tables.specialists, [{**row, "body": dump(specialist.to_record())}])

    def routes(self) -> dict[str, Route]:
        """The route of each specialist that was certified, by its id."""
        return {route.specialist_id: route for route in self._database.records(tables.routes)}

    def save_route(self, route: Route) -> None:
        """Store a specialist's route in place of the one it had."""
        row = {"specialist_id": route.specialist_id, "task_id": route.task_id}
        self._database.put(tables.routes, [{**row, "body": dump(route.to_record())}])
