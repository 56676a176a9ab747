"""What it takes to tune and serve a base on this machine, and the reasons why a base cannot be used."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..chat.prompt import render
from ..errors import BaseModelError, CannotRender
from ..specialist import Base
from .hardware import GB, Machine
from .models import Model, gguf_writable
from .policy import SelectionPolicy
from .ways import has_vllm, way_of

BATCH = 4
TAUGHT_TOKENS = 2048
"""`tune` does not learn from longer calls."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What the task requires of a base."""

    tokens: int
    """The length of the longest prompt with its answer."""
    tools: bool
    """Whether answers call tools."""


def tuning_bytes(parameters: int, tokens: int) -> float:
    """The memory to train LoRA on sequences of `tokens` tokens, `BATCH` at a time; a high estimate.

    It is the sum of the libraries, 6 bytes a weight while a dequantised file is loaded, and the activations. Measured
    with SmolLM2-135M in bfloat16: 0.75 GB; 1.31 GB with the model; and 1.5 MB for each token of the batch (7.6 GB at 4
    times 1,024), which is 130 bytes times the square root of its parameters. Layers times width grow at about that rate
    among the catalogue's models.
    """
    return 0.75 * GB + 6 * parameters + 140 * math.sqrt(parameters) * BATCH * min(tokens, TAUGHT_TOKENS)


def serving_bytes(parameters: int, tokens: int) -> float:
    """The memory to serve a model as Q8_0 (8.5 bits a weight), with the keys and values of two calls."""
    return 0.2 * GB + parameters * 8.5 / 8 + 2 * 6 * math.sqrt(parameters) * tokens


def disk_bytes(parameters: int) -> float:
    """The disk space for a specialist: its Q8_0 file twice (while it is written), LoRA weights and checkpoints."""
    return 0.3 * GB + 2 * parameters * 8.5 / 8


def obstacle(base: Base, needs: Needs, machine: Machine, policy: SelectionPolicy) -> str | None:
    """Why a base on this machine cannot be used; None if it can."""
    if policy.base and policy.base not in (base.name, base.path):
        return f"{policy.base} was asked for"
    return (
        _against_policy(base.licence, base.parameters, policy)
        or _against_machine(base.parameters, base.context, needs, machine)
        or _not_tunable(base)
        or _template_refuses(base)
    )


def obstacle_of_model(model: Model, needs: Needs, machine: Machine, policy: SelectionPolicy) -> str | None:
    """Why a model of the catalogue could not be used if it were on this machine; None if it could."""
    if policy.base and policy.base != model.name:
        return f"{policy.base} was asked for"
    if model.tuning == "catalogue only":
        return "catalogue only: it needs code of its own, which is not run"
    return (
        _against_policy(model.licence, model.parameters, policy)
        or _against_machine(model.parameters, model.context, needs, machine)
        or _not_served(model)
    )


def _against_policy(licence: str, parameters: int, policy: SelectionPolicy) -> str | None:
    if licence not in policy.licences:
        return f"licence {licence} is not among those allowed"
    if policy.max_parameters and parameters > policy.max_parameters:
        return f"{parameters:,} parameters; at most {policy.max_parameters:,} are allowed"
    return None


def _against_machine(parameters: int, context: int, needs: Needs, machine: Machine) -> str | None:
    if needs.tokens > context:
        return f"reads {context:,} tokens; the longest call has about {needs.tokens:,}"
    serving, tuning = serving_bytes(parameters, needs.tokens), tuning_bytes(parameters, needs.tokens)
    free = max(machine.memory_bytes, machine.gpu_memory_bytes)
    if max(serving, tuning) > free:
        work = "tuning" if tuning >= serving else "serving"
        return f"{work} needs about {max(serving, tuning) / GB:.1f} GB of memory; {free / GB:.1f} GB are free"
    if machine.disk_free_bytes and disk_bytes(parameters) > machine.disk_free_bytes:
        return f"needs {disk_bytes(parameters) / GB:.1f} GB of disk; {machine.disk_free_bytes / GB:.1f} GB are free"
    return None


def _not_tunable(base: Base) -> str | None:
    """Why no way leads from the base to an answer here."""
    try:
        way_of(base)
    except BaseModelError as error:
        return f"{error.fact.rstrip('.')}. {error.remedy}"
    return None


def _not_served(model: Model) -> str | None:
    """Why a model that can only be tuned as a folder would not be served here."""
    if model.tuning == "huggingface" and not gguf_writable(model.architecture) and not has_vllm():
        return "can only be tuned and served as a folder, which needs vLLM; vLLM is not installed"
    return None


def _template_refuses(base: Base) -> str | None:
    """Why the base's template cannot be used: some refuse a system message, which all our prompts begin with."""
    messages = [{"role": role, "content": text} for role, text in (("system", ""), ("user", "x"))]
    try:
        render(base, messages)
    except CannotRender as error:
        return f"its chat template cannot be used: {error.fact}"
    return None
