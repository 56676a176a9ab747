"""What a CUDA machine adds, in one table: `python tests/gpu/check.py [--base FOLDER] [--steps 60]`. Under ten minutes.

LoRA and QLoRA are tuned on a folder in Hugging Face form (a tiny random one by default); where PROTEGE_VLLM and
PROTEGE_VLLM_LORAS name a vLLM that serves that folder, its answers are compared with the tuned model in this process.
What is not here (a GPU, bitsandbytes, a vLLM) stands in the table with the reason. Nothing in CI depends on this.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch
from protege.call import Call
from protege.common.progress import Silent
from protege.curate import Curated, curate
from protege.errors import ProtegeError
from protege.measure import check_parity
from protege.select.base import load_base
from protege.serve import engine_kind, open_engine
from protege.specialist import Base, Specialist
from protege.task import Task, Template, TemplatePart
from protege.tune import TuneSettings, tune
from protege.workspace import Workspace

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from tiny_models import write_folder

COLOURS = ("red", "green", "blue")


def data() -> tuple[Task, Curated]:
    """Which colour is named, among noise: 360 calls."""
    parts = (TemplatePart(0, "system", prefix="Name the colour."), TemplatePart(1, "user", prefix="Text: "))
    task = Task(id="colours", name="colours", kind="label", labels=COLOURS, templates=(Template("s", parts),))
    calls: list[Call] = []
    for i in range(360):
        noise = hashlib.sha256(str(i).encode()).hexdigest()
        text = f"Text: {noise[:7]} {COLOURS[i % 3]} {noise[7:14]}"
        messages = [{"role": "system", "content": "Name the colour."}, {"role": "user", "content": text}]
        response = {"role": "assistant", "content": COLOURS[i % 3]}
        calls.append(Call.from_record({"id": f"c{i}", "messages": messages, "response": response}))
    return task, curate(task, calls)


def rows(workspace: Workspace, base: Base, steps: int) -> Iterator[tuple[str, str, str]]:
    """What was done, how long it took, and what came of it."""
    task, curated = data()
    workspace.save_tasks([task], {})
    for number, method in enumerate(("lora", "qlora"), 1):
        one = Specialist(f"sp-{method}", f"colours-v{number}", task.id, number, base, "slots", serve_as="lora")
        begin_s = time.perf_counter()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        try:
            tuned = tune(
                curated, task, base, workspace.specialist_folder(one), TuneSettings(method=method, steps=steps)
            )
        except ProtegeError as error:
            yield f"tune {method}", "–", str(error)
            continue
        peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
        loss, speed = tuned.figures["validation_loss"], tuned.figures["tokens_per_second"]
        said = f"validation loss {loss:.3f}, {speed:.0f} tokens/s, {peak:.1f} GiB"
        yield f"tune {method}", f"{time.perf_counter() - begin_s:.0f} s", said
        one = replace(one, files=tuned.files, settings=tuned.settings, max_tokens=tuned.max_tokens)
        workspace.save_specialist(one)
        begin_s = time.perf_counter()
        try:
            placed = engine_kind("vllm").place(workspace, one, keep_alive="5m")
            with closing(open_engine(workspace, placed)) as engine:
                examples = curated.examples("validation")
                parity = check_parity(workspace, task, placed, engine, examples, Silent())
            yield f"vllm, {method}", f"{time.perf_counter() - begin_s:.0f} s", parity.reason
        except ProtegeError as error:
            yield f"vllm, {method}", "–", str(error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, help="A folder in Hugging Face form; a tiny random model by default.")
    parser.add_argument("--steps", type=int, default=60)
    given = parser.parse_args()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    print(f"{device}, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        base = load_base(given.base or write_folder(Path(folder) / "tiny", "qwen2"))
        for what, took, said in rows(Workspace(Path(folder) / "home"), base, given.steps):
            print(f"{what:12} {took:>6}  {said}", flush=True)


if __name__ == "__main__":
    main()
