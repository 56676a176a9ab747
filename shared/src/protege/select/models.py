"""The catalogue of small models: what they are, under what terms, and how they can be tuned and served here.

Facts and their sources stand in `catalogue.toml`; how the memory figures were computed stands at its head.
"""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal, TypeAlias

Tuning: TypeAlias = Literal["gguf", "huggingface", "catalogue only"]
Serving: TypeAlias = Literal["llama.cpp", "vllm", "none"]

_ONE_TO_ONE = frozenset({"llama", "qwen2", "qwen3", "gemma3"})
"""GGUF architectures whose tensors map one to one between transformers and llama.cpp, so that a tuned file can be
written; `tune` proves each against llama.cpp. The loader knows more (phi3, lfm2, …): they tune from a folder."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the catalogue.

    parameters: weights, tied ones once. licence: SPDX. context: tokens. memory_q4_gb, memory_q8_gb: of the weights.
    languages: ISO 639-1, "mul" for many. ollama, huggingface: its names there, empty where none is known.
    architecture: in GGUF; model_type: in transformers. pattern: over file and model names, case ignored.
    source: the documents behind these facts. unverified: what they did not say.
    """

    name: str
    parameters: int
    licence: str
    context: int
    tool_calling: bool
    languages: tuple[str, ...]
    memory_q4_gb: float
    memory_q8_gb: float
    ollama: str
    huggingface: str
    architecture: str
    model_type: str
    tuning: Tuning
    serving: Serving
    pattern: str
    source: str
    unverified: str = ""
    note: str = ""
    chat_template: str = ""

    @property
    def how_to_get(self) -> str:
        """The command that brings it onto this machine."""
        if self.tuning == "gguf" and self.ollama:
            return f"ollama pull {self.ollama}"
        return f"hf download {self.huggingface}"


@functools.cache
def catalogue() -> tuple[Model, ...]:
    """The models known to Protégé, in the file's order."""
    entries: list[dict[str, Any]] = _document()["model"]
    for entry in entries:
        entry["languages"] = tuple(entry["languages"])
    return tuple(Model(**entry) for entry in entries)


def model_of(*names: str) -> Model | None:
    """The catalogue's model that one of these file or model names belongs to; None where none does."""
    for name in names:
        for model in catalogue():
            if re.search(model.pattern, name, re.IGNORECASE):
                return model
    return None


def template_of(model: Model) -> str:
    """The chat template that the catalogue keeps for the model's family; empty where it keeps none."""
    return _document()["templates"].get(model.chat_template, "")


def tuning_of(architecture: str, model_type: str) -> Tuning:
    """How the installed libraries can tune a model. Raises ImportError where transformers or gguf is not installed."""
    if gguf_tunable(architecture):
        return "gguf"
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    return "huggingface" if model_type in CONFIG_MAPPING else "catalogue only"


def serving_of(architecture: str, tuning: Tuning) -> Serving:
    """What serves a tuned model. Raises ImportError where gguf is not installed."""
    from gguf.constants import MODEL_ARCH_NAMES

    if tuning == "gguf" and architecture in MODEL_ARCH_NAMES.values():
        return "llama.cpp"
    return "vllm" if tuning == "huggingface" else "none"


@functools.cache
def gguf_tunable(architecture: str) -> bool:
    """Whether the installed transformers loads GGUF files of this architecture, and its tensors can be written back.

    Raises ImportError where transformers or gguf is not installed.
    """
    from gguf.constants import MODEL_ARCH_NAMES
    from transformers.integrations.ggml import GGUF_CONFIG_MAPPING  # imports no torch, unlike the loader itself

    return architecture in _ONE_TO_ONE & GGUF_CONFIG_MAPPING.keys() & set(MODEL_ARCH_NAMES.values())


def spdx(licence: str) -> str:
    """The SPDX identifier of a licence as model files and cards write it; empty where it says nothing."""
    plain = licence.strip().lower()
    if plain in ("", "other", "unknown", "none"):
        return ""
    for known in (*_SPDX, *(model.licence for model in catalogue())):
        if plain == known.lower():
            return known
    return _CARD_NAMES.get(plain) or f"LicenseRef-{re.sub(r'[^A-Za-z0-9.]+', '-', licence.strip())}"


_SPDX = ("Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC0-1.0")
_CARD_NAMES = {
    "gemma": "LicenseRef-Gemma",
    "llama3.1": "LicenseRef-Llama-3.1",
    "llama3.2": "LicenseRef-Llama-3.2",
    "lfm1.0": "LicenseRef-LFM-1.0",
}


@functools.cache
def _document() -> dict[str, Any]:
    return tomllib.loads(resources.files("protege.select").joinpath("catalogue.toml").read_text(encoding="utf-8"))
