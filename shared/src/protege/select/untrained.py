"""An untrained base, loaded with transformers, and its loss on an answer. Loads torch."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
from transformers.utils import logging

from ..errors import BaseModelError
from ..gguf.reading import read_once
from ..specialist import Base

_CLOSED: Mapping[str, Any] = {"local_files_only": True, "trust_remote_code": False}
"""Nothing is downloaded, and no code that comes with a model is run."""


def load(base: Base) -> tuple[Any, Any]:
    """The base as a model and a tokenizer. Raises BaseModelError if transformers cannot load it."""
    logging.disable_progress_bar()
    path = Path(base.path)
    gguf = base.format == "gguf"
    source: dict[str, Any] = {"gguf_file": path.name} if gguf else {}
    # Other files of weights are pickles, and the base's digest is not over them.
    weights = {**source, "quantization_config": GgufConfig(dequantize=True)} if gguf else {"use_safetensors": True}
    folder = path.parent if gguf else path
    try:
        # The loader draws bars of its own, which no setting turns off.
        with contextlib.redirect_stderr(io.StringIO()), read_once() if gguf else contextlib.nullcontext():
            tokenizer = AutoTokenizer.from_pretrained(folder, **_CLOSED, **source)
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=_dtype(), **_CLOSED, **weights)
    except Exception as error:  # of a damaged file the libraries raise whatever, also bare exceptions
        raise BaseModelError(
            f"transformers cannot load {base.path}: {type(error).__name__}: {error}", "Choose another base."
        ) from error
    return model.eval(), tokenizer


def loss(model: Any, tokenizer: Any, prompt: str, answer: str) -> tuple[float, int, float]:
    """The answer's negative log-probability (nats, summed), its number of tokens, and the seconds it took to read."""
    asked: list[int] = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    answered: list[int] = tokenizer(answer, add_special_tokens=False)["input_ids"]
    start = time.perf_counter()
    with torch.inference_mode():
        # Logits of the answer's positions only: with a vocabulary of 262,144, each position takes 0.5 MB.
        logits = model(torch.tensor([asked + answered]), logits_to_keep=len(answered) + 1).logits[0, :-1]
        nats = torch.nn.functional.cross_entropy(logits.float(), torch.tensor(answered), reduction="sum")
    return float(nats), len(answered), time.perf_counter() - start


def _dtype() -> Any:
    """bfloat16 if the hardware computes it; elsewhere it is emulated, and slower than float32."""
    if torch.cuda.is_available():
        return torch.bfloat16
    capable = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return torch.bfloat16 if any(capable.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16")) else torch.float32
