"""Which specialist answers a task: shown, promoted, rolled back, retired. Running agents follow within a second.

`rollout` has the rules; here is what following them writes. Every change is one transaction with the event that tells
of it, made while `Workspace.turn` is held; routes.json is written after it, and again by whoever looks next, so that a
process killed in between leaves nothing half done.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import BadInput, ProtegeError
from ..specialist import Route, Specialist, State
from ..store.history import Event
from ..workspace import Workspace
from .policy import policy_of
from .rules import RULES

log = logging.getLogger("protege.lifecycle")


def promote(
    workspace: Workspace,
    specialist: Specialist,
    terms: Route | None = None,
    why: str = "promoted",
    expected: State | None = None,
) -> None:
    """Let a specialist answer its task, in place of those that do now: on these terms, or those last certified.

    Where it is in Ollama, it is there and in memory before the first call goes to it. Raises BadInput where no
    threshold was certified for it, EngineError where Ollama does not answer or is another version than was certified;
    nothing is changed then, nor where its state is not the `expected` one any more (BadInput). The second in a cascade
    is let in beside the first, on whose route it was certified: BadInput where that is not live so any more.
    """
    terms = terms or route_of(workspace, specialist)
    terms = replace(terms, share=1.0, audit=audit_rate(workspace, specialist))
    _advance(workspace, specialist, "live", terms, why, expected)


def shadow(workspace: Workspace, specialist: Specialist, terms: Route, why: str) -> None:
    """Have a certified specialist compared with the teacher on the calls to come, without an answer of its own."""
    _advance(workspace, specialist, "shadow", replace(terms, share=0.0, audit=0.0), why)


def canary(
    workspace: Workspace,
    specialist: Specialist,
    why: str,
    expected: State | None = None,
    route: Route | None = None,
) -> None:
    """Let a specialist answer a share of its task's runs, beside who answers now. Terms and errors as of `promote`."""
    rate = audit_rate(workspace, specialist, RULES.canary_audit)
    terms = replace(route or route_of(workspace, specialist), share=RULES.canary_share, audit=rate)
    _advance(workspace, specialist, "canary", terms, why, expected)


def audit(workspace: Workspace, specialist: Specialist, rate: float, why: str) -> None:
    """Compare this share of its calls from now on."""
    with workspace.turn:
        terms = workspace.routes().get(specialist.id)
        if terms is None or abs(terms.audit - rate) < 0.1 * terms.audit:
            return
        with workspace.change():
            workspace.save_route(replace(terms, audit=rate))
            _note(workspace, specialist, "suspicion" if why else "calm", why or "No more suspicion.", {"audit": rate})
        publish(workspace)


def retire(workspace: Workspace, specialist: Specialist, why: str = "taken out of service") -> None:
    """Take a specialist out of service; where it answered, others of its task do from the next call on, or the teacher.

    `improve` does not let it answer again; `promote` does.
    """
    _end(workspace, specialist, "retired", why, taken_out=True)


def withdraw(workspace: Workspace, specialist: Specialist, why: str = "no threshold is certified now") -> None:
    """As `retire`, for now: `improve` may let it answer again."""
    _end(workspace, specialist, "retired", why, taken_out=False)


def rollback(
    workspace: Workspace, specialist: Specialist, why: str = "by hand", figures: Mapping[str, Any] | None = None
) -> Specialist | None:
    """Give the task back to the specialist's predecessor, which is returned, or to the teacher where there is none.

    The teacher answers from the first moment, the predecessor when it is ready. One that cannot be had (its Ollama is
    away, or another version) is passed over. Raises BadInput where the specialist does not answer its task.
    """
    if not specialist.answers:
        raise BadInput(f"{specialist.name} does not answer now.", "`protege status` tells who does.")
    stop(workspace, specialist, why, figures)
    return succeed(workspace, specialist)


def stop(
    workspace: Workspace,
    specialist: Specialist,
    why: str,
    figures: Mapping[str, Any] | None = None,
    also: Callable[[], object] = lambda: None,
) -> bool:
    """The first half of a rollback: the teacher answers, or who answers the rest of the runs beside a canary.

    also: writes that belong to it. Returns False, and nothing is changed, where it is in another state by now.
    """
    expected = specialist.state
    return _end(
        workspace, specialist, "rolled back", why, taken_out=True, figures=figures, also=also, expected=expected
    )


def succeed(workspace: Workspace, specialist: Specialist, *, shown: bool = True) -> Specialist | None:
    """The second half: the predecessor takes over where there is one that can, and nobody else answers.

    shown: False where what ended the specialist may have changed since its predecessor was certified: that one is shown
    anew, on a share of the runs.
    """
    mine = workspace.specialists(task_id=specialist.task_id)
    if (other := next((s for s in mine if s.state == "live"), None)) is not None:
        return other
    for predecessor in predecessors(workspace, specialist):
        try:
            (promote if shown else canary)(workspace, predecessor, why=f"{specialist.name} was rolled back")
        except ProtegeError as error:
            log.warning("%s is passed over: %s", predecessor.name, error)
            continue
        return predecessor
    return None


def predecessors(workspace: Workspace, specialist: Specialist) -> list[Specialist]:
    """The task's older specialists that a rollback may bring back, newest first: live until another replaced them."""
    certified = workspace.routes()
    older = [s for s in workspace.specialists(task_id=specialist.task_id) if s.version < specialist.version]
    alone = [s for s in older if s.id in certified and not certified[s.id].after]
    replaced = [s for s in alone if workspace.result(_replaced(s)) and not taken_out(workspace, s)]
    return sorted(replaced, key=lambda s: -s.version)


def taken_out(workspace: Workspace, specialist: Specialist) -> bool:
    """Whether a person, or an alarm, took it out of service."""
    return bool(workspace.result(_taken_out(specialist)))


def prune(workspace: Workspace, task_id: str, keep: int) -> list[str]:
    """Remove a task's models from Ollama, all but the newest `keep`, those in service and the live one's predecessor.

    Returns the names of those that were removed; never touches what this workspace did not make.
    """
    from ..serve import prune

    mine = workspace.specialists(task_id=task_id)
    spared = {s.id for s in mine if s.state in ("shadow", "canary")}
    spared |= {s.id for one in mine if one.state == "live" for s in (one, *predecessors(workspace, one)[:1])}
    return prune(workspace, task_id, keep, spared)


def route_of(workspace: Workspace, specialist: Specialist) -> Route:
    """What was last certified for it. Raises BadInput where nothing was."""
    if (terms := workspace.routes().get(specialist.id)) is None:
        raise BadInput(
            f"No threshold is certified for {specialist.name}, so it may not answer.",
            "`protege improve` certifies one once there are calls enough.",
        )
    return terms


def audit_rate(workspace: Workspace, specialist: Specialist, wanted: float = RULES.audit) -> float:
    """The share of its calls to audit: the policy's where that is more, as far as the policy's budget goes."""
    policy = policy_of(workspace, specialist.task_id)
    usual = policy.audit or RULES.audit
    rate = usual if wanted <= RULES.audit else max(usual, wanted)
    if policy.budget_usd is None:
        return rate
    cost = audits_cost_usd(workspace, specialist.task_id)
    return rate if cost is None or rate * cost <= policy.budget_usd else max(LEAST_AUDIT, policy.budget_usd / cost)


LEAST_AUDIT = 0.001
"""Below this an audit finds nothing out in a month."""


def audits_cost_usd(workspace: Workspace, task_id: str) -> float | None:
    """What a day would cost on which every call of the task was audited; None where that is not known."""
    task = next((task for task in workspace.tasks() if task.id == task_id), None)
    if task is None or not task.cost_usd or (span := workspace.days(task_id)) is None:
        return None
    return task.cost_usd * task.calls / span


def stage(workspace: Workspace, specialist: Specialist) -> Mapping[str, Any]:
    """Since when it is in its state: `after` the number of a try, `calls` the place of a call in the order of arrival,
    `time` in seconds since 1970."""
    return workspace.result(_stage(specialist)) or {"after": 0, "calls": 0, "time": specialist.created}


def state_of(workspace: Workspace, specialist: Specialist) -> State:
    """The state that is stored; the specialist's own where it is not."""
    mine = workspace.specialists(task_id=specialist.task_id)
    return next((s for s in mine if s.id == specialist.id), specialist).state


def keep_record(workspace: Workspace, specialist: Specialist, terms: Route | None = None) -> None:
    """Store what the loop found out about a specialist, but for its state, which others may have changed meanwhile."""
    with workspace.turn, workspace.change():
        workspace.save_specialist(replace(specialist, state=state_of(workspace, specialist)))
        if terms is not None:
            workspace.save_route(terms)


def publish(workspace: Workspace) -> None:
    """Tell running agents which specialists may answer now."""
    from .publishing import publish as write

    write(workspace)


def _advance(
    workspace: Workspace,
    specialist: Specialist,
    state: State,
    terms: Route,
    why: str,
    expected: State | None = None,
) -> None:
    """Into a state of service. Who was in it, or in one that it ends, is retired, and who is asked after that one."""
    from ..serve import bring_back, unload

    expected = expected or state_of(workspace, specialist)
    if state != "shadow":
        specialist = bring_back(workspace, specialist, terms.fingerprint)
    with workspace.turn:
        if (now := state_of(workspace, specialist)) != expected:
            raise BadInput(f"{specialist.name} has become {now} meanwhile.", "`protege status` tells why.")
        _check_first(workspace, specialist, terms)
        others = _displaced(workspace, specialist, state, terms)
        seconds = _seconds(workspace, others if state == "live" else [*others, specialist], terms)
        with workspace.change():
            for other in others:
                workspace.save_result(_replaced(other), other.state == "live")
            _retire_all(workspace, others, f"{specialist.name} takes its place.")
            _retire_all(workspace, seconds, ONLY_AFTER)
            workspace.save_result(_taken_out(specialist), False)
            workspace.save_route(terms)
            _enter(workspace, replace(specialist, state=state))
            _note(workspace, specialist, state, why, {"threshold": terms.threshold, "share": terms.share})
        publish(workspace)
    for other in (*others, *seconds):
        unload(other)


def _end(
    workspace: Workspace,
    specialist: Specialist,
    what: str,
    why: str,
    *,
    taken_out: bool,
    figures: Mapping[str, Any] | None = None,
    also: Callable[[], object] = lambda: None,
    expected: State | None = None,
) -> bool:
    from ..serve import unload

    with workspace.turn:
        if expected is not None and state_of(workspace, specialist) != expected:
            return False  # somebody else was quicker
        seconds = _seconds(workspace, [specialist])
        with workspace.change():
            also()
            workspace.save_result(_replaced(specialist), False)
            if taken_out:
                workspace.save_result(_taken_out(specialist), True)
            _enter(workspace, replace(specialist, state="retired"))
            _note(workspace, specialist, what, why, figures)
            _retire_all(workspace, seconds, ONLY_AFTER)
        publish(workspace)
    for one in (specialist, *seconds):
        unload(one)
    return True


ONLY_AFTER = "It was certified on what the one before it hands back, and that one answers no more, or on other terms."


def _check_first(workspace: Workspace, specialist: Specialist, terms: Route) -> None:
    """Raise BadInput where the second in a cascade has no first, or one on other terms than it was certified on."""
    if not terms.after:
        return
    first = next((s for s in workspace.specialists(task_id=specialist.task_id) if s.id == terms.after), None)
    if first is None or first.state != "live" or workspace.routes()[first.id].identity != terms.rests_on:
        raise BadInput(
            f"{specialist.name} may answer only after {first.name if first else terms.after}, on the terms of then.",
            "`protege improve --cascade BASE` certifies one for who answers now.",
        )


def _displaced(workspace: Workspace, specialist: Specialist, state: State, terms: Route) -> list[Specialist]:
    """Who has the place that a specialist takes: the first in a cascade takes no second's, nor the other way round."""
    ended: Sequence[State] = ("shadow", "canary", "live") if state == "live" else ("shadow", "canary")
    mine, certified = workspace.specialists(task_id=specialist.task_id), workspace.routes()
    others = [s for s in mine if s.state in ended and s.id != specialist.id]
    return [s for s in others if bool(s.id in certified and certified[s.id].after) == bool(terms.after)]


def _seconds(workspace: Workspace, ended: Sequence[Specialist], terms: Route | None = None) -> list[Specialist]:
    """Who is asked after one that ends, or after the one of these terms and was certified on others."""
    certified, gone = workspace.routes(), {s.id for s in ended}

    def alone(route: Route | None) -> bool:
        if route is None or not route.after:
            return False
        changed = terms is not None and route.after == terms.specialist_id and route.rests_on != terms.identity
        return changed or route.after in gone

    return [s for s in workspace.specialists() if s.answers and alone(certified.get(s.id))]


def _retire_all(workspace: Workspace, specialists: Sequence[Specialist], why: str) -> None:
    for one in specialists:
        workspace.save_specialist(replace(one, state="retired"))
        _note(workspace, one, "retired", why)


def _enter(workspace: Workspace, specialist: Specialist) -> None:
    workspace.save_specialist(specialist)
    began = {"after": workspace.last_attempt(), "calls": workspace.last_call(), "time": time.time()}
    workspace.save_result(_stage(specialist), began)


def _note(
    workspace: Workspace, specialist: Specialist, what: str, why: str, figures: Mapping[str, Any] | None = None
) -> None:
    workspace.note(Event(what, why, specialist.task_id, specialist.id, figures=dict(figures or {})))


def _stage(specialist: Specialist) -> str:
    return f"stage:{specialist.id}"


def _replaced(specialist: Specialist) -> str:
    return f"replaced:{specialist.id}"


def _taken_out(specialist: Specialist) -> str:
    return f"taken-out:{specialist.id}"


def refuse(workspace: Workspace, specialist: Specialist) -> None:
    """Let the specialist serve no more where it was to serve; what it does elsewhere, on other terms, goes on."""
    from ..serve import remove, unload

    stored = next((s for s in workspace.specialists(task_id=specialist.task_id) if s.id == specialist.id), specialist)
    if stored.state not in ("shadow", "canary", "live"):
        unload(specialist)
        keep_record(workspace, specialist)
    elif (stored.engine, stored.serve_as) == (specialist.engine, specialist.serve_as):
        withdraw(workspace, specialist)  # on terms that hold no more
    elif specialist.engine == "ollama" and not stored.imported:
        remove(workspace, specialist)
