"""Workspace: one folder that holds calls, tasks, specialists and routes.

    <home>/
        workspace.json      version, id and the store's name
        journal/            what recorders wrote and the store has not yet taken in
        store.db            calls, tasks, specialists, routes, state, and a cache (the built-in store; `store`)
        store.tables        where its tables begin, for `protege doctor --repair`
        datasets/<hash>/    curated data sets
        specialists/<id>/   weights
        reports/            HTML
        routes.json         what running agents need to route, rewritten whole on every change
        switch              who must not answer, whatever routes.json says (`common.switch`)
        engine.json         where the running engine is (protege serve)

Folder and files are readable by their owner only. `Workspace` opens them all; the recorder and the live route, which
run inside the agent, touch `journal/` and `routes.json` alone and never the database.
"""

from __future__ import annotations

import functools
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import store as stores
from .common.files import home_path, made_once
from .common.switch import make_switch
from .common.trust import make_home
from .errors import WorkspaceError
from .store.home import Identity, identify

if TYPE_CHECKING:
    from .call import Call
    from .specialist import Route, Specialist
    from .task import Task


class Workspace:
    """One folder that holds calls, tasks, specialists and routes. Safe to open from many processes at once.

        workspace = Workspace(".protege")
        for task in workspace.tasks():
            print(task.name, workspace.count_calls(task_id=task.id))

    What belongs to one kind of rows stands on a part of its own: `history` (tries and events), `state` (policies,
    stages, marks, the ledger of δ), `findings` (data sets, improvements, figures), `watched` (what the watch has seen),
    `journals`, `quarantine` (what was set aside), `corrections` (answers that people say are right).
    `cached`, `cache` and `clear_cache` are for what can be made again.

    home: the folder; by default PROTEGE_HOME, else `.protege`. store: the store of a new home (`store.registry`), by
    default SQLite; an older home keeps the one that it has. Raises WorkspaceError if the folder cannot be written, was
    written by a newer version, or uses another store.
    """

    def __init__(self, home: str | os.PathLike[str] | None = None, store: str | None = None) -> None:
        self.home = home_path(home)
        try:
            make_home(self.home)
            (self.home / "journal").mkdir(mode=0o700, exist_ok=True)
            if store is not None:
                stores.open_store(self.home, Identity("", store=store))  # refused before the home is made for it
            identity = identify(self.home, store)
            make_switch(self.home)
        except OSError as error:
            raise WorkspaceError(
                f"The home folder {self.home} cannot be written: {error.strerror}.",
                "Choose another with --home or PROTEGE_HOME, or change its permissions.",
            ) from error
        self.id = identity.id
        self._backend = stores.open_store(self.home, identity)
        self._database = stores.Database(self._backend)
        self._calls, self._nouns = stores.Calls(self._database), stores.Nouns(self._database)
        self.corrections = stores.Corrections(self._database)
        self._cache = stores.Cache(self._database)
        self.journals = stores.Journals(self._database)
        self.quarantine = stores.Quarantine(self._database)
        self.history = stores.History(self._database)
        self.state = stores.State(self._database)
        self.findings = stores.Findings(self._database)
        self.watched = stores.Watched(self._database)

    def close(self) -> None:
        """Give the database's connections back."""
        self._database.close()

    @functools.cached_property
    def key(self) -> str:
        """A secret of this workspace alone, made at first use. The surrogates of personal data depend on it."""
        return made_once(self.home / "key", secrets.token_hex(16).encode()).decode()

    def damaged(self) -> dict[str, int]:
        """How many rows of each table are damaged, so that all else goes on without them: `protege doctor --repair`."""
        return stores.damaged_rows(self._database)

    # Changes

    def change(self) -> AbstractContextManager[None]:
        """All that this thread writes within the block is kept together, or nothing of it if the block raises."""
        return self._database.change()

    def lock(self) -> AbstractContextManager[None]:
        """Hold the workspace for the loop, which runs alone. Raises WorkspaceBusy if another process holds it."""
        return self._backend.lock()

    @property
    def turn(self) -> AbstractContextManager[None]:
        """Held for moments by whoever changes who answers: no other can change what the decision rests on meanwhile.

        Independent of `lock`, which the loop holds for hours: a rollback and the off switch do not wait for it. A
        thread that holds it may take it again. Raises WorkspaceBusy if it cannot be had within `store.backend.TURN_S`.
        """
        return self._backend.turn()

    # Calls

    def add_calls(self, new: Iterable[Call]) -> int:
        """Store calls; those whose id is known already keep all but their corrections. Returns how many were added."""
        return self._calls.add(new)

    def known_calls(self, call_ids: Iterable[str]) -> set[str]:
        """Those of these ids that stored calls have."""
        return self._calls.known(call_ids)

    def calls(
        self,
        *,
        task_id: str | None = None,
        teacher_only: bool = False,
        ids: Sequence[str] | None = None,
        after: int = 0,
        until: int | None = None,
    ) -> Iterator[Call]:
        """The stored calls in the order of their arrival: all, or those that meet every condition given.

        task_id: of this task. teacher_only: answered by the teacher. ids: with one of these ids. after, until: with a
        number above, and up to, these (`last_call`).
        """
        numbered = self._calls.numbered(task_id=task_id, teacher_only=teacher_only, ids=ids, after=after, until=until)
        return (call for _, call in numbered)

    def numbered_calls(self, *, after: int = 0) -> Iterator[tuple[int, Call]]:
        """The calls after a number, each with its own: its place in the order of arrival."""
        return self._calls.numbered(after=after)

    def last_call(self) -> int:
        """The number of the latest call; 0 if there is none."""
        return self._calls.last()

    def count_calls(
        self,
        *,
        specialist_id: str | None = None,
        task_id: str | None = None,
        teacher_only: bool = False,
        since: float | None = None,
    ) -> int:
        """The number of stored calls that meet every condition given.

        specialist_id: answered by this specialist. task_id: of this task. teacher_only: answered by the teacher. since:
        begun at this time or later, seconds since 1970.
        """
        return self._calls.count(specialist_id=specialist_id, task_id=task_id, teacher_only=teacher_only, since=since)

    def days(self, task_id: str) -> float | None:
        """The days that a task's calls span, at least one; None if their times are unknown."""
        return self._calls.days(task_id)

    # Tasks

    def tasks(self) -> list[Task]:
        """The tasks, largest first."""
        return self._nouns.tasks()

    def task(self, id_or_name: str) -> Task | None:
        """The task of this id, else of this name."""
        tasks = self.tasks()
        by_id = (task for task in tasks if task.id == id_or_name)
        return next(by_id, None) or next((task for task in tasks if task.name == id_or_name), None)

    def task_of(self, specialist: Specialist) -> Task | None:
        """The task that a specialist was made for, or the one that it was merged into since."""
        return next((task for task in self.tasks() if specialist.task_id in (task.id, *task.merged)), None)

    def task_of_call(self, call_id: str) -> Task | None:
        """The task of a stored call; None if it fits none, or there is no such call."""
        task_id = self._calls.task_of(call_id)
        return next((task for task in self.tasks() if task_id in (task.id, *task.merged)), None) if task_id else None

    def assignments(self) -> dict[str, str | None]:
        """The task's id by the call's id, None for a call that fits no task; in the order of the calls' arrival."""
        return self._calls.assignments()

    def save_tasks(self, tasks: Sequence[Task], assignment: Mapping[str, str | None]) -> None:
        """Replace the tasks, and say which task each call belongs to (calls that are not named keep theirs)."""
        with self.change():
            self._nouns.save_tasks(tasks)
            self._calls.assign(assignment)

    # Specialists and routes

    def specialists(self, *, task_id: str | None = None) -> list[Specialist]:
        """The specialists, oldest first: all, or those of a task."""
        return self._nouns.specialists(task_id)

    def specialist(self, specialist_id: str) -> Specialist | None:
        """The specialist of this id."""
        return self._nouns.specialist(specialist_id)

    def specialist_folder(self, specialist: Specialist) -> Path:
        """Where the specialist's weights are."""
        return self.home / "specialists" / specialist.id

    def save_specialist(self, specialist: Specialist) -> None:
        """Store a specialist, in place of what was there under its id."""
        self._nouns.save_specialist(specialist)

    def routes(self) -> dict[str, Route]:
        """The route that was last certified for each specialist, by the specialist's id."""
        return self._nouns.routes()

    def save_route(self, route: Route) -> None:
        """Store a specialist's route in place of the one it had."""
        self._nouns.save_route(route)

    # What can be made again

    def cached(self, key: str) -> Any:
        """What a step has cached under this key; None if nothing."""
        return self._cache.get(key)

    def cache(self, key: str, value: Any) -> None:
        """Cache what a step found out; `key` names the step and the hash of all that it was made from."""
        self._cache.put(key, value)

    def clear_cache(self) -> None:
        """Forget all that is cached. It is made again when it is needed; nobody answers otherwise than before."""
        self._cache.clear()
