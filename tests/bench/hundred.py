"""A hundred specialists behind one door: `python tests/bench/hundred.py [--count 100] [--calls 60]`.

LoRA weights of rank 16 on all linear layers of SmolLM2-135M, random, as float16 (9.8 MB each), in one process of the
embedded engine. Prompts of about 40 tokens, answers of one token, so that what is measured is the way in. A swap is
what an answer takes longer when the call before went to another specialist than when it went to the same one; the two
are asked in turn. Memory is the resident one of the engine's process. "Leaks" counts answers, asked in a random order,
whose text or log-probabilities differ in any bit from those that the same specialist gave when it was asked in turn.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

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


def ask(engine: EmbeddedEngine, one: Specialist) -> tuple[float, tuple[str, tuple[float, ...]]]:
    """Milliseconds, and the answer."""
    completion = engine.complete(one, asked(one, QUESTION), timeout_s=120)
    return completion.latency_ms, (completion.text, completion.token_logprobs)


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
                same: list[float] = []
                other: list[float] = []
                leaks, before = 0, made[0]
                for _ in range(given.calls):
                    one = chance.choice(made[:count])
                    took_ms, answer = ask(engine, one)
                    (same if one is before else other).append(took_ms)
                    leaks += answer != alone[one.id]
                    took_ms, answer = ask(engine, one)
                    same.append(took_ms)
                    leaks += answer != alone[one.id]
                    before = one
                swap = statistics.median(other) - statistics.median(same) if other else 0.0
                print(
                    f"{count:4} specialists: first answer after {ready_s:.1f} s, {memory(engine):.0f} MiB; an answer "
                    f"{statistics.median(same):.0f} ms, a swap {swap:.1f} ms; {leaks} of {2 * given.calls} leak",
                    flush=True,
                )


if __name__ == "__main__":
    main()
