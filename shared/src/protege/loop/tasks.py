"""Which tasks there are (S3), with the corrections that people made, and what they are worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .. import cluster, collect
from ..call import Call
from ..common.confinement import Aside
from ..common.hashing import hash_of
from ..common.progress import Progress, Silent
from ..errors import BadInput
from ..rollout import publish
from ..rollout.policy import policy_of, price_as_of
from ..task import Task
from ..workspace import Workspace

if TYPE_CHECKING:
    from ..cluster import Change, Worth


def find_tasks(workspace: Workspace, progress: Progress | None = None) -> list[Task]:
    """Bring the journal in and find the tasks; again only if calls have come since the last time."""
    collect.drain(workspace)
    if workspace.cached(f"tasks:{workspace.count_calls()}") is None:
        _discover(workspace, workspace.tasks(), progress)
    return workspace.tasks()


def _discover(workspace: Workspace, known: Sequence[Task], progress: Progress | None) -> None:
    key = f"tasks:{workspace.count_calls()}"
    with (progress or Silent()).step("Finding tasks"):
        asides: list[Aside] = []
        found = cluster.discover(_readable(workspace), known, asides.append, _answered(workspace))
    workspace.quarantine.add(asides)
    workspace.save_tasks(found.tasks, found.assignment)
    if workspace.routes():
        publish(workspace)
    workspace.cache(key, len(found.tasks))


def _answered(workspace: Workspace) -> set[str]:
    """The ids of tasks that specialists answer, or are shown in the shadow to answer. They are not divided: their calls
    would go back to the teacher, and what was certified would be of other calls."""
    return {s.task_id for s in workspace.specialists() if s.answers or s.state == "shadow"}


def _readable(workspace: Workspace) -> Callable[[], Iterator[Call]]:
    """Reads the calls, without those that an earlier discovery of this version set aside."""
    failed = workspace.quarantine.keys("discovery")
    return lambda: (call for call in workspace.calls() if call.id not in failed)


def merge_tasks(workspace: Workspace, into: str, other: str, progress: Progress | None = None) -> Task:
    """Make two tasks (names or ids) one, in later discoveries too. Raises BadInput if there is no such task."""
    tasks = find_tasks(workspace, progress)
    first, second = choose(tasks, [into, other])
    _discover(workspace, cluster.merge(tasks, first, second), progress)
    return next(task for task in workspace.tasks() if {first.id, second.id} & {task.id, *task.merged})


def keep_whole(workspace: Workspace, name: str, progress: Progress | None = None) -> Task:
    """Divide a task by the states of its conversation no longer, in later discoveries too; `split_task` undoes it.

    Raises BadInput if there is no such task, or it is a part of another."""
    tasks = find_tasks(workspace, progress)
    [task] = choose(tasks, [name])
    _discover(workspace, cluster.undivided(tasks, task), progress)
    return next(other for other in workspace.tasks() if task.id in (other.id, *other.merged))


def split_task(workspace: Workspace, name: str, phrase: str = "", progress: Progress | None = None) -> list[Task]:
    """Make the requests of a task that hold `phrase` a task of their own, in later discoveries too.

    Without a phrase, undoes a merge. Returns the tasks that it became. Raises BadInput if there is no such task, or
    nothing to split.
    """
    tasks = find_tasks(workspace, progress)
    [task] = choose(tasks, [name])
    before = {other.id for other in tasks if other.id != task.id}
    _discover(workspace, cluster.split(tasks, task, phrase), progress)
    return [other for other in workspace.tasks() if other.id not in before]


def task_changes(workspace: Workspace, progress: Progress | None = None) -> list[Change]:
    """What has changed in the traffic: new tasks, new wordings, tasks that come more or less often."""
    tasks = find_tasks(workspace, progress)
    return cluster.changes(workspace.calls(), tasks, workspace.assignments())


def weigh_tasks(workspace: Workspace, tasks: Sequence[Task], progress: Progress | None = None) -> list[Worth]:
    """What the tasks are worth, the most valuable first. A task's calls are read again only if the task has changed."""

    def known(task: Task) -> tuple[str | None, float | None]:
        improvement = workspace.findings.improvement(task.id)
        return unfit(workspace, task), improvement.figures.get("certified_coverage") if improvement else None

    price_as = {task.id: price_as_of(workspace, task.id) for task in tasks}
    made_from = {task.id: hash_of(task.to_record(), known(task), price_as[task.id], cluster.HOW) for task in tasks}
    cached: dict[str, Any] = {task.id: workspace.cached(f"worth:{task.id}") or {} for task in tasks}
    if changed := [task for task in tasks if cached[task.id].get("made_from") != made_from[task.id]]:
        with (progress or Silent()).step("Weighing tasks", len(changed)) as bar:
            for task in changed:
                barred, measured = known(task)
                calls = workspace.calls(task_id=task.id)
                worth = cluster.weigh(task, calls, barred=barred, measured=measured, price_as=price_as[task.id])
                cached[task.id] = {"made_from": made_from[task.id], "worth": worth.to_record()}
                workspace.cache(f"worth:{task.id}", cached[task.id])
                bar.advance()
    return cluster.ranked([cluster.Worth.from_record(cached[task.id]["worth"]) for task in tasks])


def unfit(workspace: Workspace, task: Task) -> str | None:
    """Why a task can have no route, whatever its calls; None if nothing speaks against one."""
    if task.kind == "text" and not policy_of(workspace, task.id).grader:
        return (
            "Free text: no exact comparison says whether two answers agree. If likeness is enough, say so: "
            f"protege policy {task.name} --grader text"
        )
    if not task.templates:
        return "No constant wording was found in its prompts, so a route could not tell its calls from others."
    return None


def choose(tasks: Sequence[Task], task_names: Sequence[str]) -> list[Task]:
    """The tasks of these names or ids; all if none is named. Raises BadInput if there is no such task."""
    if not task_names:
        return list(tasks)
    known = {key: task for task in tasks for key in (task.id, task.name)}
    unknown = [name for name in task_names if name not in known]
    if unknown:
        raise BadInput(f"There is no task {unknown[0]!r}.", "`protege tasks` lists them.")
    return [known[name] for name in task_names]
