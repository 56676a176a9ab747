"""The whole loop, steps S1 to S6 of "Small Language Models are the Future of Agentic AI" (Belcak et al., 2025, §6).

    collect ─► cluster ─► curate ─► select ─► tune ─► serve ─► parity ─► evaluate ─► route     and again, on new calls

`improve` runs it over all tasks or some. `steps` keeps each step's result under the hash of what it was made from: a
second run reuses what did not change, and a run that was killed goes on where it stopped. Only the last step changes
what agents see, and it does so in one write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from . import steps
from .errors import EngineError, NotEnoughCalls, ResourceError
from .progress import Progress, Silent
from .task import Task
from .workspace import Workspace

if TYPE_CHECKING:
    from .curate import CurateSettings
    from .select import Policy
    from .tune import TuneSettings


@dataclass(frozen=True)
class Settings:
    """How to improve.

    epsilon, delta: P(disagreement among kept answers > epsilon) ≤ delta. base: a GGUF file or a folder to tune from, in
    place of choosing one; `ollama:NAME` for one that Ollama has. serve_as: "merged" (soonest) or "lora" (one base in
    memory for many). engine: "ollama", "embedded", or "auto": Ollama where one answers. keep_alive, keep_versions: how
    long a specialist stays in Ollama's memory after an answer, and how many of a task's stay in its store.
    compare_prompts: tune for the slots and for the whole prompt, and go on with the better. The rest: what the steps
    take, None for their defaults.
    """

    epsilon: float = 0.05
    delta: float = 0.05
    base: str | None = None
    serve_as: Literal["lora", "merged"] = "merged"
    engine: Literal["auto", "embedded", "ollama"] = "auto"
    keep_alive: str = "30m"
    keep_versions: int = 3
    compare_prompts: bool = False
    curate: CurateSettings | None = None
    tune: TuneSettings | None = None
    policy: Policy | None = None


@dataclass(frozen=True)
class Improvement:
    """What the loop did for a task. decision: "live", or "teacher" (stays with it); reason: why, for people."""

    task_id: str
    decision: Literal["live", "teacher"]
    reason: str
    specialist_id: str | None = None
    figures: Mapping[str, Any] = field(default_factory=dict[str, Any])
    passed_over: Sequence[tuple[str, str]] = ()


def improve(
    workspace: Workspace, wanted: Sequence[str] = (), settings: Settings | None = None, progress: Progress | None = None
) -> list[Improvement]:
    """Run the loop over the tasks named (by name or id), or over all, largest first.

    Raises WorkspaceBusy where another process improves the same workspace, BadInput for a task that does not exist, and
    EngineError where the Ollama that was asked for does not answer. What stands in the way of one task (too few calls,
    no base that qualifies, an engine that fails) does not stop the others: it is its reason.
    """
    settings, progress = settings or Settings(), progress or Silent()
    settings = steps.decided(settings)
    with workspace.lock():
        tasks = steps.choose(steps.find_tasks(workspace, progress), wanted)
        return [improve_task(workspace, task, settings, progress) for task in tasks]


def improve_task(workspace: Workspace, task: Task, settings: Settings, progress: Progress) -> Improvement:
    """Run the loop over one task: from its calls to a route, or to the reason why there is none."""
    try:
        return conclude(workspace, improvement(workspace, task, settings, progress))
    except (NotEnoughCalls, ResourceError, EngineError) as error:
        return conclude(workspace, Improvement(task.id, "teacher", str(error)))


def improvement(workspace: Workspace, task: Task, settings: Settings, progress: Progress) -> Improvement:
    """The steps of one task's improvement, in their order."""
    if reason := steps.unfit(task):
        return Improvement(task.id, "teacher", reason)
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
    answers = steps.answers(workspace, task, specialist, curated, settings, progress)
    figures = {**steps.certify(task, curated, answers, settings), "parity": parity.to_record()}
    routed, reason = steps.route(workspace, specialist, curated, figures, settings)
    return Improvement(task.id, "live" if routed else "teacher", reason, specialist.id, figures, passed_over)


def conclude(workspace: Workspace, improvement: Improvement) -> Improvement:
    """Keep it. An older specialist of the task that is live goes on answering where no newer one may."""
    older = next((s for s in workspace.specialists(task_id=improvement.task_id) if s.state == "live"), None)
    if improvement.decision == "teacher" and older:
        reason = f"{improvement.reason} {older.name} goes on answering."
        improvement = replace(improvement, decision="live", reason=reason)
    workspace.save_result(f"improvement:{improvement.task_id}", vars(improvement))
    return improvement
