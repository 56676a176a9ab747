"""A specialist's figures again, on calls that it never learnt from."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from .answer import answer_text
from .call import Call
from .errors import BadInput
from .progress import Progress, Silent
from .specialist import Specialist
from .task import Task
from .workspace import Workspace


def measure(
    workspace: Workspace,
    specialist: Specialist,
    calls: Sequence[Call] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """A specialist's figures again: on the test calls it was judged by, or on other calls of its task.

    Of `calls`, those of other tasks and those that a specialist answered are left out. Raises BadInput where none is
    left, or where the test calls are gone.
    """
    from .evaluate import answer_all, evaluate, grader_for
    from .serve import open_engine

    task = next(t for t in workspace.tasks() if t.id == specialist.task_id)
    rows = held_out_rows(workspace, specialist) if calls is None else _rows_of(workspace, task, calls)
    with open_engine(workspace, specialist) as engine:
        with (progress or Silent()).step(f"{specialist.name}: answering", len(rows)) as bar:
            judged = answer_all(engine, specialist, task, rows, parallel=1, bar=bar)
        same = engine.fingerprint(specialist) == (specialist.report or {}).get("fingerprint")
    certificate = (specialist.report or {}).get("certificate") or {}
    evaluation = evaluate(judged, grader_for(task), threshold=certificate.get("threshold") if same else None)
    return evaluation.to_record()


def held_out_rows(
    workspace: Workspace, specialist: Specialist, parts: Sequence[str] = ("test",)
) -> Sequence[Mapping[str, Any]]:
    """The test calls of the data set that it was tuned on, or other parts'. Raises BadInput where that is gone."""
    from .curate import Curated

    for folder in (workspace.home / "datasets").glob("[!.]*"):
        with contextlib.suppress(BadInput):  # another one is damaged
            if (curated := Curated.load(folder)).hash == specialist.lineage.get("curated"):
                return [row for part in parts for row in curated.parts[part].to_list()]
    raise BadInput(f"The data set of {specialist.name} is gone.", "Give other calls: --calls FILE.")


def _rows_of(workspace: Workspace, task: Task, calls: Sequence[Call]) -> list[dict[str, Any]]:
    """Calls of this task as a data set's rows."""
    from .cluster import Assigner

    assigner = Assigner(workspace.tasks())
    rows: list[dict[str, Any]] = []
    for call in calls:
        found = assigner.assign(call.request)
        if call.response is not None and call.from_teacher and found is not None and found.id == task.id:
            record = {name: value for name, value in call.to_record().items() if name != "response"}
            rows.append({"id": call.id, "request": orjson.dumps(record), "answer": answer_text(call.response)})
    if not rows:
        raise BadInput(
            f"None of these calls is of the task {task.name}.", "`protege tasks` tells what repeats in them."
        )
    return rows
