"""Measure how close an untrained base already is to the teacher's answers, to compare bases before tuning."""

from __future__ import annotations

import gc
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ..call import Request
from ..chat.prompt import messages_for, render
from ..errors import BaseModelError, CannotRender, MissingDependency
from ..specialist import Base, PromptForm
from ..task import Example, Task

CALLS = 20
"""A probe reads at most this many calls."""
WHOLE_TOKENS = 400
"""Prompts of up to this mean length are shown whole, so that a probe of SmolLM2-135M stays under 20 s on two cores."""
CHARACTERS_PER_TOKEN = 3.5
"""Fewer than the 4 to 4.5 of English text, so that lengths are overestimated rather than underestimated."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The likelihood of the teacher's answers under an untrained base."""

    base: str
    """The base's name."""
    path: str
    """Where the base is."""
    calls: int
    """The number of calls that were read."""
    loss_per_token: float
    """Mean negative log-probability of the answers' tokens, in nats."""
    bits_per_byte: float
    """The same per byte of the answers, in bits, which can be compared between tokenizers."""
    seconds_per_call: float
    """Median time to read a prompt and its answer."""
    losses: tuple[float, ...] = ()
    """Bits per byte of each call."""


def shown_form(task: Task, examples: Sequence[Example]) -> PromptForm:
    """ "whole" if the prompts are short, since an untrained model has only the instruction to go by; else "slots"."""
    whole = statistics.fmean(len(_text(task, example.request, "whole")) for example in examples) if examples else 0
    return "whole" if whole / CHARACTERS_PER_TOKEN <= WHOLE_TOKENS else "slots"


def longest_tokens(task: Task, examples: Sequence[Example], form: PromptForm) -> int:
    """The estimated length in tokens of the longest prompt with its answer; 0 without any examples."""
    characters = (len(_text(task, example.request, form)) + len(example.answer) for example in examples)
    return math.ceil(max(characters, default=0) / CHARACTERS_PER_TOKEN)


def probe(base: Base, task: Task, examples: Sequence[Example], *, form: PromptForm | None = None) -> ProbeResult:
    """Measure the mean log-loss of the teacher's answers under the base as it is, without any training.

    examples: from train or validation, never from calibration or test; at most CALLS of them, spread evenly, are read.
    form: what the base is shown; `shown_form` by default.
    The base is loaded as `tune` loads it (dequantised). Raises BaseModelError if the base cannot be loaded or can be
    shown none of the calls, and MissingDependency without torch, transformers or gguf.
    """
    form = form or shown_form(task, examples)
    prompts = _prompts(base, task, examples[:: max(1, len(examples) // CALLS)][:CALLS], form)
    if not prompts:
        raise BaseModelError(f"{base.name} can be shown none of the sampled calls.", "Choose another base.")
    read = _losses(base, prompts)
    nats, tokens = sum(loss for loss, _, _ in read), sum(count for _, count, _ in read)
    sizes = [len(answer.encode()) for _, answer in prompts]
    losses = [loss / math.log(2) / size for (loss, _, _), size in zip(read, sizes, strict=True)]
    return ProbeResult(
        base=base.name,
        path=base.path,
        calls=len(read),
        loss_per_token=nats / tokens,
        bits_per_byte=nats / math.log(2) / sum(sizes),
        seconds_per_call=statistics.median(seconds for _, _, seconds in read),
        losses=tuple(losses),
    )


def _text(task: Task, request: Request, form: PromptForm) -> str:
    try:
        messages = messages_for(task, request, form)
    except CannotRender:
        return ""  # a call like this is left to the teacher
    return "\n".join(message["content"] for message in messages)


def _prompts(base: Base, task: Task, examples: Sequence[Example], form: PromptForm) -> list[tuple[str, str]]:
    """The prompts that the base can be shown, with their answers."""
    prompts: list[tuple[str, str]] = []
    for example in examples:
        try:
            prompts.append((render(base, messages_for(task, example.request, form)), example.answer))
        except CannotRender:
            continue
    return prompts


def _losses(base: Base, prompts: Sequence[tuple[str, str]]) -> list[tuple[float, int, float]]:
    """For each prompt and answer: the answer's loss (nats, summed), its tokens, and the seconds it took to read."""
    try:
        # torch, transformers and gguf: heavy extras, which the choice of a single base does not need.
        from . import untrained
    except ImportError as error:
        raise MissingDependency(str(error.name), "tune") from None
    model, tokenizer = untrained.load(base)
    losses = [untrained.loss(model, tokenizer, prompt, answer) for prompt, answer in prompts]
    del model
    gc.collect()
    return losses
