"""An engine in 40 lines, as somebody else's package may bring one: it repeats the last word that it is told."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

from protege.errors import DoesNotFit, EngineTimeout, NotServed
from protege.serve import Completion, EngineKind

TOKEN_S = 0.001


class ToyEngine:
    name, tells_end = "toy", True

    def fingerprint(self, specialist: Any) -> str:
        if "toy" not in specialist.placed:
            raise NotServed("Not in the toy.")
        return hashlib.sha256(specialist.base.sha256.encode()).hexdigest()

    def complete(self, specialist: Any, prompt: str, *, timeout_s: float) -> Completion:
        self.fingerprint(specialist)
        words = prompt.partition("<|im_start|>assistant")[0].replace("<|im_end|>", " ").split()
        if len(words) > 4096:
            raise DoesNotFit("Longer than the toy can read.")
        answer = ["word "] * 1000 if words[-1] == "story." else [words[-1], ""]
        written = answer[: specialist.max_tokens]
        time.sleep(min(timeout_s, TOKEN_S * len(written)))
        if timeout_s < TOKEN_S * len(written):
            raise EngineTimeout("The toy did not answer in time.")
        ended = "stop" if len(answer) <= specialist.max_tokens else "length"
        counts = (len(words) + 10, len(written), 1000 * TOKEN_S * len(written))
        return Completion("".join(written), tuple(written), (-0.01,) * len(written), ended, *counts)

    def close(self) -> None:
        pass


class ToyKind(EngineKind):
    name, title = "toy", "a toy"

    def place(self, workspace: Any, specialist: Any, **how: Any) -> Any:
        return specialist.placed_in("toy", {"address": "toy:1"})

    def open(self, workspace: Any, specialist: Any) -> ToyEngine:
        return ToyEngine()

    def access(self, home: Path, address: str) -> Any:
        return self  # it is there at once, for agents too

    def connect(self) -> ToyEngine:
        return ToyEngine()
