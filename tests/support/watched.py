"""A task `colour` that a specialist answers, and calls as its agents record them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from memory_engine import BASE, FINGERPRINT
from protege import Attempt, Call, Request, Route, Specialist, Task, Template
from protege.asking.confidence import Scorer
from protege.certify import Certificate, Figures
from protege.evaluate import Parity, evaluate
from protege.evaluate.graders import Exact
from protege.task import TemplatePart

INSTRUCTION = "You name the colour of a thing. Answer with one word."
START = 4e9
"""Of the calls, seconds since 1970: after whatever a test does now."""
REWORDED = "You name the colour of a thing, always. Answer with one word."


def colour_task() -> Task:
    template = Template("sig-colour", (TemplatePart(0, "system", lines=(INSTRUCTION,)),))
    words = {word.strip(".").lower() for word in INSTRUCTION.split()}
    centre = dict.fromkeys(words, len(words) ** -0.5)
    return Task("colour", "colour", "label", labels=("red", "blue"), templates=(template,), centre=centre, calls=500)  # pyright: ignore[reportArgumentType]


def specialist(version: int, state: Any) -> Specialist:
    return Specialist(
        f"s{version}", f"colour-v{version}", "colour", version, BASE, "slots", state=state, created=float(version)
    )


def terms(version: int, **changes: Any) -> Route:
    counts = {"calibration_calls": 260, "kept": 240, "errors": 4}
    more = {"signatures": ("sig-colour",), "teachers": ("large",), "audit": 0.02, **changes}
    return Route("colour", f"s{version}", 0.8, FINGERPRINT, 0.05, 0.05, **counts, **more)


def call(number: int, said: str | None = "red", answer: str = "red", **fields: Any) -> Call:
    """A call of the teacher's; where `said` is given, audited: that is what the specialist had said."""
    by, reason = fields.pop("by", "s1"), fields.pop("reason", "kept")
    attempts = (Attempt(by, "audited", reason, 0.9, 5.0, said, 0.02),) if said is not None else ()
    text = fields.pop("instruction", None) or INSTRUCTION
    messages = ({"role": "system", "content": text}, {"role": "user", "content": f"thing {number}"})
    return Call(
        id=f"c{number}",
        request=Request(messages),
        response={"role": "assistant", "content": answer},
        answered_by=fields.pop("model", "large"),
        attempts=attempts,
        time=START + number,
        **fields,
    )


PARITY = Parity(24, 24, 24, 0.0, None, "", True, "made up")


def figures(
    coverage: float = 0.9, *, threshold: float | None = 0.6, p95_ms: float = 300.0, reason: str = "So it is."
) -> Figures:
    """As if a hundred calibration calls had certified this coverage at ε = δ = .05."""
    kept = round(100 * coverage)
    return Figures(
        evaluation=replace(evaluate([], Exact()), latency_p50_ms=40.0, latency_p95_ms=p95_ms),
        certificate=Certificate(threshold, kept, 0, 100, 0.04, 0, reason),
        hindsight_coverage=coverage,
        fingerprint="f",
        scorer=Scorer.plain(),
        ceiling=None,
        structure=None,
        calls={},
        confidences=(),
        parity=PARITY,
    )
