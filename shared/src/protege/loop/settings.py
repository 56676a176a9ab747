"""How to improve."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ..certify.promise import DELTA, EPSILON, Promise
from ..specialist import ServeAs

if TYPE_CHECKING:
    from ..curate import CurateSettings
    from ..rollout import TaskPolicy
    from ..select import SelectionPolicy
    from ..tune import TuneSettings


@dataclass(frozen=True)
class Settings:
    """How to improve. What is None has the default of the step that takes it."""

    epsilon: float = EPSILON
    """At most this share of kept answers may disagree with the teacher …"""
    delta: float = DELTA
    """… but for this probability: P(disagreement among kept answers > epsilon) ≤ delta."""
    epsilon_all: float | None = None
    """Where given, at most this share of all calls may be kept and wrong, too: P(either is more) ≤ delta."""
    base: str | None = None
    """A GGUF file or a folder to tune from, instead of choosing one; `ollama:NAME` for a model that Ollama has."""
    serve_as: ServeAs = "merged"
    """`merged` answers soonest; `lora` holds one base in memory for many specialists; `head` goes with its method."""
    engine: str = "auto"
    """The kind of engine that serves the specialist (`serve.engine_names`). "auto": for a head its own; else Ollama if
    one answers, else the embedded engine."""
    keep_alive: str = "30m"
    """How long a specialist stays in Ollama's memory after an answer."""
    keep_versions: int = 3
    """How many specialists of a task stay in Ollama's store."""
    compete: bool = True
    """Make what answers in the agent's process too, where answers are chosen or copied rather than made, and go on with
    what saves most: one of these, or what `tune` says. If False, `tune` decides."""
    compare_prompts: bool = False
    """Make a specialist for the slots and one for the whole prompt, and go on with what saves more."""
    budget_s: float | None = None
    """Seconds in which several settings of tuning are tried, and the best is kept (`loop.trials`); None: `tune` is
    taken as it is."""
    rollout: Literal["direct", "staged"] = "direct"
    """`direct`: what is certified answers at once. `staged`: it is shown in the shadow and on a share of runs first."""
    retrain: bool = False
    """Learn from all calls again, whether a retraining is due or not."""
    cascade: str | None = None
    """A larger base, named as `base` is: a second specialist is tuned from it for what the first hands back, if that
    saves money. After a head any base is larger."""
    curate: CurateSettings | None = None
    tune: TuneSettings | None = None
    policy: SelectionPolicy | None = None

    @property
    def promise(self) -> Promise:
        """The promise that each specialist is certified by: with half of δ if there are to be two."""
        if self.epsilon_all is not None:  # it is made for one alone
            return Promise(self.epsilon, self.delta, of_all=self.epsilon_all)
        return Promise(self.epsilon, self.delta / 2 if self.cascade else self.delta, scanned=not self.cascade)

    def under(self, policy: TaskPolicy) -> Settings:
        """The settings for a task with this policy, which goes before them where it says something of the promise."""
        of_all = policy.of_all if policy.promise else self.epsilon_all
        epsilon, delta = policy.epsilon_of_kept(self.epsilon), policy.delta or self.delta
        return replace(self, epsilon=epsilon, delta=delta, epsilon_all=of_all)
