"""One question to a specialist. The evaluation and the live route both ask here: what was calibrated is what runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..answer import InvalidAnswer, message_from
from ..call import Message, Request
from ..errors import DoesNotFit
from ..prompt import CannotRender, messages_for, render
from ..specialist import Specialist
from ..task import Task
from .confidence import confidence

if TYPE_CHECKING:
    from ..serve import Completer


@dataclass(frozen=True, slots=True)
class Answered:
    """What a specialist said.

    message: the assistant message in OpenAI chat form; None where the answer cannot be kept, `fault` then says why.
    confidence: 0 to 1; None without a message.
    """

    text: str
    message: Message | None
    fault: str
    confidence: float | None
    latency_ms: float
    input_tokens: int
    output_tokens: int


def ask(engine: Completer, specialist: Specialist, task: Task, request: Request, *, timeout_s: float) -> Answered:
    """Ask the specialist and check the structure of what it says.

    Raises CannotRender where it cannot be shown the request, EngineError where the engine fails or is too slow.
    """
    prompt = render(specialist.base, messages_for(task, request, specialist.form))
    try:
        completion = engine.complete(specialist, prompt, timeout_s=timeout_s)
    except DoesNotFit as error:  # the engine is well, and must not be taken for one that failed
        raise CannotRender(error.fact) from None
    message, fault = None, ""
    if completion.finish_reason != "stop":
        fault = "cut off"
    else:
        try:
            message = message_from(completion.text, task, request)
        except InvalidAnswer:
            fault = "invalid structure"
    return Answered(
        text=completion.text.strip(),
        message=message,
        fault=fault,
        confidence=None if message is None else confidence(completion.token_logprobs),
        latency_ms=completion.latency_ms,
        input_tokens=completion.input_tokens,
        output_tokens=completion.output_tokens,
    )
