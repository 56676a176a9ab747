"""A tuned model that transformers and peft hold, in a process of its own, so that its memory can be told.

`InProcess` asks it. Run as a program, this is that process: `protege.tune.inprocess.Generator`, which reads a line of
JSON and writes one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from protege.serve import Completion
from protege.serve.embedded.process import SPINS
from protege.specialist import Specialist


class InProcess:
    """As an engine is asked, but for one specialist, without log-probabilities and without a time-out."""

    def __init__(self) -> None:
        """Start the process, and wait until it has imported what it needs."""
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "GOMP_SPINCOUNT": SPINS},  # as our engine's: torch waits for its threads likewise
        )
        self._hear()
        self.dtype = ""

    @property
    def pid(self) -> int:
        return self._process.pid

    def load(self, specialist: Specialist, lora: Path) -> None:
        self.dtype = self._ask({"specialist": specialist.to_record(), "lora": str(lora)})["dtype"]

    def complete(self, specialist: Specialist, prompt: str, *, timeout_s: float) -> Completion:
        begin_s = time.perf_counter()
        answer = self._ask({"prompt": prompt, "max_tokens": specialist.max_tokens})
        took_ms = (time.perf_counter() - begin_s) * 1000
        return Completion(answer["text"], (), (), "stop", 0, answer["tokens"], took_ms)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{__file__} ended: start it by hand to see why.")
        return json.loads(line)


def main() -> None:
    report = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not stand among the answers

    def say(**said: Any) -> None:
        report.write(json.dumps(said) + "\n")
        report.flush()

    from protege.tune.inprocess import Generator
    from protege.tune.model import compute_dtype

    say(imported=True)
    asked = json.loads(sys.stdin.readline())
    generator = Generator(Specialist.from_record(asked["specialist"]).base, Path(asked["lora"]), compute_dtype())
    say(dtype=str(compute_dtype()))
    for line in sys.stdin:
        asked = json.loads(line)
        text = generator.answers([asked["prompt"]], asked["max_tokens"])[0].text
        # The end of the answer counts, where it came before the limit.
        say(text=text, tokens=min(len(generator.encoder.answer(text)), asked["max_tokens"]))


if __name__ == "__main__":
    main()
