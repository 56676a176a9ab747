"""Several settings of tuning are tried within a time budget; the validation loss alone says which is taken.

Successive halving (Jamieson and Talwalkar, 2016, arXiv:1502.07943): each round trains those that are left for equally
many steps, the better half goes on to the next, which is twice as long, and the last round is as long as `tune` says.
Where time is left and the loss still falls, the best is trained for longer yet. Every trial begins anew, its learning
rate falling to zero at its end: a trial is an ordinary tuning, by settings that stand for themselves. The best of all
is the specialist, written from the checkpoints that its trial left. Calibration and test calls have no part in it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import tune as tuning
from ..common.hashing import hash_of
from ..common.tracing import traced
from ..errors import ProtegeError, ResourceError
from ..specialist import Base, Specialist
from .run import Run

if TYPE_CHECKING:
    from ..curate import Curated
    from ..tune import TuneSettings

MOST = 8
"""Settings in the first round; a power of two."""
TOLD = ("learning_rate", "rank", "variant", "seed", "steps")
"""What the report tells of a trial's settings."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a try came to."""

    settings: TuneSettings
    figures: Mapping[str, Any]
    """Of the training run, with "seconds" of the whole trial; of one that failed only "error" and "seconds"."""

    @property
    def seconds(self) -> float:
        """Of this machine, as far as they were not lost to an interrupt."""
        return float(self.figures["seconds"])

    @property
    def loss(self) -> float:
        """Of the validation rows; infinite where it failed."""
        loss = self.figures.get("validation_loss")
        return float("inf") if loss is None else float(loss)

    def to_record(self) -> dict[str, Any]:
        """As the report and JSON hold it."""
        settings = {name: getattr(self.settings, name) for name in TOLD}
        kept = ("learning_rate", "validation_loss", "best_step", "seconds", "error")
        return {**settings, **{name: self.figures[name] for name in kept if name in self.figures}}


def identity_of(run: Run, curated: Curated, base: Base, settings: TuneSettings) -> str:
    """The id of the specialist that is tuned from these."""
    task = run.task
    made_from = (task.id, task.to_record()["templates"], curated.hash, base.sha256, settings)
    return f"sp-{hash_of(*made_from, *([base.gguf_sha256] if base.gguf else []))[:12]}"


@traced
def best_settings(run: Run, curated: Curated, base: Base) -> tuple[TuneSettings, dict[str, Any]]:
    """The settings to tune with, and the figures of the trials that say so: those of the best one, "trials" for all,
    and "seconds" that they took together.

    Without a budget, validation calls, or settings that the method could vary: those of the run, and no figures. A
    trial is not begun that would not end in time, as far as that can be told; the first one is made in any case.
    Raises as `tune.try_out` does of the first.
    """
    settings = run.settings.tune or tuning.TuneSettings()
    if not run.settings.budget_s or not curated.examples("validation"):
        return settings, {}
    if not tuning.tuner_named(settings.method).variations(settings, {"learning_rate": 1.0}):
        return settings, {}
    search = _Search(run, curated, base)
    search.go(replace(settings, minutes=run.settings.budget_s / 60))
    best, seconds = search.best, sum(trial.seconds for trial in search.trials)
    told = [{**trial.to_record(), "taken": trial is best} for trial in search.trials]
    return best.settings, {**best.figures, "seconds": seconds, "trials": told}


def outdone(specialist: Specialist) -> list[tuple[str, str]]:
    """The trials that were not taken, each with the reason."""
    trials = ((specialist.report or {}).get("tuning") or {}).get("trials") or []
    best = next((trial for trial in trials if trial["taken"]), None)
    return [
        (
            _words(trial),
            trial.get("error") or f"its validation loss is {_loss(trial)}, and {_loss(best)} by {_words(best)}",
        )
        for trial in trials
        if best is not None and not trial["taken"]
    ]


def _words(trial: Mapping[str, Any]) -> str:
    rate = trial["learning_rate"]
    told = "the method's own learning rate" if rate is None else f"learning rate {rate:.3g}"
    return f"{trial['variant']} of rank {trial['rank']}, {told}, {trial['steps']} steps, seed {trial['seed']}"


def _loss(trial: Mapping[str, Any]) -> str:
    return f"{trial['validation_loss']:.4g}"


class _Search:
    """The trials of one task. What each came to is kept in the workspace, so that an interrupted search goes on."""

    def __init__(self, run: Run, curated: Curated, base: Base) -> None:
        self.run, self.curated, self.base = run, curated, base
        self.trials: list[Trial] = []

    @property
    def best(self) -> Trial:
        return min(self.trials, key=lambda trial: trial.loss)

    def go(self, asked: TuneSettings) -> None:
        steps = asked.steps
        first = self._try(replace(asked, steps=max(1, steps // MOST)))
        if "error" in first.figures:
            return
        others = tuning.tuner_named(asked.method).variations(asked, first.figures)
        if self.run.settings.serve_as == "lora":  # no engine applies DoRA's, and a server's highest rank is its user's
            others = [one for one in others if one.variant != "dora" and one.rank == asked.rank]
        left = list(dict.fromkeys([asked, *others]))[: self._affordable(first, steps)]
        length, before = max(1, steps // _power_of_two(len(left))), float("inf")
        while left:
            round_ = self._round(left, length)
            if not round_ or min(trial.loss for trial in round_) >= before:
                return
            before = min(trial.loss for trial in round_)
            ranked = sorted(round_, key=lambda trial: trial.loss)
            left, length = [trial.settings for trial in ranked[: max(1, len(ranked) // 2)]], 2 * length

    def _affordable(self, first: Trial, steps: int) -> int:
        """Of how many settings the time suffices to find the best: a round takes as long as `steps` steps."""
        count, step_s = MOST, first.seconds / first.settings.steps
        while count > 1 and count.bit_length() * steps * step_s > self._left_s():
            count //= 2
        return count

    def _round(self, left: Iterable[TuneSettings], length: int) -> list[Trial]:
        done: list[Trial] = []
        for settings in (replace(one, steps=length) for one in left):
            if not self._in_time(settings):
                break
            done.append(self._try(settings))
        return done

    def _in_time(self, settings: TuneSettings) -> bool:
        """Whether it would end in time, as its kin or else all trials so far took for a step; done ones always do."""
        if any(trial.settings == settings for trial in self.trials):
            return True
        kin = [trial for trial in self.trials if replace(trial.settings, steps=settings.steps) == settings]
        known = kin or self.trials
        step_s = sum(trial.seconds for trial in known) / sum(trial.settings.steps for trial in known)
        return step_s * settings.steps <= self._left_s()

    def _left_s(self) -> float:
        return (self.run.settings.budget_s or 0.0) - sum(trial.seconds for trial in self.trials)

    def _try(self, settings: TuneSettings) -> Trial:
        """One trial, as it was made before or now. Of the files of all, those of the best are left."""
        if known := next((trial for trial in self.trials if trial.settings == settings), None):
            return known
        run, began = self.run, time.perf_counter()
        key = f"trial:{identity_of(run, self.curated, self.base, settings)}"
        figures: dict[str, Any] | None = run.workspace.cached(key)
        if figures is None:
            note = ", ".join(f"{name} {getattr(settings, name)}" for name in TOLD)
            with run.progress.step(f"{run.task.name}: trial {len(self.trials) + 1} ({note})"):
                figures = self._made(settings)
            figures["seconds"] = time.perf_counter() - began
            if not figures.pop("passes", False):
                run.workspace.cache(key, figures)
        self.trials.append(Trial(settings, figures))
        self._tidy()
        return self.trials[-1]

    def _made(self, settings: TuneSettings) -> dict[str, Any]:
        run = self.run
        folder = self._folder(settings)
        try:
            return dict(tuning.try_out(self.curated, run.task, self.base, folder, settings, run.progress))
        except ProtegeError as error:
            if not self.trials:
                raise
            return {"error": error.fact, "passes": isinstance(error, ResourceError)}

    def _tidy(self) -> None:
        """Remove what trials left that are not the best so far. A specialist that was tuned is no trial's."""
        for trial in self.trials:
            folder = self._folder(trial.settings)
            if trial is not self.best and not (folder / "tuned.json").exists():
                shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, settings: TuneSettings) -> Path:
        identity = identity_of(self.run, self.curated, self.base, settings)
        return self.run.workspace.home / "specialists" / identity


def _power_of_two(count: int) -> int:
    """The smallest one that is not below `count`."""
    return 1 << max(0, count - 1).bit_length()
