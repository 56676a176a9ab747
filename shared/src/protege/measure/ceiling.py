"""Asks the teacher again: how often it agrees with itself, which no specialist can be expected to exceed by much.

If a prompt's answers come with shares p, the teacher agrees with itself with probability Σ p². The best that a
specialist can do is to give the commonest answer always, which agrees with probability max p. As Σ p² ≤ max p ≤ √(Σ p²)
for each prompt, and the root is concave, the best specialist's agreement lies between the ceiling measured here and its
root. (One minus these two are the errors of the nearest neighbour and of Bayes' rule: Cover and Hart, IEEE Transactions
on Information Theory 13, 1967.)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, TypeAlias

from .. import curate, rollout
from ..call import Message, Reply, Request
from ..chat.answer import answer_text
from ..common.prices import cost_usd
from ..common.progress import Progress, Silent
from ..errors import BadInput, InvalidAnswer, Refused
from ..stats.intervals import clopper_pearson
from ..task import Example, Task
from ..workspace import Workspace

if TYPE_CHECKING:
    from ..evaluate.graders import Grader

AT_ONCE = 4
"""Calls asked at the same time."""
Ask: TypeAlias = Callable[[Request], Message | Reply]
"""The teacher: returns an assistant message in OpenAI chat form, or a `Reply`, which has its model and tokens too.
Called from several threads. Raises Refused for a request that it does not take; any other error ends the measurement.
"""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """How often the teacher agrees with itself."""

    agreement: float
    """The share of calls or, of recorded repeats, the mean over prompts; 0 to 1."""
    n: int
    """Calls asked again, or prompts recorded more than once."""
    interval: tuple[float, float] | None = None
    """The exact (Clopper–Pearson) 95% interval; None for recorded repeats."""
    asked_again: bool = False
    """Whether the teacher was asked again; else it is known from recorded repeats."""
    agreed: int | None = None
    """Calls whose second answer agrees; None for recorded repeats."""
    grader: str = ""
    """What "agrees" means: the grader's name."""
    refused: int = 0
    """Calls that were asked and not answered; `n` does not include them."""
    model: str | None = None
    """The model asked again."""
    teachers: tuple[str, ...] = ()
    """The models whose answers were recorded."""
    input_tokens: int | None = None
    """Of all calls asked again; None if one of them is unknown."""
    output_tokens: int | None = None
    cost_usd: float | None = None
    """US dollars for asking again; None if tokens or price are unknown."""
    time: float | None = None
    """When it was measured, in seconds since 1970."""

    @property
    def best(self) -> float:
        """If `agreement` is exact, no specialist agrees with the teacher more often than this."""
        return math.sqrt(self.agreement)

    @property
    def same_model(self) -> bool:
        """Whether the model asked again is one of those recorded, as far as their names tell."""
        return self.model is None or not self.teachers or self.model in self.teachers

    def to_record(self) -> dict[str, Any]:
        """As JSON holds it, with the derived figures."""
        return {**asdict(self), "best": self.best, "same_model": self.same_model}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Ceiling:
        known: dict[str, Any] = {field.name: record[field.name] for field in fields(cls) if field.name in record}
        known["interval"] = tuple(record["interval"]) if record.get("interval") else None
        known["teachers"] = tuple(record.get("teachers") or ())
        return cls(**known)


def known_ceiling(workspace: Workspace, task_id: str) -> Ceiling | None:
    """The task's ceiling as measured, else from prompts that were recorded more than once; None if neither shows it."""
    measured = workspace.findings.ceiling(task_id)
    if measured is not None:
        return Ceiling.from_record(measured)
    improvement = workspace.findings.improvement(task_id)
    recorded = (improvement.figures if improvement else {}).get("ceiling") or {}
    if recorded.get("share") is None:
        return None
    return Ceiling(agreement=recorded["share"], n=recorded["prompts"], grader="same answer")


def examples_to_ask(workspace: Workspace, task: Task, calls: int) -> list[Example]:
    """The first `calls` test calls of the task's data set, which is shuffled, or all if there are fewer.

    Raises BadInput if there is no data set, or no test call in it.
    """
    data_set = workspace.findings.data_set(task.id)
    folder = workspace.home / "datasets" / (data_set.folder if data_set else "")
    if data_set is None or not folder.exists():
        raise BadInput(f"The calls of {task.name} are not divided yet.", f"protege improve {task.name}")
    test = curate.Curated.load(folder).examples("test")
    if not test or calls < 1:
        raise BadInput(f"There is no test call of {task.name} to ask.", "Record more calls; ask at least one.")
    return test[:calls]


def measure_ceiling(
    workspace: Workspace, task: Task, ask: Ask, *, calls: int = 100, progress: Progress | None = None
) -> Ceiling:
    """Ask the teacher held-out test calls again, as they were recorded, and grade each second answer against the first.

    A second answer of another structure does not agree. The workspace keeps the result. Raises what `examples_to_ask`
    and `ask` raise; Refused only if no call was answered.
    """
    examples, grader = examples_to_ask(workspace, task, calls), rollout.grader_of(workspace, task)
    answers = _asked(task, ask, [example.request for example in examples], progress or Silent())
    given = [answer for answer in answers if isinstance(answer, Reply)]
    if not given:
        raise next(answer for answer in answers if isinstance(answer, Refused))
    agreed = sum(
        _agrees(grader.for_request(example.request), answer, example.answer)
        for example, answer in zip(examples, answers, strict=True)
        if isinstance(answer, Reply)
    )
    ceiling = Ceiling(
        agreement=agreed / len(given),
        n=len(given),
        interval=clopper_pearson(agreed, len(given)),
        asked_again=True,
        agreed=agreed,
        grader=grader.name,
        refused=len(examples) - len(given),
        model=next((answer.model for answer in given if answer.model), None),
        teachers=_teachers(examples),
        input_tokens=_sum([answer.input_tokens for answer in given]),
        output_tokens=_sum([answer.output_tokens for answer in given]),
        cost_usd=_cost(given),
        time=time.time(),
    )
    workspace.findings.save_ceiling(task.id, ceiling.to_record())
    return ceiling


def _asked(task: Task, ask: Ask, requests: Sequence[Request], progress: Progress) -> list[Reply | Refused]:
    """The answers in the order of their requests. Any error but Refused ends the measurement."""

    def ask_again(request: Request) -> Reply | Refused:
        try:
            answer = ask(request)
        except Refused as error:
            return error
        return answer if isinstance(answer, Reply) else Reply(answer)

    answers: list[Reply | Refused] = []
    with (
        progress.step(f"{task.name}: asking the teacher again", len(requests)) as bar,
        ThreadPoolExecutor(AT_ONCE, "protege-teacher") as pool,
    ):
        try:
            for answer in pool.map(ask_again, requests):
                answers.append(answer)
                bar.advance()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return answers


def _agrees(grader: Grader, second: Reply, first: str) -> bool:
    """Whether the second answer agrees; False if there is none, or its tool calls cannot be read."""
    try:
        return second.message is not None and grader.agree(answer_text(second.message), first)
    except InvalidAnswer:
        return False


def _teachers(examples: Sequence[Example]) -> tuple[str, ...]:
    """The models whose answers these are, by the names they were asked under and answered under."""
    named = {name for example in examples for name in (example.call.model, example.call.answered_by) if name}
    return tuple(sorted(named))


def _sum(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _cost(answers: Sequence[Reply]) -> float | None:
    """US dollars for all answers; None if the tokens or the price of one are unknown."""
    total = 0.0
    for answer in answers:
        if answer.model is None or answer.input_tokens is None or answer.output_tokens is None:
            return None
        cost = cost_usd(answer.model, answer.input_tokens, answer.output_tokens)
        if cost is None:
            return None
        total += cost
    return total
