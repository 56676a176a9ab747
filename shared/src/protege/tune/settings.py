"""How a specialist is tuned, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

from .. import embedding
from ..errors import BadInput
from ..specialist import PromptForm
from .registry import tuners

Variant: TypeAlias = Literal["lora", "rslora", "dora"]


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """How a specialist is tuned. Raises BadInput if a value means nothing."""

    method: str = "lora"
    """A tuner (`tune.tuner_names`): "lora"; "full" (every weight); "qlora" (LoRA over a 4-bit base: CUDA GPUs
    only); and without a base model "head" (answers out of a finite set), "tagger" (fields copied out of the prompt),
    "pointer" (the next action, its arguments copied)."""
    form: PromptForm = "slots"
    """Whether the specialist is shown the task's slots or the whole prompt."""
    rank: int = 16
    """Of the LoRA matrices, on all linear layers."""
    variant: Variant = "lora"
    """How LoRA's product is scaled: "lora" by 2; "rslora" by 8 over the root of the rank, which is the same at rank 16;
    "dora" as "lora", and each row of the tuned matrix has a length of its own that is learnt too. llama.cpp and vLLM
    cannot apply the latter's weights over a base: it is served merged."""
    steps: int = 600
    """Optimiser steps at most, of `batch` examples each."""
    minutes: float | None = 10.0
    """Minutes of training, unless not every row was seen once by then; None: as many as the steps take. What the time
    ends depends on the machine."""
    batch: int = 8
    """Examples a step."""
    learning_rate: float | None = None
    """The peak, after `warmup_steps`; from there a cosine to zero. None: the method's own choice."""
    warmup_steps: int = 15
    """Steps in which the learning rate rises from zero; half of `steps` at most."""
    max_tokens: int = 2048
    """Longer examples (prompt and answer) are left out and counted."""
    evaluations: int = 6
    """How often in the run the validation loss is measured, and a checkpoint written, at equal distances."""
    validation_rows: int = 48
    """Rows that the validation loss is measured on, at most."""
    patience: int = 3
    """Evaluations in a row without a better loss after which training stops. The best weights are kept."""
    output: Literal["q8_0", "f16"] = "q8_0"
    """The type of the tuned tensors in the merged GGUF."""
    embedder: str = embedding.AUTO
    """What a head may learn from besides n-grams (`embedding.embedder_names`): "packaged"; "ollama:NAME", a model that
    an Ollama has; "none"; "auto": packaged where it is installed. It is used where rows left out gain by it."""
    fields: str = ""
    """The fields of JSON answers that count, if the task's grader compares some only (`pointer`): paths with commas
    between, or "*" for all but those that are only read (`chat.acts.READ`); empty for all."""
    mentor: str = ""
    """A larger model on this machine, as a path, whose token probabilities are learnt besides the recorded answers
    (`tune.distilling`); "" for none. Of the methods that train a base, and the base's own vocabulary."""
    seed: int = 17
    """Of initial weights, order and dropout."""

    def __post_init__(self) -> None:
        for name in ("rank", "steps", "batch", "max_tokens", "evaluations", "validation_rows", "patience"):
            if getattr(self, name) < 1:
                raise BadInput(f"The setting {name} must be at least 1.", "Give a larger number.")
        if self.minutes is not None and self.minutes <= 0:
            raise BadInput("The setting minutes must be above 0.", "Give a larger number, or none.")
        if self.variant not in get_args(Variant):
            raise BadInput(f"There is no variant {self.variant!r} of LoRA.", f"Choose {', '.join(get_args(Variant))}.")
        tuners.check(self.method)
        embedding.check(self.embedder)

    def decided(self) -> TuneSettings:
        """The settings with the embedder decided (`embedding.decided`): "none" for all but heads and taggers.

        Raises as that does.
        """
        embeds = self.method in ("head", "tagger")
        return replace(self, embedder=embedding.decided(self.embedder) if embeds else embedding.NONE)


@dataclass(frozen=True, slots=True)
class Tuned:
    """What tuning wrote into its folder."""

    inputs: str
    """A hash of all that this was made from."""
    files: Mapping[str, str]
    """Paths relative to the folder, by what they are: "lora" (peft's folder), "lora_gguf", "gguf" (merged), "model" (a
    folder in Hugging Face form), "head"."""
    digests: Mapping[str, str]
    """SHA-256 (hex) of those of `files` that are files and not folders."""
    settings: Mapping[str, Any]
    """The fields of `TuneSettings`."""
    lineage: Mapping[str, Any]
    """Hashes and counts of the data and the base, and versions of libraries."""
    max_tokens: int
    """The longest answer that the specialist may give."""
    figures: Mapping[str, Any]
    """Seconds, steps, tokens a second, losses."""

    def to_record(self) -> dict[str, Any]:
        """The fields, as JSON can hold them."""
        return asdict(self)
