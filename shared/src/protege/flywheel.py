"""The whole loop, steps S1 to S6 of "Small Language Models are the Future of Agentic AI" (Belcak et al., 2025, §6).

    collect ─► cluster ─► curate ─► select ─► tune ─► serve ─► parity ─► evaluate ─► route ─► watch     and again

`improve` runs it over all tasks or some, up to the route. `steps` keeps each step's result under the hash of what it
was made from: a second run reuses what did not change, and a run that was killed goes on where it stopped. Only the
`gate` changes what agents see, and it does so in one write. `keep` runs it again and again, and between the runs looks
whether those that answer still may (`watch`), by the rules in `rollout`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .certify import gate
from .common.progress import Progress, Silent
from .common.tracing import span
from .errors import ProtegeError
from .loop import admit, cascade, steps
from .loop import tasks as finding
from .loop.settings import Improvement, Settings
from .rollout.policy import policy_of
from .task import Task
from .workspace import Workspace

if TYPE_CHECKING:
    pass


def improve(
    workspace: Workspace, wanted: Sequence[str] = (), settings: Settings | None = None, progress: Progress | None = None
) -> list[Improvement]:
    """Run the loop over the tasks named (by name or id), or over all, largest first.

    Raises WorkspaceBusy where another process improves the same workspace, BadInput for a task that does not exist,
    BaseModelError for a named base that is not here, and EngineError where the Ollama that was asked for does not
    answer. What stands in the way of one task (too few calls, no base that qualifies, an engine that fails) does not
    stop the others: it is its reason. Looks first whether those that answer still may.
    """
    from .watch import look

    settings, progress = settings or Settings(), progress or Silent()
    settings = steps.decided(settings)
    steps.check_bases(workspace, settings)
    look(workspace)
    with workspace.lock():
        tasks = finding.choose(finding.find_tasks(workspace, progress), wanted)
        return [improve_task(workspace, task, settings, progress) for task in tasks]


def improve_task(workspace: Workspace, task: Task, settings: Settings, progress: Progress) -> Improvement:
    """Run the loop over one task: from its calls to a route, or to the reason why there is none."""
    with span("protege.improve", task=task.name) as traced:
        try:
            found = improvement(workspace, task, settings, progress)
        except ProtegeError as error:
            found = Improvement(task.id, "teacher", str(error))
        found = conclude(workspace, found)
        traced.set(decision=found.decision, specialist=found.specialist_id)
        return found


def improvement(workspace: Workspace, task: Task, settings: Settings, progress: Progress) -> Improvement:
    """The steps of one task's improvement, in their order."""
    if reason := finding.unfit(workspace, task):
        return Improvement(task.id, "teacher", reason)
    policy = policy_of(workspace, task.id)
    if policy.pin:
        return Improvement(task.id, "teacher", f"Its policy pins {policy.pin}: the loop changes nothing.")
    settings = replace(settings, epsilon=policy.epsilon or settings.epsilon, delta=policy.delta or settings.delta)
    curated = steps.curate(workspace, task, settings)
    base, reason, passed_over = steps.select(workspace, task, curated, settings, progress)
    if base is None:
        return Improvement(task.id, "teacher", reason, passed_over=passed_over)
    settings = steps.better_prompt(workspace, task, curated, base, settings, progress)
    specialist = steps.tune(workspace, task, curated, base, settings, progress)
    specialist = steps.place(workspace, specialist, settings, progress)
    parity = steps.parity(workspace, task, specialist, curated, progress)
    if not parity.holds:
        return Improvement(task.id, "teacher", parity.reason, specialist.id, passed_over=passed_over)
    promise = cascade.promise_of_each(settings)
    answers = steps.answers(workspace, task, specialist, curated, promise, progress)
    figures = gate.certify(workspace, task, specialist, curated, answers, promise)
    figures["parity"] = parity.to_record()
    routed, reason = admit.route(workspace, task, specialist, curated, figures, settings)
    found = Improvement(task.id, "live" if routed else "teacher", reason, specialist.id, figures, passed_over)
    return cascade.extended(workspace, task, curated, answers, found, settings, progress)


def conclude(workspace: Workspace, improvement: Improvement) -> Improvement:
    """Keep it. An older specialist of the task that is live goes on answering where no newer one may yet."""
    from .rollout import in_force

    policy, certified = policy_of(workspace, improvement.task_id), workspace.routes()
    mine = [s for s in workspace.specialists(task_id=improvement.task_id) if s.state == "live" and s.id in certified]
    older = next((s for s in mine if in_force(certified[s.id], s, policy)), None)
    if improvement.decision == "teacher" and older:
        reason = f"{improvement.reason} {older.name} goes on answering."
        improvement = replace(improvement, decision="live", reason=reason)
    workspace.save_result(f"improvement:{improvement.task_id}", vars(improvement))
    return improvement


log = logging.getLogger("protege")
