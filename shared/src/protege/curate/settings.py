"""How a task's calls are divided and filtered."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import BadInput


@dataclass(frozen=True, slots=True)
class CurateSettings:
    """How a task's calls are divided and filtered. Raises BadInput if the shares leave nothing to learn from."""

    calibration: float = 0.27
    """The share of the usable calls in calibration."""
    test: float = 0.12
    """The share in test."""
    validation: float = 0.05
    """The share in validation."""
    max_held_out: int = 600
    """The most calls in each held-out part, since answering them takes time."""
    min_calibration: int = 60
    """59 kept calls without an error are the fewest that certify ε = δ = .05."""
    min_validation: int = 40
    """The fewest calls in validation."""
    min_train: int = 100
    """The fewest calls to learn from."""
    max_train: int = 10_000
    """The most calls in train: tuning never reaches more, and they would only take memory."""
    max_alike: int = 3
    """The most rows that train keeps of near-duplicates with the same answer."""
    seed: int = 0
    """Decides the shuffle."""
    since: float | None = None
    """Calls before this time (seconds since 1970), or without a time, are not held out, because the traffic has changed
    since."""

    def __post_init__(self) -> None:
        shares = (self.calibration, self.test, self.validation)
        if min(shares) < 0 or self.calibration == 0 or sum(shares) >= 1:
            raise BadInput(
                "The shares of calibration, test and validation leave nothing to learn from or to calibrate.",
                "Choose shares that are not negative, with calibration above 0 and a sum below 1.",
            )
