"""An engine of specialists that stands in memory: answers as a test tells it, fails, waits, dies in the middle."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from typing import Literal

from protege import Base, Specialist
from protege.errors import EngineUnreachable
from protege.serve.engine import Completion

FINGERPRINT = "engine-1"

BASE = Base(
    name="tiny",
    path="tiny.gguf",
    sha256="0",
    format="gguf",
    architecture="llama",
    licence="Apache-2.0",
    context=512,
    chat_template="{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>",
    control_tokens=("<|user|>",),
)
"""A base that no file stands behind."""


class MemoryEngine:
    """Answers every prompt with `text`, or a specialist's own of `texts`, at `probability`.

    error: raised instead. hold: waited for first. dies: the server goes away while it answers. asked: how often.
    """

    name = "memory"
    tells_end = True

    def __init__(self, texts: Mapping[str, str] | None = None) -> None:
        self.text = "red"
        self.texts = dict(texts or {})
        self.probability = 0.9
        self.finish_reason: Literal["stop", "length"] = "stop"
        self.reported = FINGERPRINT
        self.error: Exception | None = None
        self.hold: threading.Event | None = None
        self.dies = False
        self.asked = 0
        self.lock = threading.Lock()

    def fingerprint(self, specialist: Specialist) -> str:
        return self.reported

    def complete(self, specialist: Specialist, prompt: str, *, timeout_s: float) -> Completion:
        with self.lock:
            self.asked += 1
        if self.hold is not None:
            self.hold.wait(30)
        if self.error is not None:
            raise self.error
        if self.dies:
            time.sleep(0.02)
            raise EngineUnreachable("The engine went away while answering.")
        text = self.texts.get(specialist.name, self.text)
        return Completion(
            text=text,
            token_logprobs=(math.log(self.probability),),
            tokens=(text,),
            finish_reason=self.finish_reason,
            input_tokens=5,
            output_tokens=1,
            latency_ms=3.0,
        )

    def close(self) -> None:
        pass
