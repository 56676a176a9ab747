"""How what is served compares with what was tuned."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Parity:
    """How what is served compares with what was tuned."""

    n: int
    """Answers compared."""
    same: int
    """Answers that are the in-process model's own, near ties included."""
    prompts: int
    """Prompts that were read as the same number of tokens."""
    shift: float
    """The mean over all answers' tokens of how much a token's log-odds differ, in nats."""
    template: Literal["same", "differs", "not told"] | None
    """Whether the engine's own template writes the prompt that tuning used; None if that was not checked."""
    difference: str
    """The first place where the template differs; empty if it does not."""
    holds: bool
    """Whether the specialist may serve."""
    reason: str
    """The result in words."""
    near_ties: int = 0
    """Answers that are the model's own but for tokens that it prefers its own to by next to nothing."""

    def to_record(self) -> dict[str, Any]:
        return asdict(self)
