"""One question to a specialist. Evaluation and the live route both ask here: what was calibrated is what runs."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..call import Message, Request
from ..chat.answer import TO_TEACHER, is_words, message_from
from ..chat.copied import made_up
from ..chat.prompt import messages_for, render
from ..chat.refusal import refuses
from ..common.wrappers import bare
from ..errors import CannotRender, DoesNotFit, EngineError, InvalidAnswer, NoOpinion
from ..serve.opinion import head_of
from ..specialist import Specialist
from ..task import Kind, Task
from .confidence import Scorer, features_of
from .novelty import shown_text, words_of

if TYPE_CHECKING:
    from ..heads import Opinion
    from ..serve import Adviser, Completer
    from ..serve.engine import Completion

LOOP_CHARACTERS, LOOP_WORDS, LOOP_TIMES = 24, 12, 5
"""An answer of at least this many characters is a loop if its last words, at least this many in all, are the same one
to eight words this many times in a row."""
_JSON_TEXT = re.compile(r'"((?:[^"\\]|\\.)*+)("?)')
"""A text in JSON, and its closing quote. One that is not closed matches too, so that each character is read once."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a specialist answered."""

    text: str
    """What it wrote."""
    message: Message | None
    """The assistant message in OpenAI chat form; None if the answer cannot be kept."""
    fault: str
    """Why there is no message: "cut off", "invalid structure", "free text" (where tools are called), "made up" (an
    argument that the teacher always copied), "refusal" or "repetition"; empty if there is one."""
    confidence: float | None
    """0 to 1; None without a message."""
    latency_ms: float
    """How long the engine took, and the head that was asked what it makes of the answer."""
    input_tokens: int
    """Tokens of the prompt."""
    output_tokens: int
    """Tokens of the answer."""
    features: Mapping[str, float] | None = None
    """What the confidence is made from (`features_of`); None if the engine gave no log-probabilities."""


def ask(
    engine: Completer,
    specialist: Specialist,
    task: Task,
    request: Request,
    *,
    timeout_s: float,
    scorer: Scorer | None = None,
    adviser: Adviser | None = None,
) -> Answered:
    """Ask the specialist, check its answer, and tell how sure it is.

    scorer: how the confidence is made; by default it is the probability of the whole answer. adviser: whom to ask for
    a second opinion; what fails there matters only to a scorer that needs it. Raises CannotRender if the specialist
    cannot be shown the request, EngineError if the engine fails or is too slow, NoOpinion.
    """
    scorer, began_s = scorer or Scorer.plain(), time.perf_counter()
    if scorer.adviser:
        _check(adviser, specialist, scorer.adviser)  # before the model is asked, which takes a hundred times as long
    shown = messages_for(task, request, specialist.form)
    prompt = render(specialist.base, shown)
    try:
        completion = engine.complete(specialist, prompt, timeout_s=timeout_s)
    except DoesNotFit as error:  # the engine is well, so this must not count as its failure
        raise CannotRender(error.fact) from None
    message, fault = _checked(completion, task, request, specialist.copied)
    answered_s = time.perf_counter()
    left_s = timeout_s - (answered_s - began_s)
    opinion = _opinion(adviser, specialist, shown, completion, left_s, scorer) if adviser else None
    opinion_ms = 1000 * (time.perf_counter() - answered_s) if adviser else 0.0
    features = features_of(completion, task.kind, shown_text(shown), scorer.novelty, opinion)
    return Answered(
        text=bare(completion.text),
        message=message,
        fault=fault,
        confidence=None if message is None else scorer.confidence(features),
        latency_ms=completion.latency_ms + opinion_ms,
        input_tokens=completion.input_tokens,
        output_tokens=completion.output_tokens,
        features=features,
    )


def _check(adviser: Adviser | None, specialist: Specialist, fingerprint: str) -> None:
    """Raise NoOpinion if this is not the head whose opinions the scorer was fitted to."""
    if adviser is None:
        raise NoOpinion(f"Nobody is there for the second opinion of {specialist.name}.")
    try:
        same = adviser.fingerprint(head_of(specialist)) == fingerprint
    except EngineError as error:
        raise NoOpinion(error.fact, error.remedy) from error
    if not same:
        raise NoOpinion(f"The second opinion of {specialist.name} is another head's.", "`protege improve`.")


def _opinion(
    adviser: Adviser,
    specialist: Specialist,
    shown: Sequence[Message],
    completion: Completion,
    timeout_s: float,
    scorer: Scorer,
) -> Opinion | None:
    """What the head makes of the answer; None where it fails and the scorer does not need it. Raises NoOpinion."""
    head = head_of(specialist)
    try:
        opinion = adviser.opinion(head, render(head.base, shown), bare(completion.text), timeout_s=timeout_s)
    except (EngineError, CannotRender) as error:
        if scorer.adviser:
            raise NoOpinion(error.fact, error.remedy) from error
        return None
    if scorer.adviser:
        _check(adviser, specialist, scorer.adviser)  # again: its embedder may have been updated meanwhile
    return opinion


def _checked(completion: Completion, task: Task, request: Request, copied: Sequence[str]) -> tuple[Message | None, str]:
    """The message that may be kept and no fault, or None and the fault."""
    if completion.finish_reason != "stop":
        return None, "cut off"
    try:
        message = message_from(completion.text, task, request)
    except InvalidAnswer:
        return None, "invalid structure"
    text = bare(completion.text)
    if is_words(task, message) or text == TO_TEACHER:  # taught while the task's answers were calls of tools
        return None, "free text"
    if made_up(text, request, copied):
        return None, "made up"
    if text in task.labels:
        return message, ""
    if refuses(text):  # curation takes the teacher's refusals out of train, so no specialist was taught one
        return None, "refusal"
    return (None, "repetition") if repeats(text, task.kind) else (message, "")


def repeats(text: str, kind: Kind) -> bool:
    """Whether the same one to eight words come at least five times in a row, as in a model that has run into a loop.

    These are at least twelve words, and not numbers alone. Equal items of a JSON list are not a loop: each text in JSON
    is looked at by itself.
    """
    if len(text) < LOOP_CHARACTERS:
        return False
    in_json = kind in ("json", "tool_calls")
    texts = [match[1] for match in _JSON_TEXT.finditer(text) if match[2]] if in_json else [text]
    return any(_loops(words_of(text)) for text in texts if len(text) >= LOOP_CHARACTERS)


def _loops(words: list[str]) -> bool:
    for period in range(1, 9):
        run = 0
        for at in range(period, len(words)):
            run = run + 1 if words[at] == words[at - period] else 0
            if run + period >= max(LOOP_WORDS, LOOP_TIMES * period):
                return not all(word.isdigit() for word in words[at - period : at])
    return False
