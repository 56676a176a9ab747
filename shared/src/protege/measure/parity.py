"""Checks, before a specialist may serve, that what the engine serves is what was tuned.

The engine answers held-out calls, and the tuned model scores each answer in this process: one pass tells whether that
model would have written every token (then it gives the same answer by itself), by how much it prefers another, and with
which log-probabilities. An answer differs only if the model clearly prefers a token of its own: which of two tokens of
almost the same probability is written depends on how an engine rounds, and says nothing about the file that it serves.
The engine must also have read as many prompt tokens as tuning did. If the engine has a chat template of its own, that
is compared with the one used in tuning: our prompts are sent raw and do not depend on it, but anyone else who asks the
model does.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import tune
from ..chat.prompt import messages_for, render
from ..common.progress import Progress, Silent
from ..errors import CannotRender, DoesNotFit
from ..evaluate.parity import Parity
from ..serve import template
from ..specialist import Specialist
from ..task import Example, Task
from ..workspace import Workspace

if TYPE_CHECKING:
    from ..serve import Completion, Engine, TemplateCheck
    from ..tune import Scored

CALLS = 24
TIMEOUT_S = 60.0
NEAR_TIE = 1.0
"""Nats by which the tuned model may prefer its own token to the one written. The engine's rounding, of activations to 8
bits too, moves a token's log-probability by some hundredths, and by .3 to .7 where a model that has learnt little
hardly knows what to write (four of 430 tokens of names; SmolLM2-135M after some 60 steps)."""
SAME_LEAST = 0.85
"""The share of answers that must be the same. If what is served is what was tuned, rounding weights to 8 bits changes
fewer than 1 answer in 50, and 24 answers are refused with a probability below .002; a fault that changes half of all
answers passes with .0001. A wrong template, or one tensor in the wrong order, changes nearly all."""
LOGPROB_MOST = 0.1
"""The most by which log-probabilities may differ, in nats a token, as the median of all answers. Measured on
SmolLM2-135M taught support tickets: .00004 (embedded) and .00006 (Ollama); without the prompt's last line break 1.3,
and no answer the same; without the empty system turn .0002, and no prompt with the same number of tokens."""


def check_parity(
    workspace: Workspace,
    task: Task,
    specialist: Specialist,
    engine: Engine,
    examples: Sequence[Example],
    progress: Progress | None = None,
) -> Parity:
    """Compare what the engine serves with the tuned model, on examples that it never learnt from.

    Raises EngineError if the engine fails; also MissingDependency and BaseModelError.
    """
    prompts = list(_prompts(task, specialist, examples))[:CALLS]
    with (progress or Silent()).step(f"{specialist.name}: comparing with the tuned model", 2 * len(prompts)) as bar:
        written: list[tune.Written] = []
        served: list[Completion] = []
        for prompt in prompts:
            with contextlib.suppress(DoesNotFit):
                answer = engine.complete(specialist, prompt, timeout_s=TIMEOUT_S)
                served.append(answer)
                written.append(tune.Written(prompt, answer.text, answer.finish_reason == "stop", answer.tokens))
            bar.advance()
        # Only after all answers: the engine's threads spin for a while after each, which would halve this model's speed
        model = tune.reference(specialist, workspace.specialist_folder(specialist))
        pairs = list(zip(served, model.score(written), strict=True))
        bar.advance(len(prompts))
    return _judged(pairs, engine.tells_end, template(specialist))


def _prompts(task: Task, specialist: Specialist, examples: Sequence[Example]) -> list[str]:
    prompts: list[str] = []
    for example in examples:
        try:
            prompts.append(render(specialist.base, messages_for(task, example.request, specialist.form)))
        except CannotRender:
            continue  # live, such a call goes to the teacher
    return prompts


def _judged(pairs: Sequence[tuple[Completion, Scored]], tells_end: bool, check: TemplateCheck) -> Parity:
    if not pairs:
        return Parity(0, 0, 0, 0.0, check.said, check.difference, False, "No held-out call could be asked.")
    near_ties = sum(not scored.likeliest and scored.gap <= NEAR_TIE for _, scored in pairs)
    same = sum(scored.likeliest for _, scored in pairs) + near_ties
    prompts = sum(served.input_tokens == scored.prompt_tokens for served, scored in pairs)
    apart = [_apart(served, scored, tells_end) for served, scored in pairs]
    median = statistics.median(apart)
    holds = same >= SAME_LEAST * len(pairs) and prompts == len(pairs) and median <= LOGPROB_MOST
    reason = (
        f"{same} of {len(pairs)} answers are the tuned model's own{_told(near_ties)}, log-probabilities differ by "
        f"{median:.3f} nats a token, {prompts} of {len(pairs)} prompts were read as the same number of tokens."
    )
    if not holds:
        needed = f"Needed: {SAME_LEAST:.0%}, {LOGPROB_MOST:g}, and all. `--engine` names another engine."
        reason = f"What is served is not what was tuned: {reason} {needed}"
    return Parity(len(pairs), same, prompts, median, check.said, check.difference, holds, reason, near_ties)


def _told(near_ties: int) -> str:
    return f" ({near_ties} but for near ties)" if near_ties else ""


def _apart(served: Completion, scored: Scored, tells_end: bool) -> float:
    """The difference of the mean log-probability of a token, over the tokens that both report."""
    ended = served.finish_reason == "stop"
    here = scored.logprobs[:-1] if ended and not tells_end else scored.logprobs
    there = served.token_logprobs
    if not here or not there:
        return 0.0
    return abs(sum(here) / len(here) - sum(there) / len(there))
