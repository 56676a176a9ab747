"""The whole loop, steps S1 to S6 of "Small Language Models are the Future of Agentic AI" (Belcak et al., 2025, §6).

    collect ─► cluster ─► curate ─► select ─► tune ─► serve ─► parity ─► evaluate ─► route ─► watch     and again

`improve` runs it over all tasks or some, up to the route. `steps` keeps each step's result under the hash of what it
was made from: a second run reuses what did not change, and a run that was killed goes on where it stopped. Only the
`gate` changes what agents see, and it does so in one write. `keep` runs it again and again, and between the runs looks
whether those that answer still may (`watch`), by the rules in `rollout`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from . import cascade, finding, gate, steps
from .errors import ProtegeError
from .policy import policy_of
from .progress import Progress, Silent
from .task import Task
from .tracing import span
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
    compare_prompts: tune for the slots and for the whole prompt, and go on with the better. rollout: "direct", what is
    certified answers at once; "staged", it is shown in the shadow and on a share of the runs first. retrain: on all
    calls, whether that is due or not. cascade: as base, of a larger one: a second specialist is tuned from it, which is
    asked what the first hands back, where that saves. The rest: what the steps take, None for their defaults.
    """

    epsilon: float = 0.05
    delta: float = 0.05
    base: str | None = None
    serve_as: Literal["lora", "merged"] = "merged"
    engine: Literal["auto", "embedded", "ollama"] = "auto"
    keep_alive: str = "30m"
    keep_versions: int = 3
    compare_prompts: bool = False
    rollout: Literal["direct", "staged"] = "direct"
    retrain: bool = False
    cascade: str | None = None
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
    routed, reason = gate.route(workspace, task, specialist, curated, figures, settings)
    found = Improvement(task.id, "live" if routed else "teacher", reason, specialist.id, figures, passed_over)
    return cascade.extended(workspace, task, curated, answers, found, settings, progress)


def conclude(workspace: Workspace, improvement: Improvement) -> Improvement:
    """Keep it. An older specialist of the task that is live goes on answering where no newer one may yet."""
    from .route import in_force

    policy, certified = policy_of(workspace, improvement.task_id), workspace.routes()
    mine = [s for s in workspace.specialists(task_id=improvement.task_id) if s.state == "live" and s.id in certified]
    older = next((s for s in mine if in_force(certified[s.id], s, policy)), None)
    if improvement.decision == "teacher" and older:
        reason = f"{improvement.reason} {older.name} goes on answering."
        improvement = replace(improvement, decision="live", reason=reason)
    workspace.save_result(f"improvement:{improvement.task_id}", vars(improvement))
    return improvement


LOOK_S = 30.0
"""Between two looks at what was recorded: so long, at the most, a breach goes on once it shows."""
RETRY = 24
"""So many times as often as otherwise a task is improved whose retraining is due, and waits for calls."""

log = logging.getLogger("protege")


def keep(
    workspace: Workspace,
    wanted: Sequence[str] = (),
    settings: Settings | None = None,
    *,
    every_s: float,
    stopped: Callable[[float], bool],
    told: Callable[[Sequence[Improvement]], object] = lambda _: None,
    progress: Progress | None = None,
) -> None:
    """Improve every so often, and watch in between, until stopped.

    stopped: waits as long as it is given, and says whether to end. told: is given what each run did. Everything is kept
    in the workspace: killed at any moment and started again it goes on. Of two on one workspace one improves, both
    watch.
    """
    settings = settings or Settings(rollout="staged")
    finding.choose(finding.find_tasks(workspace, progress), wanted)
    ran_s = tried_s = -every_s * RETRY
    with watching(workspace):
        while True:
            now_s = time.monotonic()
            with _going_on("Improving"):
                whole, due = now_s - ran_s >= every_s, overdue(workspace, wanted)
                if whole or (due and now_s - tried_s >= every_s / RETRY):
                    tried_s, ran_s = now_s, now_s if whole else ran_s
                    told(improve(workspace, wanted if whole else due, settings, progress))
            with _going_on("Showing"):
                show(workspace, progress)
            if stopped(min(LOOK_S, every_s)):
                return


@contextmanager
def _going_on(what: str) -> Iterator[None]:
    """A service goes on after a trouble (another process at work, a full disk, an engine away): the next time it may go
    well, and until then it watches."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except ProtegeError as error:
        log.warning("%s waits: %s", what, error)
    except (SQLAlchemyError, OSError) as error:
        log.warning("%s failed (%s); it is tried again.", what, type(error).__name__)


@contextmanager
def watching(workspace: Workspace) -> Iterator[None]:
    """Look every LOOK_S at what was recorded, in a thread, so that a breach does not wait for a tuning to end."""
    from .watch import look

    ended = threading.Event()

    def run() -> None:
        while not ended.wait(LOOK_S):
            with _going_on("Looking"):
                look(workspace)

    thread = threading.Thread(target=run, name="protege-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(LOOK_S)


def show(workspace: Workspace, progress: Progress | None = None) -> None:
    """Ask the specialists in the shadow about the calls since, and do what the rules say then."""
    from .watch import look, shadow

    asked = 0
    for specialist in workspace.specialists():
        if specialist.state == "shadow":
            try:
                asked += shadow(workspace, specialist, progress)
            except ProtegeError as error:
                log.warning("%s is not shown: %s", specialist.name, error)
    if asked:
        look(workspace)


def overdue(workspace: Workspace, wanted: Sequence[str]) -> list[str]:
    """The tasks, of those wanted, whose specialist is to be made again for a reason that is open."""
    from .watch import reason_of

    chosen = finding.choose(workspace.tasks(), wanted)
    return [task.id for task in chosen if reason_of(workspace, task.id)]
