"""How near an untrained base already is to the teacher's answers: what bases are compared by before tuning."""

from __future__ import annotations

import contextlib
import gc
import io
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..call import Request
from ..chat.prompt import messages_for, render
from ..errors import BaseModelError, CannotRender, MissingDependency
from ..gguf.reading import read_once
from ..specialist import Base, PromptForm
from ..task import Example, Task

CALLS = 20
WHOLE_TOKENS = 400
"""Prompts of up to this mean length are shown whole, so that a probe of SmolLM2-135M stays under 20 s on two cores."""
CHARACTERS_PER_TOKEN = 3.5
"""Fewer than the 4 to 4.5 of English text, so that lengths are over- rather than underestimated."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What an untrained base makes of the teacher's answers.

    loss_per_token: mean negative log-probability (nats) of the answers' tokens. bits_per_byte: the same over the
    answers' bytes, which can be compared between tokenizers. losses: bits per byte of each call. seconds_per_call:
    median, to read prompt and answer.
    """

    base: str
    path: str
    calls: int
    loss_per_token: float
    bits_per_byte: float
    seconds_per_call: float
    losses: tuple[float, ...] = ()


def shown_form(task: Task, examples: Sequence[Example]) -> PromptForm:
    """Whole prompts where they are short, since an untrained model has but the instruction to go by; else slots."""
    whole = statistics.fmean(len(_text(task, example.request, "whole")) for example in examples) if examples else 0
    return "whole" if whole / CHARACTERS_PER_TOKEN <= WHOLE_TOKENS else "slots"


def longest_tokens(task: Task, examples: Sequence[Example], form: PromptForm) -> int:
    """The estimated length in tokens of the longest prompt with its answer; 0 where there is none."""
    characters = (len(_text(task, example.request, form)) + len(example.answer) for example in examples)
    return math.ceil(max(characters, default=0) / CHARACTERS_PER_TOKEN)


def probe(base: Base, task: Task, examples: Sequence[Example], *, form: PromptForm | None = None) -> ProbeResult:
    """Mean log-loss of the teacher's answers under the base as it is, without any training.

    At most CALLS examples, spread evenly; they must come from train or validation, never from calibration or test. The
    base is loaded as `tune` loads it (dequantised). Raises BaseModelError if the base cannot be loaded, or shown any of
    the calls; MissingDependency if torch, transformers or gguf is missing.
    """
    form = form or shown_form(task, examples)
    prompts = _prompts(base, task, examples[:: max(1, len(examples) // CALLS)][:CALLS], form)
    if not prompts:
        raise BaseModelError(f"{base.name} can be shown none of the sampled calls.", "Choose another base.")
    model, tokenizer = _load(base)
    read = [_read(model, tokenizer, prompt, answer) for prompt, answer in prompts]
    del model
    gc.collect()
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
        return ""  # such a call is handed to the teacher
    return "\n".join(message["content"] for message in messages)


def _prompts(base: Base, task: Task, examples: Sequence[Example], form: PromptForm) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for example in examples:
        try:
            found.append((render(base, messages_for(task, example.request, form)), example.answer))
        except CannotRender:
            continue
    return found


def _load(base: Base) -> tuple[Any, Any]:
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
        from transformers.utils import logging
    except ImportError as error:
        raise MissingDependency(str(error.name), "tune") from None
    logging.disable_progress_bar()
    path = Path(base.path)
    gguf = base.format == "gguf"
    source: dict[str, Any] = {"gguf_file": path.name} if gguf else {}
    weights = {**source, "quantization_config": GgufConfig(dequantize=True)} if gguf else source
    folder = path.parent if gguf else path
    try:
        # The loader draws bars of its own, which nothing turns off.
        with contextlib.redirect_stderr(io.StringIO()), read_once() if gguf else contextlib.nullcontext():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, **source)
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=_dtype(), local_files_only=True, **weights)
    except (ValueError, KeyError, OSError, RuntimeError, NotImplementedError) as error:
        raise BaseModelError(
            f"transformers cannot load {base.path}: {type(error).__name__}: {error}", "Choose another base."
        ) from error
    return model.eval(), tokenizer


def _dtype() -> Any:
    """bfloat16 where it is computed natively; elsewhere it is emulated, and slower than float32."""
    import torch

    if torch.cuda.is_available():
        return torch.bfloat16
    capable = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return torch.bfloat16 if any(capable.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16")) else torch.float32


def _read(model: Any, tokenizer: Any, prompt: str, answer: str) -> tuple[float, int, float]:
    """Negative log-probability of the answer (nats, summed), its tokens, and the seconds that it took."""
    import torch

    asked: list[int] = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    answered: list[int] = tokenizer(answer, add_special_tokens=False)["input_ids"]
    start = time.perf_counter()
    with torch.inference_mode():
        # Logits of the answer's positions only: a vocabulary of 262,144 makes 0.5 MB a position.
        logits = model(torch.tensor([asked + answered]), logits_to_keep=len(answered) + 1).logits[0, :-1]
        loss = torch.nn.functional.cross_entropy(logits.float(), torch.tensor(answered), reduction="sum")
    return float(loss), len(answered), time.perf_counter() - start
