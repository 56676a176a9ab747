"""What changes in the traffic of tasks that a specialist answers: the teacher, the prompt, the answers, what is kept.

Each of a task's latest calls leaves a few words in a window, and the window is compared with what the route was
certified on. A change is told once for each certificate. It makes audits ten times as frequent for a while and a
retraining due, but does not stop the specialist: the audits do if its answers no longer agree with the teacher's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .. import cluster
from ..call import Call
from ..chat.answer import bare_text
from ..chat.prompt import wording_of
from ..common.confinement import Aside, Confinement
from ..rollout.stages import in_stage, stage
from ..specialist import Route, Specialist
from ..store.records import Event, Reason
from ..task import Task
from ..workspace import Workspace
from .reasons import open_reason, reason_of

WINDOW = 200
"""Calls in a window."""
TEACHERS = 20
"""This many answers in a row by a model that calibration did not know mean that the teacher has changed."""
REWORDED = 0.2
"""A larger share of calls in a wording that calibration did not know means that the prompt has changed."""
SURE = 1e-6
"""The chance of a false alarm at one look. A month of looks, one a minute, has 43,000, most at the same calls."""
SHIFT = 0.2
"""Total variation between the labels of calibration and those of the window; less does not matter yet."""


def notice(workspace: Workspace) -> None:
    """Go through the calls since the last look."""
    watched = _watched(workspace)
    first, last = workspace.watched.noticed(), workspace.last_call()
    if not watched and last > first:
        workspace.watched.save_noticed(last)  # calls from before anything was certified tell nothing about it
    if not watched or last <= first:
        return
    tasks = workspace.tasks()
    assigner = cluster.Assigner(tasks)
    route = workspace.routes()
    stages = {specialist.id: stage(workspace, specialist) for specialist in watched.values()}
    news: dict[str, list[list[Any]]] = {}
    asides: list[Aside] = []
    confinement = Confinement("watch", asides.append)
    for number, call in workspace.numbered_calls(after=first):
        if number > last:
            break
        with confinement.each(call.id):
            task = assigner.assign(call.request)
            specialist = watched.get(task.id) if task else None
            if task and specialist and in_stage(stages[specialist.id], number, call.time):
                words = _words(task, call, route[specialist.id])
                news.setdefault(task.id, []).append(words)
    workspace.quarantine.add(asides)
    with workspace.turn, workspace.change():
        if workspace.watched.noticed() != first:
            return  # another process has gone through them meanwhile
        for task in tasks:
            if task.id in news:
                specialist = watched[task.id]
                # Compared with this specialist's route: another's window begins anew.
                window = _moved(workspace.watched.window(specialist.id), news[task.id])
                workspace.watched.save_window(specialist.id, window)
                _tell(workspace, task, specialist, route[specialist.id], window)
        workspace.watched.save_noticed(last)


def _watched(workspace: Workspace) -> dict[str, Specialist]:
    """The specialist, by task, whose route the task's traffic is compared with: the live one, else a canary, else the
    last that was certified, as what made it fail may still have to be found out. In a cascade it is the first, which
    sees all calls."""
    certified = {identity: route for identity, route in workspace.routes().items() if not route.after}
    rank = {"live": 2, "canary": 1}
    mine = [s for s in workspace.specialists() if s.id in certified and s.state != "candidate"]
    return {s.task_id: s for s in sorted(mine, key=lambda s: (rank.get(s.state, 0), s.version))}


def changed_at(workspace: Workspace, specialist: Specialist) -> int | None:
    """The number of the latest try when the last change was noticed; None if none was."""
    return max(workspace.watched.changes(specialist.id).values(), default=None)


def _words(task: Task, call: Call, route: Route) -> list[Any]:
    """Time, the teacher that answered, whether its wording was calibrated, its label, whether it was kept."""
    wording = wording_of(task, call.request)
    known = wording is not None and route.covers(wording)
    teacher = (call.answered_by or call.model) if call.from_teacher and call.error is None else None
    label = bare_text(call.response) if task.kind == "label" and call.response is not None else None
    tries = [attempt.reason for attempt in call.attempts if attempt.by == route.specialist_id]
    kept = None if not tries else "kept" in tries
    return [call.time or 0.0, teacher, known, label if label in task.labels or label is None else "", kept]


def _moved(window: Mapping[str, list[list[Any]]], new: Sequence[list[Any]]) -> dict[str, list[list[Any]]]:
    """The window with the new calls. Those that the teacher answered have a window of their own, as a specialist leaves
    it few."""
    taught = [words for words in new if words[1]]
    calls, taught = [*window.get("calls", []), *new], [*window.get("taught", []), *taught]
    return {"calls": calls[-WINDOW:], "taught": taught[-WINDOW:]}


def _tell(
    workspace: Workspace, task: Task, specialist: Specialist, route: Route, window: Mapping[str, list[list[Any]]]
) -> None:
    told = workspace.watched.changes(specialist.id)
    changes = {**_taught(route, window["taught"]), **_changes(task, route, window["calls"])}
    for what, (why, since) in changes.items():
        if what in told:
            continue
        workspace.watched.add_change(specialist.id, what, workspace.history.last_attempt())
        workspace.history.note(Event(what, why, task.id, specialist.id))
        learn_since = since if what == "teacher changed" else 0.0
        earlier = reason_of(workspace, task.id)
        if what == "drift" and earlier is not None:
            since = earlier.since  # a window that drifted tells no time of its own, and may be what was noticed before
        open_reason(workspace, task.id, Reason(why, since, learn_since))


def _taught(route: Route, window: Sequence[list[Any]]) -> dict[str, tuple[str, float]]:
    """As `_changes`: whether all of the last answers are by a teacher that calibration did not know."""
    known = [place for place, words in enumerate(window, 1) if words[1] in route.teachers]
    strange = [(time, teacher) for time, teacher, *_ in window[max(known, default=0) :]]
    if not route.teachers or len(strange) < TEACHERS:
        return {}
    why = f"{strange[-1][1]} answers now, calibration knew {route.teachers[0]}."
    return {"teacher changed": (why, strange[0][0])}


def _changes(task: Task, route: Route, window: Sequence[list[Any]]) -> dict[str, tuple[str, float]]:
    """What has changed: why one thinks so, and since when."""
    changes: dict[str, tuple[str, float]] = {}
    reworded = [time for time, _, known, *_ in window if not known]
    if len(window) >= TEACHERS and len(reworded) > REWORDED * len(window):
        changes["prompt changed"] = (
            f"{len(reworded)} of {len(window)} calls have a wording not calibrated.",
            reworded[0],
        )
    if len(window) == WINDOW:
        if route.labels and _shifted(route.labels, Counter(label for *_, label, _ in window)):
            why = f"The answers of {task.name} are divided otherwise than when it was calibrated."
            changes["drift"] = why, window[0][0]
        kept = [was_kept for *_, was_kept in window if was_kept is not None]
        if route.calibration_calls and _fewer(sum(kept), len(kept), route.kept / route.calibration_calls):
            changes["drift"] = f"{sum(kept)} of {len(kept)} answers are kept, fewer than was certified.", window[0][0]
    return changes


def _shifted(before: Mapping[str, float], now: Counter[str]) -> bool:
    """Whether labels are divided otherwise: surely (chi-square) and by a lot (total variation)."""
    from scipy.stats import chisquare  # of the extra `discover`; serving must do without until a window is full

    n = now.total()
    names = sorted({*before, *now})
    floor = 1 / n  # of a label that calibration did not see
    expected = [max(before.get(name, 0.0), floor) for name in names]
    expected = [share / sum(expected) * n for share in expected]
    seen = [now[name] for name in names]
    far = sum(abs(a - b) for a, b in zip(seen, expected, strict=True)) / (2 * n)
    return far >= SHIFT and float(chisquare(seen, expected).pvalue) < SURE


def _fewer(kept: int, n: int, share: float) -> bool:
    from scipy.stats import binom  # as in `_shifted`

    return n >= WINDOW // 2 and kept < (share - SHIFT) * n and float(binom.cdf(kept, n, share)) < SURE
