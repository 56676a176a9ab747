"""One look at what was recorded since the last one, and what follows from it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..call import Call
from ..chat.answer import answer_text
from ..collect import drain
from ..errors import InvalidAnswer, ProtegeError
from ..evaluate.graders import Grader, grader_for
from ..rollout.lifecycle import audit, audit_rate, canary, promote, publish, retire, stage, stop, succeed
from ..rollout.policy import policy_of
from ..rollout.rules import RULES, Seen, Step, step
from ..rollout.rules import look as sum_up
from ..specialist import Route, Specialist
from ..store.history import AttemptRow, Event
from ..task import Task
from ..workspace import Workspace
from .reasons import Reason, open_reason
from .traffic import changed_at, notice

log = logging.getLogger("protege.watch")
COMPARED = ("kept", "below threshold")
"""Of an audited answer, what it would have come to: these two are answers of the right structure."""
BATCH = 500


def look(workspace: Workspace) -> list[Event]:
    """Look once. Returns what has happened, oldest first."""
    before = workspace.last_event()
    drain(workspace)
    compare(workspace)
    notice(workspace)
    for specialist in workspace.specialists():
        if specialist.answers or specialist.state == "shadow":
            _move(workspace, specialist)
    publish(workspace)  # where a process was killed between a change and this
    return workspace.events(after=before)


def compare(workspace: Workspace) -> int:
    """Compare audited answers with the teacher's, where that was not done yet. Returns how many it were.

    Judged by the grader that the specialist was certified with. Where a task's grader fails, its answers stay to be
    compared, and the other tasks' are.
    """
    last, terms, done = workspace.last_attempt(), workspace.routes(), 0
    for task in workspace.tasks():
        try:
            done += sum(_compare(workspace, task, known, terms, last) for known in (task.id, *task.merged))
        except ProtegeError as error:
            log.warning("The audits of %s wait: %s", task.name, error)
    return done


def _compare(workspace: Workspace, task: Task, task_id: str, terms: Mapping[str, Route], last: int) -> int:
    """Up to the try `last`: what comes in meanwhile is looked at the next time."""
    key = f"compared:{task_id}"
    rows = [
        row
        for row in workspace.attempts(task_id, after=int(workspace.result(key) or 0), outcomes=("audited",))
        if row.number <= last and row.reason in COMPARED and row.specialist_id in terms
    ]
    found: dict[int, bool] = {}
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        calls = {call.id: call for call in workspace.calls(ids=[row.call_id for row in batch])}
        for row in batch:
            grader = grader_for(task, terms[row.specialist_id].grader)
            if (call := calls.get(row.call_id)) and (agreed := _agrees(row, call, grader)) is not None:
                found[row.number] = agreed
    with workspace.change():
        workspace.save_agreed(found)
        workspace.save_result(key, last)
    return len(found)


def _agrees(row: AttemptRow, call: Call, grader: Grader) -> bool | None:
    """Whether what the specialist said is what the teacher answered; None where the teacher did not."""
    said = next((attempt.content for attempt in call.attempts if attempt.by == row.specialist_id), None)
    if said is None or call.response is None or call.error is not None:
        return None
    try:
        return bool(grader.for_request(call.request).agree(said, answer_text(call.response)))
    except InvalidAnswer:  # the teacher's tool arguments are no JSON: no valid answer equals them
        return False


def _move(workspace: Workspace, specialist: Specialist) -> None:
    """Do what the rules say. What stands in the way of it is told, and tried again at the next look."""
    terms = workspace.routes().get(specialist.id)
    if terms is None:
        return
    began = stage(workspace, specialist)
    rows = [row for row in _compared(workspace, specialist, began) if row.agreed is not None]
    seen = sum_up([not row.agreed for row in rows], terms.epsilon)
    changed = changed_at(workspace, specialist)
    watched = changed is not None and sum(row.number > changed for row in rows) < RULES.watchful
    rules = replace(RULES, delta=min(RULES.delta, terms.delta))
    then = step(specialist.state, seen, terms.epsilon, rules, changed=watched)
    policy = policy_of(workspace, specialist.task_id)
    if then.what in ("canary", "live") and (policy.grader != terms.grader or policy.pin):
        return  # shown under another meaning of "the same", or who answers was decided by hand
    try:
        _do(workspace, specialist, terms, then, seen, rows)
    except ProtegeError as error:
        log.warning("%s stays %s: %s", specialist.name, specialist.state, error)


def _compared(workspace: Workspace, specialist: Specialist, began: Mapping[str, int]) -> list[AttemptRow]:
    found = workspace.attempts(specialist_id=specialist.id, after=began["after"], outcomes=("audited", "shadowed"))
    return [row for row in found if row.reason == "kept"]


def _do(
    workspace: Workspace, specialist: Specialist, terms: Route, then: Step, seen: Seen, rows: Sequence[AttemptRow]
) -> None:
    if then.what == "alarm":
        since = rows[min(seen.began, len(rows) - 1)].time or 0.0
        reason = Reason(f"{specialist.name} was rolled back: {then.why}", since)
        figures = {"compared": seen.compared, "disagreed": seen.disagreed}

        def due() -> None:
            if not terms.after:  # of the second in a cascade: the one before it goes on, and nothing speaks against it
                open_reason(workspace, specialist.task_id, reason)

        if stop(workspace, specialist, then.why, figures, due) and specialist.answers:
            succeed(workspace, specialist, shown=False)
    elif then.what == "not shown":
        retire(workspace, specialist, then.why)  # for good: tried often enough, chance would let it pass
    elif then.what == "canary":
        canary(workspace, specialist, then.why, specialist.state)
    elif then.what == "live":
        promote(workspace, specialist, why=then.why, expected=specialist.state)
    elif specialist.state == "live":
        audit(workspace, specialist, audit_rate(workspace, specialist, then.audit), then.why)
