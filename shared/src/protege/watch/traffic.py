"""What changes in the traffic of tasks that a specialist answers: the teacher, the prompt, the answers, what is kept.

Each of a task's latest calls leaves a few words in a window. What the window says is held against what the route was
certified on. A change is told once a certificate, makes audits ten times as frequent for a while, and a retraining due;
it does not stop the specialist by itself. The audits do where its answers have become others than the teacher's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..call import Call, text_of
from ..chat.prompt import fitting_template
from ..rollout.lifecycle import stage
from ..specialist import Route, Specialist
from ..store.history import Event
from ..task import Task
from ..workspace import Workspace
from .reasons import Reason, open_reason

WINDOW = 200
TEACHERS = 20
"""So many answers in a row by a model that calibration did not know."""
REWORDED = 0.2
SURE = 1e-6
"""The chance of a false alarm at one look; a month of looks by the minute has 43,000, most at the same calls."""
SHIFT = 0.2
"""Total variation between the labels of calibration and those of the window; what is less does not matter yet."""


def notice(workspace: Workspace) -> None:
    """Go through the calls since the last look."""
    from ..cluster import Assigner

    watched = _watched(workspace)
    first, last = int(workspace.result("noticed") or 0), workspace.last_call()
    if not watched and last > first:
        workspace.save_result("noticed", last)  # what came before anything was certified tells nothing of it
    if not watched or last <= first:
        return
    tasks = workspace.tasks()
    assigner = Assigner(tasks)
    terms = workspace.routes()
    since = {one.id: stage(workspace, one)["time"] for one in watched.values()}
    news: dict[str, list[list[Any]]] = {}
    for call in workspace.calls(after=first, until=last):
        task = assigner.assign(call.request)
        specialist = watched.get(task.id) if task else None
        if task and specialist and (call.time or 0.0) >= since[specialist.id]:  # an import may bring what is long past
            news.setdefault(task.id, []).append(_words(task, call, terms[specialist.id]))
    with workspace.turn, workspace.change():
        if int(workspace.result("noticed") or 0) != first:
            return  # somebody else has gone through them meanwhile
        for task in tasks:
            if task.id in news:
                specialist = watched[task.id]
                key = f"window:{specialist.id}"  # held against its own terms: another's begins anew
                window = _moved(workspace.result(key) or {}, news[task.id])
                workspace.save_result(key, window)
                _tell(workspace, task, specialist, terms[specialist.id], window)
        workspace.save_result("noticed", last)


def _watched(workspace: Workspace) -> dict[str, Specialist]:
    """By task whose terms its traffic is held against: of the one that is live, of a canary, else of the last that was
    certified, since what made it fail may still have to be found out. Of a cascade the first, which sees all calls."""
    certified = {identity: route for identity, route in workspace.routes().items() if not route.after}
    rank = {"live": 2, "canary": 1}
    mine = [s for s in workspace.specialists() if s.id in certified and s.state != "candidate"]
    return {s.task_id: s for s in sorted(mine, key=lambda s: (rank.get(s.state, 0), s.version))}


def changed_at(workspace: Workspace, specialist: Specialist) -> int | None:
    """The number of the latest try when a change was noticed; None where none was."""
    found: Mapping[str, Any] = workspace.result(f"changed:{specialist.id}") or {}
    return max(found.values(), default=None)


def _words(task: Task, call: Call, terms: Route) -> list[Any]:
    """Time, the teacher that answered, whether its wording was calibrated, its label, whether it was kept."""
    found = fitting_template(task, call.request)
    known = found is not None and found[0].signature in terms.signatures
    teacher = (call.answered_by or call.model) if call.from_teacher and call.error is None else None
    label = text_of(call.response).strip() if task.kind == "label" and call.response is not None else None
    tries = [attempt.reason for attempt in call.attempts if attempt.by == terms.specialist_id]
    kept = None if not tries else "kept" in tries
    return [call.time or 0.0, teacher, known, label if label in task.labels or label is None else "", kept]


def _moved(window: Mapping[str, list[list[Any]]], new: Sequence[list[Any]]) -> dict[str, list[list[Any]]]:
    """With the new calls. Those that the teacher answered have a window of their own: of a specialist's task they are
    few."""
    calls, taught = [*window.get("calls", []), *new], [*window.get("taught", []), *(one for one in new if one[1])]
    return {"calls": calls[-WINDOW:], "taught": taught[-WINDOW:]}


def _tell(
    workspace: Workspace, task: Task, specialist: Specialist, terms: Route, window: Mapping[str, list[list[Any]]]
) -> None:
    key = f"changed:{specialist.id}"
    told: dict[str, int] = workspace.result(key) or {}
    for what, found in {**_taught(terms, window["taught"]), **_changes(task, terms, window["calls"])}.items():
        if what in told:
            continue
        told[what] = workspace.last_attempt()
        why, since = found
        workspace.save_result(key, told)
        workspace.note(Event(what, why, task.id, specialist.id))
        learn_since = since if what == "teacher changed" else 0.0
        open_reason(workspace, task.id, Reason(why, since, learn_since))


def _taught(terms: Route, window: Sequence[list[Any]]) -> dict[str, tuple[str, float]]:
    """As `_changes`: whether all of the last answers are of a teacher that calibration did not know."""
    known = [place for place, one in enumerate(window, 1) if one[1] in terms.teachers]
    strange = [(time, teacher) for time, teacher, *_ in window[max(known, default=0) :]]
    if not terms.teachers or len(strange) < TEACHERS:
        return {}
    why = f"{strange[-1][1]} answers now, calibration knew {terms.teachers[0]}."
    return {"teacher changed": (why, strange[0][0])}


def _changes(task: Task, terms: Route, window: Sequence[list[Any]]) -> dict[str, tuple[str, float]]:
    """Why, and since when, by what has changed."""
    found: dict[str, tuple[str, float]] = {}
    reworded = [time for time, _, known, *_ in window if not known]
    if len(window) >= TEACHERS and len(reworded) > REWORDED * len(window):
        found["prompt changed"] = f"{len(reworded)} of {len(window)} calls have a wording not calibrated.", reworded[0]
    if len(window) == WINDOW:
        if terms.labels and _shifted(terms.labels, Counter(label for *_, label, _ in window)):
            why = f"The answers of {task.name} are divided otherwise than when it was calibrated."
            found["drift"] = why, window[0][0]
        kept = [one for *_, one in window if one is not None]
        if terms.calibration_calls and _fewer(sum(kept), len(kept), terms.kept / terms.calibration_calls):
            found["drift"] = f"{sum(kept)} of {len(kept)} answers are kept, fewer than was certified.", window[0][0]
    return found


def _shifted(before: Mapping[str, float], now: Counter[str]) -> bool:
    """Whether labels are divided otherwise: surely (chi-square) and by a lot (total variation)."""
    from scipy.stats import chisquare

    n = now.total()
    names = sorted({*before, *now})
    floor = 1 / n  # of a label that calibration did not see
    expected = [max(before.get(name, 0.0), floor) for name in names]
    expected = [share / sum(expected) * n for share in expected]
    seen = [now[name] for name in names]
    far = sum(abs(a - b) for a, b in zip(seen, expected, strict=True)) / (2 * n)
    return far >= SHIFT and float(chisquare(seen, expected).pvalue) < SURE


def _fewer(kept: int, n: int, share: float) -> bool:
    from scipy.stats import binom

    return n >= WINDOW // 2 and kept < (share - SHIFT) * n and float(binom.cdf(kept, n, share)) < SURE
