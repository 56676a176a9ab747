"""The catalogue of small models: what they are, under which licence, and how they can be tuned and served here.

The facts and their sources are in `catalogue.toml`; its head explains how the memory figures were computed.
"""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal, TypeAlias

from ..errors import MissingDependency

Tuning: TypeAlias = Literal["gguf", "huggingface", "catalogue only"]
Serving: TypeAlias = Literal["llama.cpp", "vllm", "none"]

_ONE_TO_ONE = frozenset(
    {"llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi2", "phi3", "smollm3", "granite", "nemotron_h"}
)
"""GGUF architectures whose tensors map one to one between transformers and llama.cpp, so that a tuned file can be
written; the tests of `tune` prove each against llama.cpp (`gguf.names` has the map)."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the catalogue."""

    name: str
    parameters: int
    """The number of weights; tied ones count once."""
    licence: str
    """SPDX identifier."""
    context: int
    """Tokens that the model was trained to read."""
    tool_calling: bool
    """Whether the publisher says that it can call tools."""
    languages: tuple[str, ...]
    """ISO 639-1 codes; "mul" for many."""
    memory_q4_gb: float
    """Memory of the weights as Q4_K_M."""
    memory_q8_gb: float
    """Memory of the weights as Q8_0."""
    ollama: str
    """Its name in Ollama's library; empty if none is known."""
    huggingface: str
    """Its name on the Hugging Face Hub; empty if none is known."""
    architecture: str
    """Its architecture as GGUF names it."""
    model_type: str
    """Its architecture as transformers names it."""
    tuning: Tuning
    """What it can be tuned from."""
    serving: Serving
    """What can serve the tuned model."""
    pattern: str
    """A regular expression that matches its file and model names, ignoring case."""
    source: str
    """The documents behind these facts."""
    unverified: str = ""
    """What these documents do not say."""
    note: str = ""
    """A remark for people."""
    chat_template: str = ""
    """The key in `[templates]` of its family's chat template; empty if the files hold their own."""

    @property
    def how_to_get(self) -> str:
        """The command that fetches it onto this machine."""
        if self.tuning == "gguf" and self.ollama:
            return f"ollama pull {self.ollama}"
        folder = f"hf download {self.huggingface}"
        return f"{folder}, and its GGUF file: ollama pull {self.ollama}" if self._needs_both else folder

    @property
    def _needs_both(self) -> bool:
        return self.serving == "llama.cpp" and bool(self.ollama)


@functools.cache
def catalogue() -> tuple[Model, ...]:
    """The models that Protégé knows, in the file's order."""
    entries: list[dict[str, Any]] = _document()["model"]
    for entry in entries:
        entry["languages"] = tuple(entry["languages"])
    return tuple(Model(**entry) for entry in entries)


def model_of(*names: str) -> Model | None:
    """The model of the catalogue that the first matching file or model name belongs to; None if none matches."""
    for name in names:
        for model in catalogue():
            if re.search(model.pattern, name, re.IGNORECASE):
                return model
    return None


def template_of(model: Model) -> str:
    """The chat template that the catalogue has for the model's family; empty if it has none."""
    return _document()["templates"].get(model.chat_template, "")


def tuning_of(architecture: str, model_type: str) -> Tuning:
    """How the installed libraries can tune a model. Raises ImportError without transformers or gguf."""
    if gguf_tunable(architecture):
        return "gguf"
    return "huggingface" if model_type in model_types() else "catalogue only"


def serving_of(architecture: str, tuning: Tuning) -> Serving:
    """What serves a tuned model. Raises ImportError without gguf."""
    from gguf.constants import MODEL_ARCH_NAMES  # an extra, which loads numpy

    if tuning != "catalogue only" and gguf_writable(architecture) and architecture in MODEL_ARCH_NAMES.values():
        return "llama.cpp"
    return "vllm" if tuning == "huggingface" else "none"


@functools.cache
def gguf_tunable(architecture: str) -> bool:
    """Whether the installed transformers can load GGUF files of this architecture, and its tensors can be written back.

    Raises ImportError without transformers or gguf.
    """
    # Extras, which are not needed to list the catalogue. This module of transformers loads no torch, unlike its loader.
    from gguf.constants import MODEL_ARCH_NAMES
    from transformers.integrations.ggml import GGUF_CONFIG_MAPPING

    return architecture in _ONE_TO_ONE & GGUF_CONFIG_MAPPING.keys() & set(MODEL_ARCH_NAMES.values())


def gguf_writable(architecture: str) -> bool:
    """Whether a tuned GGUF file of this architecture can be written, from a file of the same model."""
    return architecture in _ONE_TO_ONE


@functools.cache
def model_types() -> frozenset[str]:
    """The architectures, as config.json names them, that the installed transformers knows without code from elsewhere.

    Raises MissingDependency without transformers.
    """
    try:
        # Heavy, an extra, and not needed to list the catalogue.
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    except ImportError:
        raise MissingDependency("transformers", "tune") from None
    return frozenset(CONFIG_MAPPING.keys())


def spdx(licence: str) -> str:
    """The SPDX identifier of a licence as model files and cards spell it; empty if they state none."""
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
