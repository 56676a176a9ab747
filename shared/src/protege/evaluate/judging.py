"""A split's rows asked of a specialist, each answer beside the teacher's."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ..asking.ask import Answered, ask
from ..asking.confidence import Scorer, keeps
from ..call import Request, text_of
from ..chat.prompt import fitting_template
from ..common.progress import Bar, Silent
from ..errors import CannotRender, EngineError
from ..specialist import Specialist
from ..task import Example, Task
from .graders import Grader, grader_for

if TYPE_CHECKING:
    from ..serve import Completer

PREVIEW_CHARACTERS = 200
PATIENCE = 10
"""So many engine errors in a row mean that the engine is down, which says nothing about the specialist."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One call of a split, the specialist's answer beside the teacher's.

    prompt_preview: the slots' first characters. agreed: under the task's grader; never where `valid` is not.
    confidence: 0 to 1. valid: the structure is right, so that the live route could keep it; where it is not, or the
    specialist could not be asked, confidence is None. latency_ms and tokens are None where nothing came back.
    features: what the confidence was made from (`features_of`); None without log-probabilities, and in older records.
    """

    call_id: str
    prompt_preview: str
    answer: str
    teacher: str
    agreed: bool
    confidence: float | None
    valid: bool
    latency_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    features: Mapping[str, float] | None = None

    def kept_at(self, threshold: float) -> bool:
        """Whether a route with this threshold keeps the answer."""
        return self.valid and keeps(self.confidence, threshold)


def judged_to(judged: Iterable[Judged]) -> list[dict[str, Any]]:
    """Judged answers as JSON holds them."""
    return [asdict(one) for one in judged]


def judged_from(records: Iterable[Mapping[str, Any]]) -> list[Judged]:
    """What `judged_to` wrote."""
    return [Judged(**record) for record in records]


def rescored(judged: Iterable[Judged], scorer: Scorer) -> list[Judged]:
    """The same answers with the confidences that this scorer gives; nobody is asked again.

    An answer without features keeps its plain confidence under a plain scorer, and gets 0 under another.
    """
    return [one if not one.valid else replace(one, confidence=_confidence(one, scorer)) for one in judged]


def _confidence(one: Judged, scorer: Scorer) -> float | None:
    if one.features is None and not scorer.weights:
        return one.confidence
    return scorer.confidence(one.features)


def answer_all(
    engine: Completer,
    specialist: Specialist,
    task: Task,
    examples: Sequence[Example],
    *,
    parallel: int = 2,
    timeout_s: float = 10.0,
    grader: Grader | None = None,
    bar: Bar | None = None,
    scorer: Scorer | None = None,
) -> list[Judged]:
    """Ask the specialist every example, in order; `parallel` at a time.

    An example that cannot be asked, fails, takes longer than `timeout_s` (the route's own time-out) or comes back
    malformed stays in, as not valid: live, the teacher would answer it. `bar` advances by one an example; scorer: as
    `ask` takes it. Raises EngineError if the engine is down.
    """
    judge = grader or grader_for(task)
    patience = _Patience(min(PATIENCE, len(examples)))

    def judged_answer(example: Example) -> Judged:
        patience.check()
        request = example.request
        try:
            answered = ask(engine, specialist, task, request, timeout_s=timeout_s, scorer=scorer)
            patience.renew()
        except CannotRender:
            answered = None
        except EngineError as error:
            patience.spend(error)
            answered = None
        return _judged(example, _preview(task, request), answered, judge.for_request(request))

    judged: list[Judged] = []
    shown = bar or Silent()
    with ThreadPoolExecutor(parallel, "protege-evaluate") as pool:
        try:
            for result in pool.map(judged_answer, examples):
                judged.append(result)
                shown.advance()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return judged


def _judged(example: Example, preview: str, answered: Answered | None, grader: Grader) -> Judged:
    if answered is None:
        return Judged(example.id, preview, "", example.answer, agreed=False, confidence=None, valid=False)
    valid = answered.message is not None
    return Judged(
        call_id=example.id,
        prompt_preview=preview,
        answer=answered.text,
        teacher=example.answer,
        agreed=valid and grader.agree(answered.text, example.answer),
        confidence=answered.confidence,
        valid=valid,
        latency_ms=answered.latency_ms,
        input_tokens=answered.input_tokens,
        output_tokens=answered.output_tokens,
        features=answered.features,
    )


def _preview(task: Task, request: Request) -> str:
    found = fitting_template(task, request)
    messages = found[1] if found else request.messages
    return " ".join("\n".join(text_of(message) for message in messages).split())[:PREVIEW_CHARACTERS]


class _Patience:
    """Counts engine errors in a row, over all threads; beyond `most`, every thread's next step is an EngineError."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._spent = 0
        self._lock = threading.Lock()
        self._end: EngineError | None = None

    def check(self) -> None:
        if self._end is not None:
            raise self._end

    def renew(self) -> None:
        with self._lock:
            self._spent = 0

    def spend(self, error: EngineError) -> None:
        with self._lock:
            self._spent += 1
            if self._spent >= self._most:
                fact = f"The engine failed {self._spent} times in a row; the last time: {error.fact}"
                self._end = EngineError(fact, error.remedy)
        self.check()


@dataclass(frozen=True)
class Answers:
    """A specialist's answers to the held-out calls, and the fingerprint of the engine that gave them.

    scorer: how their confidence is made, fitted on the validation calls. calibration: empty where those show that no
    threshold would be certified.
    """

    fingerprint: str
    scorer: Scorer
    validation: list[Judged]
    calibration: list[Judged]
    test: list[Judged]
