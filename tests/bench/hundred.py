"""A hundred specialists behind one door: `python tests/bench/hundred.py [--count 100] [--calls 60]`.

LoRA weights of rank 16 on all linear layers of SmolLM2-135M, random, as float16 (9.8 MB each), in one process of the
embedded engine. Prompts of about 40 tokens, answers of one token, so that what is measured is the way in. A swap is
what an answer takes longer when the call before went to another specialist than when it went to the same one; the two
are asked in turn. Memory is the resident one of the engine's process. "Leaks" counts answers, asked in a random order,
whose text or log-probabilities differ in any bit from those that the same specialist gave when it was asked in turn.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import psutil
from protege.common.digest import sha256_of
from protege.serve import EmbeddedEngine, serve
from protege.specialist import Base, Specialist
from protege.testing.engines import asked
from protege.workspace import Workspace
from specialists import smollm2

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from tiny_models import write_lora

QUESTION = "The town's clock has stopped at ten, and nobody knows who should mend it. What would you do about it?"


def make(workspace: Workspace, base: Base, count: int) -> list[Specialist]:
    """So many specialists, each with weights of its own."""
    made: list[Specialist] = []
    for number in range(count):
        one = Specialist(f"sp-{number}", f"door-v{number}", "door", number, base, "slots", max_tokens=1)
        path = workspace.specialist_folder(one) / "lora.gguf"
        path.parent.mkdir(parents=True)
        write_lora(Path(base.path), path, number, rank=16, scale=0.02)
        files = {"files": {"lora_gguf": "lora.gguf"}, "digests": {"lora_gguf": sha256_of(path)}}
        made.append(replace(one, serve_as="lora", **files))
    return made


def memory(engine: EmbeddedEngine) -> float:
    return sum(psutil.Process(pid).memory_info().rss for pid in engine.pids) / 2**20


def ask(engine: EmbeddedEngine, one: Specialist) -> tuple[Took, tuple[str, tuple[float, ...]]]:
    """What it took, and the answer."""
    before_ms = processor_ms(engine)
    completion = engine.complete(one, asked(one, QUESTION), timeout_s=120)
    took = Took(completion.latency_ms, processor_ms(engine) - before_ms)
    return took, (completion.text, completion.token_logprobs)


class Took(NamedTuple):
    """Of an answer, in milliseconds: by the clock, and of the processor."""

    clock: float
    processor: float


def processor_ms(engine: EmbeddedEngine) -> float:
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in engine.pids) * 1000


def typical(took: Sequence[Took]) -> Took:
    """The median by the clock, the mean of the processor's."""
    if not took:
        return Took(math.nan, math.nan)
    return Took(statistics.median(one.clock for one in took), statistics.mean(one.processor for one in took))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--calls", type=int, default=60)
    given = parser.parse_args()
    chance = random.Random(3)
    with tempfile.TemporaryDirectory() as folder:
        workspace, base = Workspace(Path(folder) / "home"), smollm2()
        made = make(workspace, base, given.count)
        for count in sorted({1, 10, given.count}):
            begin_s = time.perf_counter()
            with serve(workspace, made[:count]) as engine:
                ask(engine, made[0])
                ready_s = time.perf_counter() - begin_s
                alone = {one.id: ask(engine, one)[1] for one in made[:count]}
                same: list[Took] = []
                other: list[Took] = []
                leaks, before = 0, made[0]
                for _ in range(given.calls):
                    one = chance.choice(made[:count])
                    took, answer = ask(engine, one)
                    (same if one is before else other).append(took)
                    leaks += answer != alone[one.id]
                    took, answer = ask(engine, one)
                    same.append(took)
                    leaks += answer != alone[one.id]
                    before = one
                again, swapped = typical(same), typical(other)
                print(
                    f"{count:4} specialists: first answer after {ready_s:.1f} s, {memory(engine):.0f} MiB; an answer "
                    f"{again.clock:.0f} ms ({again.processor:.0f} of the processor), a swap "
                    f"{swapped.clock - again.clock:.1f} ms ({swapped.processor - again.processor:.1f}); "
                    f"{leaks} of {2 * given.calls} leak",
                    flush=True,
                )


if __name__ == "__main__":
    main()
