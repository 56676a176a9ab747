"""How far a training run has come: by its steps, or by its time where that runs out first."""

from __future__ import annotations

import math
import time
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState


class Budget(TrainerCallback, ExportableState):
    """Ends a run when its steps or its seconds are spent, and says when to evaluate and how fast to learn meanwhile.

    The learning rate rises for `warmup` steps and then falls as a cosine to zero, which it reaches as the run ends,
    whatever ends it. The validation loss is measured, and a checkpoint written, `evaluations` times at equal distances.
    A run that its time does not end is the same whenever it is made. Time ends none before its `least` steps: on a busy
    machine a specialist would otherwise learn next to nothing. judged: there is something to measure that loss on.
    """

    def __init__(
        self,
        steps: int,
        warmup: int,
        evaluations: int,
        seconds: float | None = None,
        least: int = 0,
        judged: bool = True,
    ) -> None:
        self.steps, self.warmup, self.evaluations = steps, warmup, evaluations
        self.seconds, self.least, self.judged = seconds, least, judged
        self.spent = 0.0
        """Seconds, those before an interrupt included as far as the last checkpoint."""
        self._since = 0.0

    def spent_share(self, step: int) -> float:
        """0 to 1: the share of the steps or of the seconds that is spent, whichever is more."""
        return min(1.0, max(step / self.steps, self._of_time(step)))

    def rate(self, step: int) -> float:
        """The share of the peak learning rate that a step takes."""
        if step < self.warmup:
            return step / max(1, self.warmup)
        of_steps = (step - self.warmup) / max(1, self.steps - self.warmup)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, max(of_steps, self._of_time(step)))))

    def _of_time(self, step: int) -> float:
        """The share of the seconds; 0 as long as the steps are ahead, so that such a run is the same every time."""
        of_time = self.spent / self.seconds if self.seconds else 0.0
        if self.least:
            of_time = min(of_time, step / self.least)
        return of_time if of_time > step / self.steps else 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._since = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        before = self.spent_share(state.global_step - 1)
        now = time.monotonic()
        self.spent, self._since = self.spent + now - self._since, now
        share = self.spent_share(state.global_step)
        if int(share * self.evaluations + 1e-9) > int(before * self.evaluations + 1e-9):
            control.should_evaluate, control.should_save = self.judged, True
        if share >= 1:
            control.should_training_stop = True

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        terms = {name: getattr(self, name) for name in ("steps", "warmup", "evaluations", "seconds", "least", "judged")}
        return {"args": terms, "attributes": {"spent": self.spent}}
