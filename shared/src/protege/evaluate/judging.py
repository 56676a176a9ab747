"""Asks a specialist a split's calls and judges each answer by the teacher's."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ..asking.ask import Answered, ask
from ..asking.confidence import Scorer, keeps
from ..call import Message, Request, text_of
from ..chat.answer import answer_text
from ..chat.prompt import fitting_template
from ..common.confinement import Aside, Confinement
from ..common.progress import Bar, Silent
from ..errors import CannotRender, EngineError, InvalidAnswer, ProtegeError
from ..specialist import Specialist
from ..task import Example, Task
from .graders import Grader, grader_for

if TYPE_CHECKING:
    from ..serve import Adviser, Completer

PREVIEW_CHARACTERS = 200
PATIENCE = 10
"""This many engine errors in a row mean that the engine is down, which says nothing about the specialist."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One call of a split: the specialist's answer, judged by the teacher's."""

    call_id: str
    prompt_preview: str
    """The first characters of the call's slots."""
    answer: str
    """The specialist's answer; empty if it could not be asked."""
    teacher: str
    """The teacher's answer."""
    agreed: bool
    """Whether the task's grader calls the specialist's answer the same as the teacher's, or as a person's correction of
    it; False if not `valid`."""
    confidence: float | None
    """0 to 1; None if not `valid`."""
    valid: bool
    """Whether the answer has the right structure, so that the live route could keep it."""
    latency_ms: float | None = None
    """None, like the tokens, if nothing came back."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    correction: str = ""
    """The answer that a person says is right; empty if nobody said one when this was judged."""
    corrected: bool | None = None
    """Whether the specialist's answer is the person's; None without one."""
    features: Mapping[str, float] | None = None
    """What the confidence was made from (`features_of`); None without log-probabilities, and in older records."""

    def kept_at(self, threshold: float) -> bool:
        """Whether a route with this threshold keeps the answer."""
        return self.valid and keeps(self.confidence, threshold)


def with_corrections(examples: Iterable[Example], corrections: Mapping[str, Message]) -> list[Example]:
    """The examples with what people say is right, by the ids of their calls. An answer that no specialist can give is
    left out."""

    def text(call_id: str) -> str:
        with contextlib.suppress(InvalidAnswer, TypeError):
            return answer_text(corrections[call_id]) if call_id in corrections else ""
        return ""

    return [replace(example, correction=text(example.id)) for example in examples]


def judged_to(judged: Iterable[Judged]) -> list[dict[str, Any]]:
    """Judged answers as JSON holds them."""
    return [asdict(answer) for answer in judged]


def judged_from(records: Iterable[Mapping[str, Any]]) -> list[Judged]:
    """Read what `judged_to` wrote."""
    return [Judged(**record) for record in records]


def rescored(judged: Iterable[Judged], scorer: Scorer) -> list[Judged]:
    """The same answers with this scorer's confidences; nobody is asked again.

    An answer without features keeps its plain confidence under a plain scorer, and gets 0 under another.
    """
    return [replace(j, confidence=_confidence(j, scorer)) if j.valid else j for j in judged]


def _confidence(judged: Judged, scorer: Scorer) -> float | None:
    if judged.features is None and not scorer.weights:
        return judged.confidence
    return scorer.confidence(judged.features)


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
    adviser: Adviser | None = None,
    on_aside: Callable[[Aside], None] | None = None,
) -> list[Judged]:
    """Ask the specialist every example, `parallel` at a time. Returns the judged answers in the order of the examples.

    An example that cannot be asked, fails, takes longer than `timeout_s` (the route's own time-out) or comes back
    malformed is included as not valid, since live the teacher would answer it. grader: the task's by default. bar:
    advances by one for each example. scorer, adviser: as `ask` takes them. on_aside: is told of each example that
    raises an error that nobody expected; it counts as not valid. Raises EngineError if the engine is down.
    """
    judge = grader or grader_for(task)
    patience = _Patience(min(PATIENCE, len(examples)))

    def judged_answer(example: Example) -> Judged:
        patience.check()
        request = example.request
        try:
            answered = ask(engine, specialist, task, request, timeout_s=timeout_s, scorer=scorer, adviser=adviser)
            patience.renew()
        except CannotRender:
            answered = None
        except EngineError as error:
            patience.spend(error)
            answered = None
        return _judged(example, _preview(task, request), answered, judge.for_request(request))

    confinement = Confinement("evaluation", on_aside, through=(ProtegeError,))

    def confined_answer(example: Example) -> Judged:
        judged = Judged(example.id, "", "", example.answer, agreed=False, confidence=None, valid=False)
        with confinement.each(example.id):
            judged = judged_answer(example)
        return judged

    judged: list[Judged] = []
    shown = bar or Silent()
    with ThreadPoolExecutor(parallel, "protege-evaluate") as pool:
        try:
            for result in pool.map(confined_answer, examples):
                judged.append(result)
                shown.advance()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return judged


def _judged(example: Example, preview: str, answered: Answered | None, grader: Grader) -> Judged:
    if answered is None:
        empty = Judged(example.id, preview, "", example.answer, agreed=False, confidence=None, valid=False)
        return replace(empty, correction=example.correction)
    valid = answered.message is not None
    corrected = valid and grader.agree(answered.text, example.correction) if example.correction else None
    return Judged(
        call_id=example.id,
        prompt_preview=preview,
        answer=answered.text,
        teacher=example.answer,
        agreed=valid and (bool(corrected) or grader.agree(answered.text, example.answer)),
        confidence=answered.confidence,
        valid=valid,
        latency_ms=answered.latency_ms,
        input_tokens=answered.input_tokens,
        output_tokens=answered.output_tokens,
        correction=example.correction,
        corrected=corrected,
        features=answered.features,
    )


def _preview(task: Task, request: Request) -> str:
    fitting = fitting_template(task, request)
    messages = fitting[1] if fitting else request.messages
    return " ".join("\n".join(text_of(message) for message in messages).split())[:PREVIEW_CHARACTERS]


class _Patience:
    """Counts engine errors in a row over all threads; after `most` of them, `check` raises EngineError in every
    thread."""

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
    """A specialist's answers to the held-out calls."""

    fingerprint: str
    """Of the engine that gave them."""
    scorer: Scorer
    """How their confidence is made; fitted on the validation calls."""
    validation: list[Judged]
    calibration: list[Judged]
    """Empty if the validation calls show that no threshold would be certified."""
    test: list[Judged]
