"""How to improve, and what the loop did for a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..curate import CurateSettings
from ..select import Policy
from ..tune import TuneSettings


@dataclass(frozen=True)
class Settings:
    """How to improve.

    epsilon, delta: P(disagreement among kept answers > epsilon) ≤ delta. base: a GGUF file or a folder to tune from, in
    place of choosing one; `ollama:NAME` for one that Ollama has. serve_as: "merged" (soonest) or "lora" (one base in
    memory for many). engine: "ollama", "embedded", or "auto": Ollama where one answers. keep_alive, keep_versions: how
    long a specialist stays in Ollama's memory after an answer, and how many of a task's stay in its store.
    compare_prompts: tune for the slots and for the whole prompt, and go on with the better. rollout: "direct", what is
    certified answers at once; "staged", it is shown in the shadow and on a share of the runs first. retrain: on all
    calls, whether that is due or not. cascade: as base, of a larger one: a second specialist is tuned from it, which is
    asked what the first hands back, where that saves. The rest: what the steps take, None for their defaults.
    """

    epsilon: float = 0.05
    delta: float = 0.05
    base: str | None = None
    serve_as: Literal["lora", "merged"] = "merged"
    engine: Literal["auto", "embedded", "ollama"] = "auto"
    keep_alive: str = "30m"
    keep_versions: int = 3
    compare_prompts: bool = False
    rollout: Literal["direct", "staged"] = "direct"
    retrain: bool = False
    cascade: str | None = None
    curate: CurateSettings | None = None
    tune: TuneSettings | None = None
    policy: Policy | None = None


@dataclass(frozen=True)
class Improvement:
    """What the loop did for a task. decision: "live", or "teacher" (stays with it); reason: why, for people."""

    task_id: str
    decision: Literal["live", "teacher"]
    reason: str
    specialist_id: str | None = None
    figures: Mapping[str, Any] = field(default_factory=dict[str, Any])
    passed_over: Sequence[tuple[str, str]] = ()
