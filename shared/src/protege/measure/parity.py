"""Checks, before a specialist may serve, that what the engine serves is what was tuned.

The engine answers held-out calls, and the tuned model scores each answer in this process, in the engine's own tokens.
Three things are compared, each against what an engine's rounding explains:

- the log-odds of every token. Rounding moves a token's logit by about as much whether the model is sure of it or not;
  its probability, and which token is written, hardly move where the model is sure. So log-odds tell models apart that
  give the same answers, such as a specialist and the same one with its LoRA weights at half their scale.
- the answers. One differs only if the tuned model clearly prefers a token of its own: which of two tokens of almost the
  same probability is written depends on how an engine rounds.
- the number of tokens that each prompt was read as.

If the engine has a chat template of its own, that is compared with the one used in tuning: our prompts are sent raw and
do not depend on it, but anyone else who asks the model does.
"""

from __future__ import annotations

import contextlib
import math
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
bits too, moves a token's log-probability by some hundredths, and by .3 to 1.1 where a model that has learnt little
hardly knows what to write. The log-odds, not this, tell a like model from the tuned one."""
SAME_LEAST = 0.85
"""The share of answers that must be the same. Where one answer in 50 differs by rounding, 24 answers are refused with a
probability below .002; a fault that changes half of all answers passes with .0001."""
SHIFT_MOST = 0.3
"""By how much the log-odds of a token may differ, as the mean of all tokens of all answers. docs/ollama.md has what
specialists that are as they were tuned, and planted faults, were measured at."""
FOUR_BIT_SHIFT_MOST = 0.8
"""The same, where the engine was given weights of four bits."""
LEAST_DOUBT = 1e-5
"""Probabilities nearer to 1 than this count as this near: float32 tells no more of them."""
RULE = f"{NEAR_TIE}:{SAME_LEAST}:{SHIFT_MOST}:{FOUR_BIT_SHIFT_MOST}"
"""Names what is compared by: what another rule refused is compared anew."""


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
    return _judged(pairs, engine.tells_end, template(specialist), _shift_most(specialist))


def _prompts(task: Task, specialist: Specialist, examples: Sequence[Example]) -> list[str]:
    prompts: list[str] = []
    for example in examples:
        try:
            prompts.append(render(specialist.base, messages_for(task, example.request, specialist.form)))
        except CannotRender:
            continue  # live, such a call goes to the teacher
    return prompts


def _shift_most(specialist: Specialist) -> float:
    """By what its engine was given, where that was not the file as tuned."""
    given = str(specialist.placed.get(specialist.engine, {}).get("quantisation", ""))
    return FOUR_BIT_SHIFT_MOST if given.startswith("Q4") else SHIFT_MOST


def _judged(
    pairs: Sequence[tuple[Completion, Scored]], tells_end: bool, check: TemplateCheck, shift_most: float
) -> Parity:
    if not pairs:
        return Parity(0, 0, 0, 0.0, check.said, check.difference, False, "No held-out call could be asked.")
    near_ties = sum(not scored.likeliest and scored.gap <= NEAR_TIE for _, scored in pairs)
    same = sum(scored.likeliest for _, scored in pairs) + near_ties
    prompts = sum(served.input_tokens == scored.prompt_tokens for served, scored in pairs)
    shifts = [shift for served, scored in pairs for shift in _shifts(served, scored, tells_end)]
    shift = statistics.fmean(shifts) if shifts else 0.0
    holds = same >= SAME_LEAST * len(pairs) and prompts == len(pairs) and shift <= shift_most
    reason = (
        f"{same} of {len(pairs)} answers are the tuned model's own{_told(near_ties)}, a token's log-odds differ by "
        f"{shift:.2f} on average, {prompts} of {len(pairs)} prompts were read as the same number of tokens."
    )
    if not holds:
        needed = f"Needed: {SAME_LEAST:.0%}, {shift_most:g} at most, and all. `--engine` names another engine."
        reason = f"What is served is not what was tuned: {reason} {needed}"
    return Parity(len(pairs), same, prompts, shift, check.said, check.difference, holds, reason, near_ties)


def _told(near_ties: int) -> str:
    return f" ({near_ties} but for near ties)" if near_ties else ""


def _shifts(served: Completion, scored: Scored, tells_end: bool) -> list[float]:
    """By how much the log-odds of each token differ; of the mean token, if the two did not read the same tokens."""
    ended = served.finish_reason == "stop"
    here = scored.logprobs[:-1] if ended and not tells_end else scored.logprobs
    there = served.token_logprobs
    if not here or not there:
        return []
    if len(here) != len(there):
        here, there = (statistics.fmean(here),), (statistics.fmean(there),)
    return [abs(_log_odds(a) - _log_odds(b)) for a, b in zip(here, there, strict=True)]


def _log_odds(logprob: float) -> float:
    most = -math.log(LEAST_DOUBT)
    return max(-most, min(most, logprob - math.log(max(LEAST_DOUBT, -math.expm1(logprob)))))
