"""The promise of a cascade by simulation: how often two specialists together keep more disagreement than they may.

    .venv/bin/python tests/bench/cascade.py            2,000 calibrations a world, two minutes on one core
    .venv/bin/python tests/bench/cascade.py --quick    200 a world

Each world is a pool of 100,000 calls with the answers of two specialists, of which validation and calibration calls are
drawn with replacement, so that what the thresholds truly keep is known. `grid_from`, `calibrate`, `scan` and
`is_handed_on` are the program's own; each specialist is certified at δ/2, the second by the scan. Beside it, on the
same draws, the obvious rule: what the first hands back (below its own threshold) is handed on, though calibration calls
between that and the threshold that failed have had a part in where it ended. Exits 1 where the promise is broken by
more than chance explains.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from protege.certify import Certificate, Promise, calibrate, grid_from, scan
from protege.evaluate import Judged
from protege.loop.cascade import is_handed_on

RUNS, POOL, VALIDATION, CALIBRATION = 2_000, 100_000, 150, 700
EPSILON = DELTA = 0.05
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class World:
    """Two specialists' answers: as the program judges them, and as arrays. What the first could not answer is -1."""

    answers: tuple[Sequence[Judged], Sequence[Judged]]
    sure: tuple[Floats, Floats]
    wrong: tuple[Flags, Flags]


def world_of(first: Callable[[Floats], Floats], second: Callable[[Floats, Flags], Floats], telling: bool) -> World:
    """From each one's chance to be wrong. telling: whether the second's confidence tells anything."""
    chance = np.random.default_rng(0)
    hard = chance.random(POOL)
    wrong = chance.random(POOL) < first(hard)
    wrong_too = chance.random(POOL) < second(hard, wrong)
    sure = np.where(chance.random(POOL) < 0.03, -1.0, 1 - hard)
    sure_too = 1 - hard if telling else chance.random(POOL)
    answers = tuple(
        [_judged(s, bool(w)) for s, w in zip(*of, strict=True)] for of in ((sure, wrong), (sure_too, wrong_too))
    )
    return World((answers[0], answers[1]), (sure, sure_too), (wrong, wrong_too))


def _judged(sure: float, wrong: bool) -> Judged:
    valid = sure >= 0
    return Judged("c", "", "", "", valid and not wrong, float(sure) if valid else None, valid, latency_ms=1.0)


def late(hard: Floats) -> Floats:
    """Wrong about half of the hardest."""
    return 0.5 * hard**3


WORLDS = {
    "the second errs where the first does": world_of(late, lambda h, w: np.where(w, 0.08, 0.01 * h), telling=True),
    "the second errs only where the first is right": world_of(late, lambda h, w: np.where(w, 0.0, 0.02), telling=True),
    "the second is .052 wrong anywhere": world_of(late, lambda h, w: np.full(POOL, 0.052), telling=False),
    "the same, and only where the first is right": world_of(
        late, lambda h, w: np.where(w, 0.0, np.where(h > 0.7, 0.085, 0.052)), telling=False
    ),
    "both are .052 wrong anywhere": world_of(
        lambda h: np.full(POOL, 0.052), lambda h, w: np.full(POOL, 0.052), telling=False
    ),
}


def certified(world: World, which: int, validation: Sequence[int], calibration: Sequence[int]) -> Certificate:
    answers = world.answers[which]
    tested = [answers[i] for i in calibration]
    if which == 1:
        return scan(tested, Promise(EPSILON, DELTA / 2))
    grid = grid_from([answers[i] for i in validation], calibration_calls=len(tested), delta=DELTA / 2)
    return calibrate(tested, grid, delta=DELTA / 2)


def run(world: World, validation: Sequence[int], calibration: Sequence[int], exact: bool) -> tuple[bool, bool, float]:
    """Whether both together break the promise, whether the second breaks its own, and what it adds to coverage."""
    first = certified(world, 0, validation, calibration)
    if first.threshold is None:
        return False, False, 0.0
    below = (first.failed or 0.0) if exact else first.threshold
    handed = [[i for i in calls if is_handed_on(world.answers[0][i], below)] for calls in (validation, calibration)]
    second = certified(world, 1, *handed)
    alone = world.sure[0] >= first.threshold
    then = np.zeros(POOL, bool)
    if second.threshold is not None:
        then = (world.sure[0] < below) & (world.sure[1] >= second.threshold)
    errors = int(world.wrong[0][alone].sum()), int(world.wrong[1][then].sum())
    both = sum(errors) > EPSILON * (alone.sum() + then.sum())
    return bool(both), errors[1] > EPSILON * int(then.sum()), float(then.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    runs = 200 if parser.parse_args().quick else RUNS
    began, worst = time.perf_counter(), 0.0
    for name, world in WORLDS.items():
        told: list[str] = []
        for exact in (True, False):
            chance = np.random.default_rng(1)
            drawn = (chance.integers(POOL, size=VALIDATION + CALIBRATION).tolist() for _ in range(runs))
            found = [run(world, calls[:VALIDATION], calls[VALIDATION:], exact) for calls in drawn]
            both, second, more = (float(np.mean(column)) for column in zip(*found, strict=True))
            told.append(f"broken {both:.4f}, the second's own {second:.4f}, coverage +{more:.3f}")
            worst = max(worst, both) if exact else worst
        print(f"{name}\n    {told[0]}\n    obvious: {told[1]}", flush=True)
    print(f"{runs} runs a world, {time.perf_counter() - began:.0f} s")
    sys.exit(worst > DELTA + 3 * (DELTA * (1 - DELTA) / runs) ** 0.5)


if __name__ == "__main__":
    main()
