"""The whole loop, steps S1 to S6 of "Small Language Models are the Future of Agentic AI" (Belcak et al., 2025, §6).

    collect ─► cluster ─► curate ─► select ─► tune ─► serve ─► parity ─► evaluate ─► route ─► watch     and again

`improve` runs it over all tasks or some, up to the route. `loop.steps` keeps each step's result under the hash of what
it was made from: a second run reuses what did not change, and a run that was killed goes on where it stopped. Only
`admit` changes what agents see, and it does so in one write. `service.loop` runs it again and again, and between the
runs checks whether those that answer still may (`watch`), by the rules in `rollout.rules`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from . import watch
from .certify import Candidate, certify
from .common.confinement import Aside, Confinement
from .common.progress import Progress, Silent
from .common.tracing import span
from .errors import ProtegeError
from .loop import cascade, contest, steps, trials
from .loop.admit import admit
from .loop.run import Improvement, Run
from .loop.settings import Settings
from .loop.tasks import choose, find_tasks, unfit
from .rollout import in_force
from .rollout.policy import policy_of
from .store.records import ImprovementRow
from .task import Task
from .workspace import Workspace


def improve(
    workspace: Workspace,
    task_names: Sequence[str] = (),
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> list[Improvement]:
    """Run the loop over the tasks named (by name or id), or over all, largest first.

    First checks whether the specialists that answer still may. What stands in the way of one task (too few calls, no
    base that qualifies, an engine that fails) does not stop the others: it becomes its reason. Raises WorkspaceBusy if
    another process improves the same workspace, BadInput for a task that does not exist, BaseModelError for a named
    base that is not here, and EngineError if the engine that was asked for does not answer.
    """
    settings, progress = steps.decided(settings or Settings()), progress or Silent()
    steps.check_bases(workspace, settings)
    watch.look(workspace)
    with workspace.lock():
        tasks = choose(find_tasks(workspace, progress), task_names)
        return [improve_task(workspace, task, settings, progress) for task in tasks]


def improve_task(workspace: Workspace, task: Task, settings: Settings, progress: Progress) -> Improvement:
    """Run the loop over one task: from its calls to a route, or to the reason why there is none."""
    run = Run(workspace, task, settings, progress)
    with span("protege.improve", task=task.name) as traced:
        asides: list[Aside] = []
        improvement = run.stays("An error that nobody expected ended it; `protege doctor` tells its type.")
        with Confinement("improve", asides.append, through=(ProtegeError,)).each(task.id):
            try:
                improvement = improved(run)
            except ProtegeError as error:
                improvement = run.stays(str(error))
        workspace.quarantine.add(asides)
        improvement = conclude(workspace, improvement)
        traced.set(decision=improvement.decision, specialist=improvement.specialist_id)
        return improvement


def improved(run: Run) -> Improvement:
    """The steps of one task's improvement, in their order."""
    if reason := unfit(run.workspace, run.task):
        return run.stays(reason)
    if run.workspace.state.in_doubt(run.task.id):
        return run.stays("What says who may answer it is damaged: protege doctor --repair")
    policy = policy_of(run.workspace, run.task.id)
    if policy.pin:
        return run.stays(f"Its policy pins {policy.pin}: the loop changes nothing.")
    run = replace(run, settings=run.settings.under(policy))

    curated = steps.curate(run)
    curated = contest.recent(run, curated)
    asked = run
    run, others = contest.chosen(asked, curated)
    base, reason, bases = steps.select(run, curated)
    passed_over = [*others, *bases]
    if base is None:
        return run.stays(reason, passed_over=passed_over)
    specialist = steps.tune(run, curated, base)
    passed_over += trials.outdone(specialist)
    specialist, parity = steps.served_alike(run, specialist, curated)
    if not parity.holds:
        return run.stays(parity.reason, specialist.id, passed_over)
    promise = run.settings.promise
    answers = steps.answers(run, specialist, curated, promise)
    candidate = Candidate(run.task, specialist, curated, parity, answers)
    figures = certify(run.workspace, candidate, promise)
    answering, reason = admit(run, candidate, figures)
    decision = "live" if answering else "teacher"
    improvement = Improvement(run.task.id, decision, reason, specialist.id, figures, passed_over=passed_over)
    return cascade.extended(asked, candidate, improvement)


def conclude(workspace: Workspace, improvement: Improvement) -> Improvement:
    """Store it. An older specialist of the task that is live goes on answering if no newer one may yet."""
    policy, routes = policy_of(workspace, improvement.task_id), workspace.routes()
    live = [s for s in workspace.specialists(task_id=improvement.task_id) if s.state == "live" and s.id in routes]
    older = next((s for s in live if in_force(routes[s.id], s, policy)), None)
    if improvement.decision == "teacher" and older:
        reason = f"{improvement.reason} {older.name} goes on answering."
        improvement = replace(improvement, decision="live", reason=reason)
    workspace.findings.save_improvement(ImprovementRow(**improvement.to_record()))
    return improvement
