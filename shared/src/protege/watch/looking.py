"""One look at what was recorded since the last look, and what follows from it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..call import Call, Message
from ..chat.answer import answer_text
from ..collect import drain
from ..common.confinement import Aside, Confinement
from ..errors import InvalidAnswer, ProtegeError
from ..evaluate.graders import Grader, grader_for
from ..rollout.lifecycle import audit, audit_rate, canary, promote, retire, stop, succeed
from ..rollout.policy import policy_of
from ..rollout.rules import RULES, Seen, Step, both, evidence_for, step
from ..rollout.rules import look as sum_up
from ..rollout.stages import certificate_of, compared, of_all, shown, tries
from ..rollout.switching import settle
from ..specialist import Route, Specialist
from ..store.records import AttemptRow, Event, Reason
from ..task import Task
from ..workspace import Workspace
from .reasons import open_reason
from .traffic import changed_at, notice

log = logging.getLogger("protege.watch")
COMPARED = ("kept", "below threshold")
"""What an audited answer would have come to; with these two its structure is right, and it can be compared."""
BATCH = 500
MOST_EXCUSED = 500
"""Disagreements with a corrected teacher that are looked at in one look."""


def look(workspace: Workspace) -> list[Event]:
    """Look once. Returns the events that follow, oldest first."""
    before = workspace.history.last_event()
    drain(workspace)
    compare(workspace)
    notice(workspace)
    asides: list[Aside] = []
    for specialist in workspace.specialists():
        if specialist.answers or specialist.state == "shadow":
            with Confinement("watch", asides.append).each(specialist.id):
                _move(workspace, specialist)
    workspace.quarantine.add(asides)
    settle(workspace)  # a process may have been killed in the middle of a change
    return workspace.history.events(after=before)


def compare(workspace: Workspace) -> int:
    """Compare the audited answers that nobody has compared yet with the teacher's. Returns the number compared.

    The grader is the one that the specialist was certified with. If a task's grader fails, that task's answers wait for
    the next time.
    """
    last, route, done = workspace.history.last_attempt(), workspace.routes(), 0
    asides: list[Aside] = []
    for task in workspace.tasks():
        with Confinement("watch", asides.append, through=(ProtegeError,)).each(task.id):
            try:
                for known in (task.id, *task.merged):
                    done += _compare(workspace, task, known, route, last, asides)
                    _excused(workspace, task, known, route, asides)
            except ProtegeError as error:
                log.warning("The audits of %s wait: %s", task.name, error)
    workspace.quarantine.add(asides)
    return done


def _compare(
    workspace: Workspace, task: Task, task_id: str, route: Mapping[str, Route], last: int, asides: list[Aside]
) -> int:
    """Compare tries up to the number `last`; what comes in meanwhile is looked at the next time.

    A try that cannot be compared is set aside: it counts neither for nor against the specialist.
    """
    confinement = Confinement("watch", asides.append, through=(ProtegeError,))
    after = workspace.watched.compared(task_id)
    rows = [
        row
        for row in workspace.history.attempts(task_id, after=after, outcomes=("audited",))
        if row.number <= last and row.reason in COMPARED and row.specialist_id in route
    ]
    compared: dict[int, bool] = {}
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        calls = {call.id: call for call in workspace.calls(ids=[row.call_id for row in batch])}
        for row in batch:
            grader = grader_for(task, route[row.specialist_id].grader)
            with confinement.each(f"{row.call_id} {row.specialist_id}"):
                if (call := calls.get(row.call_id)) and (agreed := _agrees(row, call, grader)) is not None:
                    compared[row.number] = agreed
    with workspace.change():
        workspace.history.save_agreed(compared)
        workspace.watched.save_compared(task_id, last)
    return len(compared)


def _excused(workspace: Workspace, task: Task, task_id: str, route: Mapping[str, Route], asides: list[Aside]) -> None:
    """Compare anew, with what people say is right, what was found to disagree with a teacher whom they corrected since.

    What a shadow said is not kept: that a person corrected the teacher then makes its try one that nobody compared.
    """
    confinement = Confinement("watch", asides.append, through=(ProtegeError,))
    rows = [row for row in workspace.history.disputed(task_id) if row.specialist_id in route]
    calls = {call.id: call for call in workspace.calls(ids=[row.call_id for row in rows[:MOST_EXCUSED]])}
    excused: dict[int, bool | None] = {}
    for row in rows[:MOST_EXCUSED]:
        grader = grader_for(task, route[row.specialist_id].grader)
        with confinement.each(f"{row.call_id} {row.specialist_id}"):
            if (call := calls.get(row.call_id)) and (agreed := _agrees(row, call, grader)) is not False:
                excused[row.number] = agreed
    workspace.history.save_agreed(excused)


def _agrees(row: AttemptRow, call: Call, grader: Grader) -> bool | None:
    """Whether what the specialist said is what the teacher answered, or what a person says is right; None if the
    teacher did not answer."""
    said = next((attempt.content for attempt in call.attempts if attempt.by == row.specialist_id), None)
    if said is None or call.response is None or call.error is not None:
        return None
    grader = grader.for_request(call.request)
    return any(_is_answer(said, answer, grader) for answer in (call.response, call.correction) if answer is not None)


def _is_answer(said: str, answer: Message, grader: Grader) -> bool:
    try:
        return bool(grader.agree(said, answer_text(answer)))
    except InvalidAnswer:  # its tool arguments are no JSON: no valid answer equals them
        return False


def _move(workspace: Workspace, specialist: Specialist) -> None:
    """Do what the rules say. If something stands in the way, log it; the next look tries again."""
    route = workspace.routes().get(specialist.id)
    if route is None:
        return
    counted = tries(workspace, specialist)
    rows = compared(counted)
    seen = sum_up([not row.agreed for row in rows], route.epsilon)
    if route.epsilon_all is not None:
        seen = both(seen, sum_up(of_all(counted), route.epsilon_all))
    changed = changed_at(workspace, specialist)
    watched = changed is not None and sum(row.number > changed for row in rows) < RULES.watchful
    evidence = evidence_for(route.proof, route.delta)
    then = step(
        specialist.state, seen, route.epsilon, epsilon_all=route.epsilon_all, evidence=evidence, changed=watched
    )
    policy = policy_of(workspace, specialist.task_id)
    if then.what in ("canary", "live") and (policy.grader != route.grader or policy.pin):
        return  # it was shown under another meaning of "the same", or a person has decided who answers
    if then.what in ("canary", "live") and workspace.state.in_doubt(specialist.task_id):
        return  # what it would be shown by is damaged
    if then.what == "canary" and route.proof == "owed":
        route = shown(route, counted)
    try:
        _do(workspace, specialist, route, then, seen, rows)
    except ProtegeError as error:
        log.warning("%s stays %s: %s", specialist.name, specialist.state, error)


def _do(
    workspace: Workspace, specialist: Specialist, route: Route, then: Step, seen: Seen, rows: Sequence[AttemptRow]
) -> None:
    if then.what == "alarm":
        since = rows[min(seen.began, len(rows) - 1)].time or 0.0
        reason = Reason(f"{specialist.name} was rolled back: {then.why}", since)
        figures = {"compared": seen.compared, "disagreed": seen.disagreed}

        def due() -> None:
            if not route.after:  # after the second in a cascade ends, the first goes on: nothing speaks against it
                open_reason(workspace, specialist.task_id, reason)

        if stop(workspace, specialist, then.why, figures, due) and specialist.answers:
            succeed(workspace, specialist, shown=False)
    elif then.what == "not shown":
        retire(workspace, specialist, then.why)  # permanently: with enough attempts it would pass by chance
    elif then.what == "canary":
        canary(workspace, _as_shown(workspace, specialist, route), then.why, specialist.state, route)
    elif then.what == "live":
        promote(workspace, specialist, why=then.why, expected=specialist.state)
    elif specialist.state == "live":
        audit(workspace, specialist, audit_rate(workspace, specialist, then.audit), then.why)


def _as_shown(workspace: Workspace, specialist: Specialist, route: Route) -> Specialist:
    """The specialist with the certificate of its shadow, which the task's last improvement has too from now on."""
    if route.proof != "shadow":
        return specialist
    certificate, coverage = certificate_of(route), route.kept / route.calibration_calls
    figures = {"certificate": certificate, "certified_coverage": coverage, "plug_in": None}
    last = workspace.findings.improvement(specialist.task_id)
    if last is not None and last.specialist_id == specialist.id:
        last = replace(last, reason=certificate["reason"], figures={**last.figures, **figures})
        workspace.findings.save_improvement(last)
    return replace(specialist, report={**(specialist.report or {}), **figures})
