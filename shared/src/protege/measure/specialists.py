"""Specialists' figures again, on calls that they never learnt from."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

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
    """A specialist's figures again: on the test calls it was judged by, or on other calls of its task.

    Of `calls`, those of other tasks and those that a specialist answered are left out. Raises BadInput where none is
    left, or where the test calls are gone.
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

    Without `calls`, on the calls that are test calls of both. Raises BadInput where the two have different tasks, where
    they share no test call, and as `measure` does.
    """
    from ..evaluate import compare

    if first.task_id != second.task_id:
        raise BadInput(f"{first.name} and {second.name} have different tasks.", "Compare two of one task.")
    task = _task(workspace, first)
    examples = _shared(workspace, first, second) if calls is None else _examples_of(workspace, task, calls)
    one, one_figures = _measured(workspace, first, task, examples, progress)
    other, other_figures = _measured(workspace, second, task, examples, progress)
    return {
        "first": {"name": first.name, **one_figures.to_record()},
        "second": {"name": second.name, **other_figures.to_record()},
        "comparison": compare(one, other).to_record(),
    }


def held_out_examples(workspace: Workspace, specialist: Specialist, parts: Sequence[str] = ("test",)) -> list[Example]:
    """The test calls of the data set that it was tuned on, or other parts'. Raises BadInput where that is gone."""
    curated = _data_set(workspace, specialist)
    return [example for part in parts for example in curated.examples(part)]


def _measured(
    workspace: Workspace, specialist: Specialist, task: Task, examples: Sequence[Example], progress: Progress | None
) -> tuple[list[Judged], Evaluation]:
    """Its answers, with the confidences that its route goes by, and their figures.

    What the threshold keeps is among them only where the engine is the one that it was calibrated on.
    """
    from ..asking.confidence import Scorer
    from ..evaluate import answer_all, evaluate
    from ..rollout.policy import grader_of
    from ..serve import open_engine

    terms = workspace.routes().get(specialist.id)
    scorer = Scorer.from_record(terms.scorer) if terms and terms.scorer else None
    with open_engine(workspace, specialist) as engine:
        with (progress or Silent()).step(f"{specialist.name}: answering", len(examples)) as bar:
            grader = grader_of(workspace, task)
            judged = answer_all(engine, specialist, task, examples, parallel=1, grader=grader, bar=bar, scorer=scorer)
        same = engine.fingerprint(specialist) == (specialist.report or {}).get("fingerprint")
    certificate = (specialist.report or {}).get("certificate") or {}
    threshold = certificate.get("threshold") if same else None
    return judged, evaluate(judged, grader, threshold=threshold, examples=examples)


def _task(workspace: Workspace, specialist: Specialist) -> Task:
    return next(task for task in workspace.tasks() if task.id == specialist.task_id)


def _data_set(workspace: Workspace, specialist: Specialist) -> Curated:
    from ..curate import Curated

    for folder in (workspace.home / "datasets").glob("[!.]*"):
        with contextlib.suppress(BadInput):  # another one is damaged
            if (curated := Curated.load(folder)).hash == specialist.lineage.get("curated"):
                return curated
    raise BadInput(f"The data set of {specialist.name} is gone.", "Give other calls: --calls FILE.")


def _shared(workspace: Workspace, first: Specialist, second: Specialist) -> list[Example]:
    """The test calls of both: a test call of the one may be what the other learnt from."""
    others = {example.id for example in held_out_examples(workspace, second)}
    examples = [example for example in held_out_examples(workspace, first) if example.id in others]
    if not examples:
        raise BadInput(
            f"{first.name} and {second.name} share no test call: what one is tested by, the other may have learnt.",
            "Give calls that neither has seen: --calls FILE.",
        )
    return examples


def _examples_of(workspace: Workspace, task: Task, calls: Sequence[Call]) -> list[Example]:
    """Those of the calls that are of this task."""
    from ..cluster import Assigner

    assigner = Assigner(workspace.tasks())
    examples: list[Example] = []
    for call in calls:
        found = assigner.assign(call.request)
        if call.response is not None and call.from_teacher and found is not None and found.id == task.id:
            examples.append(Example(call.id, replace(call, response=None), answer_text(call.response)))
    if not examples:
        raise BadInput(
            f"None of these calls is of the task {task.name}.", "`protege tasks` tells what repeats in them."
        )
    return examples
