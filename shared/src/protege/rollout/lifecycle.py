"""Which specialist answers a task: shown, promoted, rolled back, retired. Running agents follow within a second.

`rules` has the rules; this module writes what follows from them. Every change is one transaction with the event that
tells of it, made while `Workspace.turn` is held. What takes an answer away is written first, to the switch
(`common.switch`), and what gives one last, to routes.json: killed in between, a process leaves agents with the teacher
or with what was certified. `switching.settle`, at the next look, ends what it began.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .. import serve
from ..common.switch import give, of_specialist, take
from ..errors import BadInput, ProtegeError
from ..specialist import Route, Specialist, State
from ..store.records import Event, Stage
from ..workspace import Workspace
from .policy import policy_of
from .publishing import check_signing, publish, withheld
from .rules import RULES
from .stages import proof_so_far

log = logging.getLogger("protege.lifecycle")


def promote(
    workspace: Workspace,
    specialist: Specialist,
    route: Route | None = None,
    why: str = "promoted",
    expected: State | None = None,
) -> None:
    """Let a specialist answer its task, in place of those that do now: on this route, or the one last certified.

    A specialist that Ollama serves is there and in memory before the first call goes to it. The second in a cascade is
    let in beside the first, on whose route it was certified.

    Raises BadInput, and changes nothing, if no threshold was certified for it, if its state is no longer the `expected`
    one, if the shadow still owes the proof, or if the first in its cascade is not live on that route any more;
    EngineError if Ollama does not answer or is another version than was certified; WorkspaceError if its routes
    cannot be signed.
    """
    route = route or route_of(workspace, specialist)
    route = replace(route, share=1.0, audit=audit_rate(workspace, specialist))
    _advance(workspace, specialist, "live", route, why, expected)


def shadow(workspace: Workspace, specialist: Specialist, route: Route, why: str) -> None:
    """Have a certified specialist compared with the teacher on the calls to come, without answering any itself."""
    _advance(workspace, specialist, "shadow", replace(route, share=0.0, audit=0.0), why)


def canary(
    workspace: Workspace,
    specialist: Specialist,
    why: str,
    expected: State | None = None,
    route: Route | None = None,
) -> None:
    """Let a specialist answer a share of its task's runs, beside who answers now. Route and errors as of `promote`."""
    rate = audit_rate(workspace, specialist, RULES.canary_audit)
    route = replace(route or route_of(workspace, specialist), share=RULES.canary_share, audit=rate)
    _advance(workspace, specialist, "canary", route, why, expected)


def audit(workspace: Workspace, specialist: Specialist, rate: float, why: str) -> None:
    """Audit this share of its calls from now on."""
    with workspace.turn:
        route = workspace.routes().get(specialist.id)
        if route is None or abs(route.audit - rate) < 0.1 * route.audit:
            return
        with workspace.change():
            workspace.save_route(replace(route, audit=rate))
            _note(workspace, specialist, "suspicion" if why else "calm", why or "No more suspicion.", {"audit": rate})
        publish(workspace)


def retire(workspace: Workspace, specialist: Specialist, why: str = "taken out of service") -> None:
    """Take a specialist out of service. Others of its task, or the teacher, answer from the next call on.

    `improve` does not let it answer again; `promote` does.
    """
    _end(workspace, specialist, "retired", why, taken_out=True)


def withdraw(workspace: Workspace, specialist: Specialist, why: str = "no threshold is certified now") -> None:
    """As `retire`, but `improve` may let it answer again."""
    _end(workspace, specialist, "retired", why, taken_out=False)


def rollback(
    workspace: Workspace, specialist: Specialist, why: str = "by hand", figures: Mapping[str, Any] | None = None
) -> Specialist | None:
    """Give the task back to the specialist's predecessor, which is returned, or to the teacher if there is none.

    The teacher answers from the first moment, the predecessor when it is ready. A predecessor that cannot be had (its
    Ollama is away, or another version) is passed over. Raises BadInput if the specialist does not answer its task.
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
    """The first half of a rollback: the teacher answers; after a canary, whoever answers the rest of the runs.

    also: writes more in the same transaction. Returns False, and changes nothing, if the specialist is in another
    state by now.
    """
    expected = specialist.state
    return _end(
        workspace, specialist, "rolled back", why, taken_out=True, figures=figures, also=also, expected=expected
    )


def succeed(workspace: Workspace, specialist: Specialist, *, shown: bool = True) -> Specialist | None:
    """The second half: if nobody else answers, the newest predecessor that can be had takes over.

    shown: False if the traffic may have changed since the predecessor was certified; it is shown anew then, on a share
    of the runs.
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
    """The older specialists that a rollback may bring back, newest first: those live until another replaced them."""
    certified = workspace.routes()
    older = [s for s in workspace.specialists(task_id=specialist.task_id) if s.version < specialist.version]
    alone = [s for s in older if s.id in certified and not certified[s.id].after]
    replaced = [s for s in alone if workspace.state.replaced(s.id) and not taken_out(workspace, s)]
    return sorted(replaced, key=lambda s: -s.version)


def taken_out(workspace: Workspace, specialist: Specialist) -> bool:
    """Whether a person or an alarm took it out of service."""
    return workspace.state.taken_out(specialist.id)


def prune(workspace: Workspace, task_id: str, keep: int) -> list[str]:
    """Remove a task's models from Ollama, all but the newest `keep`, those in service and the live one's predecessor.

    Returns the names of those that were removed; never touches what this workspace did not make.
    """
    mine = workspace.specialists(task_id=task_id)
    spared = {s.id for s in mine if s.state in ("shadow", "canary")}
    spared |= {s.id for live in mine if live.state == "live" for s in (live, *predecessors(workspace, live)[:1])}
    return serve.prune(workspace, task_id, keep, spared)


def route_of(workspace: Workspace, specialist: Specialist) -> Route:
    """The route last certified for a specialist. Raises BadInput if none was."""
    if (route := workspace.routes().get(specialist.id)) is None:
        raise BadInput(
            f"No threshold is certified for {specialist.name}, so it may not answer.",
            "`protege improve` certifies one once there are calls enough.",
        )
    return route


def audit_rate(workspace: Workspace, specialist: Specialist, rate: float = RULES.audit) -> float:
    """The share of its calls to audit: this one, or the policy's if that is more, within the policy's budget."""
    policy = policy_of(workspace, specialist.task_id)
    usual = policy.audit or RULES.audit
    rate = usual if rate <= RULES.audit else max(usual, rate)
    if policy.budget_usd is None:
        return rate
    cost = audits_cost_usd(workspace, specialist.task_id)
    return rate if cost is None or rate * cost <= policy.budget_usd else max(LEAST_AUDIT, policy.budget_usd / cost)


LEAST_AUDIT = 0.001
"""A smaller share of audits finds nothing out in a month."""


def audits_cost_usd(workspace: Workspace, task_id: str) -> float | None:
    """US dollars that auditing every call of the task would cost a day; None if that is unknown."""
    task = workspace.task(task_id)
    if task is None or not task.cost_usd or (span := workspace.days(task_id)) is None:
        return None
    return task.cost_usd * task.calls / span


def state_of(workspace: Workspace, specialist: Specialist) -> State:
    """The state that is stored; the specialist's own if it is not stored yet."""
    return (workspace.specialist(specialist.id) or specialist).state


def keep_record(workspace: Workspace, specialist: Specialist, route: Route | None = None) -> None:
    """Store what the loop found out about a specialist, but not its state: others may have changed that meanwhile."""
    with workspace.turn, workspace.change():
        workspace.save_specialist(replace(specialist, state=state_of(workspace, specialist)))
        if route is not None:
            workspace.save_route(route)


def _advance(
    workspace: Workspace,
    specialist: Specialist,
    state: State,
    route: Route,
    why: str,
    expected: State | None = None,
) -> None:
    """Put a specialist into a state of service, and retire whoever has its place and whoever is asked after those."""
    expected = expected or state_of(workspace, specialist)
    if state != "shadow":
        _check_shown(workspace, specialist, route)
        check_signing(workspace)
        specialist = serve.bring_back(workspace, specialist, route.fingerprint)
    with workspace.turn:
        if (now := state_of(workspace, specialist)) != expected:
            raise BadInput(f"{specialist.name} has become {now} meanwhile.", "`protege status` tells why.")
        _check_first(workspace, specialist, route)
        others = _displaced(workspace, specialist, state, route)
        seconds = _seconds(workspace, others if state == "live" else [*others, specialist], route)
        with withheld(workspace, [*others, *seconds]):
            with workspace.change():
                for other in others:
                    workspace.state.save_replaced(other.id, other.state == "live")
                _retire_all(workspace, others, f"{specialist.name} takes its place.")
                _retire_all(workspace, seconds, ONLY_AFTER)
                workspace.state.save_taken_out(specialist.id, False)
                workspace.save_route(route)
                _enter(workspace, replace(specialist, state=state))
                _note(workspace, specialist, state, why, {"threshold": route.threshold, "share": route.share})
            publish(workspace)
        give(workspace.home, of_specialist(specialist.id))
    for other in (*others, *seconds):
        serve.unload(other)


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
    key = of_specialist(specialist.id)
    try:
        take(workspace.home, key, "held" if expected else "ended")  # first: what follows may wait or fail
        with workspace.turn:
            if expected is not None and state_of(workspace, specialist) != expected:
                give(workspace.home, key)
                return False  # somebody else was quicker
            take(workspace.home, key)
            seconds = _seconds(workspace, [specialist])
            with withheld(workspace, seconds):
                with workspace.change():
                    also()
                    workspace.state.save_replaced(specialist.id, False)
                    if taken_out:
                        workspace.state.save_taken_out(specialist.id, True)
                    _enter(workspace, replace(specialist, state="retired"))
                    _note(workspace, specialist, what, why, figures)
                    _retire_all(workspace, seconds, ONLY_AFTER)
                publish(workspace)
            give(workspace.home, key)
    except BaseException:
        take(workspace.home, key)  # the store could not be told: `settle` tells it
        raise
    for ended in (specialist, *seconds):
        serve.unload(ended)
    return True


ONLY_AFTER = "It was certified on what the one before it hands back; that one no longer answers, or on other terms."


def _check_shown(workspace: Workspace, specialist: Specialist, route: Route) -> None:
    """Raise BadInput if nothing shows yet that a specialist may answer on this route."""
    if route.proof != "owed":
        return
    if (proof := proof_so_far(workspace, specialist)) is not None:
        raise BadInput(
            f"Nothing certifies {specialist.name} yet: its shadow is to, {proof.words}.",
            "`protege improve --every 1d` goes on with it, and lets it answer once it is shown.",
        )
    raise BadInput(
        f"Nothing certifies {specialist.name}: too few held-out calls do, and no shadow has shown it.",
        "`protege improve --every 1d` makes another once there are calls enough.",
    )


def _check_first(workspace: Workspace, specialist: Specialist, route: Route) -> None:
    """Raise BadInput if the first in a specialist's cascade is gone, or is on another route than at certification."""
    if not route.after:
        return
    first, on = workspace.specialist(route.after), workspace.routes().get(route.after)
    if first is None or on is None or first.state != "live" or on.identity != route.rests_on:
        raise BadInput(
            f"{specialist.name} may answer only after {first.name if first else route.after}, on the route of then.",
            "`protege improve --cascade BASE` certifies one for who answers now.",
        )


def _displaced(workspace: Workspace, specialist: Specialist, state: State, route: Route) -> list[Specialist]:
    """Who has the place that a specialist takes. The first and the second in a cascade have different places."""
    ended: Sequence[State] = ("shadow", "canary", "live") if state == "live" else ("shadow", "canary")
    mine, certified = workspace.specialists(task_id=specialist.task_id), workspace.routes()
    others = [s for s in mine if s.state in ended and s.id != specialist.id]
    return [s for s in others if bool(s.id in certified and certified[s.id].after) == bool(route.after)]


def _seconds(workspace: Workspace, ended: Sequence[Specialist], route: Route | None = None) -> list[Specialist]:
    """Who is asked after a specialist that ends, or after the one of this route but was certified on another route."""
    certified, gone = workspace.routes(), {s.id for s in ended}

    def alone(theirs: Route | None) -> bool:
        if theirs is None or not theirs.after:
            return False
        changed = route is not None and theirs.after == route.specialist_id and theirs.rests_on != route.identity
        return changed or theirs.after in gone

    return [s for s in workspace.specialists() if s.answers and alone(certified.get(s.id))]


def _retire_all(workspace: Workspace, specialists: Sequence[Specialist], why: str) -> None:
    for specialist in specialists:
        workspace.save_specialist(replace(specialist, state="retired"))
        _note(workspace, specialist, "retired", why)


def _enter(workspace: Workspace, specialist: Specialist) -> None:
    workspace.save_specialist(specialist)
    began = Stage(workspace.history.last_attempt(), workspace.last_call(), time.time())
    workspace.state.save_stage(specialist.id, began)


def _note(
    workspace: Workspace, specialist: Specialist, what: str, why: str, figures: Mapping[str, Any] | None = None
) -> None:
    workspace.history.note(Event(what, why, specialist.task_id, specialist.id, figures=dict(figures or {})))


def refuse(workspace: Workspace, specialist: Specialist) -> None:
    """Stop the specialist in its intended engine; it goes on in any other."""
    stored = workspace.specialist(specialist.id) or specialist
    if stored.state not in ("shadow", "canary", "live"):
        serve.unload(specialist)
        keep_record(workspace, specialist)
    elif (stored.engine, stored.serve_as) == (specialist.engine, specialist.serve_as):
        withdraw(workspace, specialist)  # its route holds no more
    elif specialist.engine in specialist.placed and specialist.engine not in stored.placed:
        serve.remove(workspace, specialist)
