"""Measures specialists again, on calls that they never learnt from."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .. import cluster, curate, evaluate, rollout, serve
from ..asking.confidence import Scorer
from ..call import Call
from ..chat.answer import answer_text
from ..common.progress import Progress, Silent
from ..errors import BadInput
from ..specialist import Specialist
from ..task import Example, Task
from ..workspace import Workspace

if TYPE_CHECKING:
    from ..curate import Curated
    from ..evaluate import Evaluation, Judged


def measure(
    workspace: Workspace,
    specialist: Specialist,
    calls: Sequence[Call] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """A specialist's figures on the test calls that it was judged by, or on other calls of its task.

    calls: those of other tasks and those that a specialist answered are left out. Raises BadInput if none is left, or
    the test calls are gone.
    """
    task = _task(workspace, specialist)
    examples = held_out_examples(workspace, specialist) if calls is None else _examples_of(workspace, task, calls)
    return _measured(workspace, specialist, task, examples, progress)[1].to_record()


def measure_pair(
    workspace: Workspace,
    first: Specialist,
    second: Specialist,
    calls: Sequence[Call] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Two specialists of one task on the same calls: `first` and `second`, each with its `name` and its figures, and
    their `comparison` (`evaluate.Comparison`).

    Without `calls`, they are compared on the calls that are test calls of both. Raises BadInput if the two have
    different tasks or share no test call, and as `measure` does.
    """
    if first.task_id != second.task_id:
        raise BadInput(f"{first.name} and {second.name} have different tasks.", "Compare two specialists of one task.")
    task = _task(workspace, first)
    examples = _shared(workspace, first, second) if calls is None else _examples_of(workspace, task, calls)
    first_judged, first_figures = _measured(workspace, first, task, examples, progress)
    second_judged, second_figures = _measured(workspace, second, task, examples, progress)
    return {
        "first": {"name": first.name, **first_figures.to_record()},
        "second": {"name": second.name, **second_figures.to_record()},
        "comparison": evaluate.compare(first_judged, second_judged).to_record(),
    }


def held_out_examples(workspace: Workspace, specialist: Specialist, parts: Sequence[str] = ("test",)) -> list[Example]:
    """The test calls, or those of other parts, of the data set that it was tuned on. Raises BadInput if that is
    gone."""
    curated = _data_set(workspace, specialist)
    return [example for part in parts for example in curated.examples(part)]


def _measured(
    workspace: Workspace, specialist: Specialist, task: Task, examples: Sequence[Example], progress: Progress | None
) -> tuple[list[Judged], Evaluation]:
    """A specialist's answers, with the confidences that its route uses, and their figures.

    The figures say what the threshold keeps only if the engine is the one that it was calibrated on.
    """
    examples = evaluate.with_corrections(examples, workspace.corrections.of_calls({e.id for e in examples}))
    route = workspace.routes().get(specialist.id)
    scorer = Scorer.from_record(route.scorer) if route and route.scorer else None
    with contextlib.closing(serve.open_engine(workspace, specialist)) as engine:
        with (progress or Silent()).step(f"{specialist.name}: answering", len(examples)) as bar:
            grader = rollout.grader_of(workspace, task)
            judged = evaluate.answer_all(
                engine,
                specialist,
                task,
                examples,
                parallel=1,
                grader=grader,
                bar=bar,
                scorer=scorer,
                adviser=serve.adviser(workspace, specialist),
            )
        same = engine.fingerprint(specialist) == (specialist.report or {}).get("fingerprint")
    certificate = (specialist.report or {}).get("certificate") or {}
    threshold = certificate.get("threshold") if same else None
    return judged, evaluate.evaluate(judged, grader, threshold=threshold, examples=examples)


def _task(workspace: Workspace, specialist: Specialist) -> Task:
    task = workspace.task(specialist.task_id)
    if task is None:
        raise BadInput(f"The task of {specialist.name} is gone.", "`protege tasks` lists those that there are.")
    return task


def _data_set(workspace: Workspace, specialist: Specialist) -> Curated:
    for folder in (workspace.home / "datasets").glob("[!.]*"):
        with contextlib.suppress(BadInput):  # a damaged one may be another's
            if (curated := curate.Curated.load(folder)).hash == specialist.lineage.get("curated"):
                return curated
    raise BadInput(f"The data set of {specialist.name} is gone.", "Give other calls: --calls FILE.")


def _shared(workspace: Workspace, first: Specialist, second: Specialist) -> list[Example]:
    """The calls that are test calls of both, since one's test call may be what the other learnt from."""
    others = {example.id for example in held_out_examples(workspace, second)}
    examples = [example for example in held_out_examples(workspace, first) if example.id in others]
    if not examples:
        raise BadInput(
            f"{first.name} and {second.name} share no test call: what one is tested by, the other may have learnt.",
            "Give calls that neither has seen: --calls FILE.",
        )
    return examples


def _examples_of(workspace: Workspace, task: Task, calls: Sequence[Call]) -> list[Example]:
    """The calls of this task that the teacher answered, as examples."""
    assigner = cluster.Assigner(workspace.tasks())
    examples: list[Example] = []
    for call in calls:
        assigned = assigner.assign(call.request)
        if call.response is not None and call.from_teacher and assigned is not None and assigned.id == task.id:
            examples.append(Example(call.id, replace(call, response=None), answer_text(call.response)))
    if not examples:
        raise BadInput(
            f"None of these calls is of the task {task.name}.", "`protege tasks` tells what repeats in them."
        )
    return examples
