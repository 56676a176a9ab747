"""The guarantee by simulation: how often a certified threshold keeps more disagreement than it may.

    .venv/bin/python tests/bench/guarantee.py              2,000 calibrations a cell, some minutes on one core
    .venv/bin/python tests/bench/guarantee.py --quick      100 a cell of the smaller sizes, in seconds
    .venv/bin/python tests/bench/guarantee.py --json       the cells as JSON

Each world is a pool of 100,000 answers, from which validation and calibration calls are drawn with replacement, so that
the true risk above every threshold is known exactly. The scan and the fixed sequence are the program's own. Beside
them, on the same draws, two rules that promise the same and do not keep it: the largest coverage whose observed
disagreement is at most ε (plug-in), and the largest coverage of all thresholds that pass the exact test each (best of
all). Exits 1 where a cell breaks the guarantee by more than chance explains.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from protege.certify import Promise, calibrate, grid_from, scan
from protege.evaluate import Judged
from protege.stats.intervals import upper_bound
from scipy.stats import norm

RUNS, SIZES, EPSILONS, DELTA = 2_000, (200, 500, 1_000, 2_000, 5_000), (0.05, 0.10), 0.05
POOL = 100_000
ALLOWED = 0.06
"""δ and two standard errors of 2,000 runs."""
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Cell:
    """world, epsilon, calls: what was simulated. broken (of the scan), sequence_broken, plug_in, best_of_all: the share
    of runs whose true disagreement among kept exceeds ε. certified: share of runs with a threshold. coverage: the true
    one, mean over all runs; oracle: the largest whose true risk is at most ε."""

    world: str
    epsilon: float
    calls: int
    broken: float
    certified: float
    coverage: float
    oracle: float
    sequence_broken: float
    sequence_coverage: float
    plug_in: float
    best_of_all: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    runs, sizes = (100, SIZES[:2]) if options.quick else (RUNS, SIZES)
    allowed = DELTA + 3 * (DELTA * (1 - DELTA) / runs) ** 0.5 if options.quick else ALLOWED
    begin_s = time.perf_counter()
    cells: list[Cell] = []
    for epsilon in EPSILONS:
        for name, profile in WORLDS.items():
            world = World(*profile(epsilon), seed=0)
            cells += [simulated(name, world, epsilon, calls, runs) for calls in sizes]
            if not options.json:
                print("\n".join(map(shown, cells[-len(sizes) :])), flush=True)
    worst = max(cells, key=lambda cell: max(cell.broken, cell.sequence_broken))
    most = max(worst.broken, worst.sequence_broken)
    if options.json:
        print(json.dumps([asdict(cell) for cell in cells], indent=1))
    else:
        print(f"worst: {most:.4f} ({worst.world}), δ = {DELTA}; {time.perf_counter() - begin_s:.0f} s")
    sys.exit(most > allowed)


def shown(cell: Cell) -> str:
    return (
        f"{cell.world:20} ε {cell.epsilon:.2f} {cell.calls:6,} calls: broken {cell.broken:.4f}, "
        f"coverage {cell.coverage:.3f} of {cell.oracle:.3f} (certified {cell.certified:.2f}), "
        f"sequence {cell.sequence_broken:.4f} {cell.sequence_coverage:.3f}, "
        f"plug-in broken {cell.plug_in:.3f}, best of all {cell.best_of_all:.3f}"
    )


class World:
    """A pool of answers of a known disagreement, and as many more as `invalid` says that cannot be kept."""

    def __init__(self, confidence: Floats, wrong: Flags, seed: int, invalid: float = 0.03) -> None:
        self.random = np.random.default_rng(seed)
        self.confidence, self.wrong = confidence, wrong
        self.pool = [judged(c, w) for c, w in zip(confidence.tolist(), wrong.tolist(), strict=True)]
        self.pool += [judged(None, True)] * round(invalid * len(wrong))
        order = np.argsort(confidence)[::-1]
        self.levels = confidence[order]
        self.risks = np.cumsum(wrong[order]) / np.arange(1, len(order) + 1)

    def draw(self, n: int) -> NDArray[np.int64]:
        return self.random.integers(len(self.pool), size=n)

    def kept(self, threshold: float | None) -> tuple[float, float]:
        """Coverage and true risk of a threshold."""
        if threshold is None:
            return 0.0, 0.0
        n = int(np.searchsorted(-self.levels, -threshold, side="right"))
        return n / len(self.pool), float(self.risks[n - 1]) if n else 0.0

    def oracle(self, epsilon: float) -> float:
        ends = np.flatnonzero(np.append(np.diff(self.levels) != 0, True) & (self.risks <= epsilon))
        return (int(ends[-1]) + 1) / len(self.pool) if len(ends) else 0.0


def judged(confidence: float | None, wrong: bool) -> Judged:
    return Judged("", "", "", "", agreed=not wrong, confidence=confidence, valid=confidence is not None)


def simulated(name: str, world: World, epsilon: float, calls: int, runs: int) -> Cell:
    validation = min(600, max(40, round(calls * 0.05 / 0.27)))  # curate's shares and bounds
    allowed = errors_allowed(calls, epsilon)
    found: list[list[tuple[float, float]]] = []
    for _ in range(runs):
        drawn = world.draw(calls)
        grid = grid_from([world.pool[i] for i in world.draw(validation).tolist()], **terms(calls, epsilon))
        split = [world.pool[i] for i in drawn.tolist()]
        scanned = scan(split, Promise(epsilon, DELTA)).threshold
        in_sequence = calibrate(split, grid, epsilon=epsilon, delta=DELTA).threshold
        thresholds = (scanned, in_sequence, *naive(world, drawn, epsilon, allowed))
        found.append([world.kept(threshold) for threshold in thresholds])
    coverage, risk = np.moveaxis(np.array(found), 2, 0)
    broken = (risk > epsilon + 1e-12).mean(axis=0)
    return Cell(
        world=name,
        epsilon=epsilon,
        calls=calls,
        broken=float(broken[0]),
        certified=float((coverage[:, 0] > 0).mean()),
        coverage=float(coverage[:, 0].mean()),
        oracle=world.oracle(epsilon),
        sequence_broken=float(broken[1]),
        sequence_coverage=float(coverage[:, 1].mean()),
        plug_in=float(broken[2]),
        best_of_all=float(broken[3]),
    )


def terms(calls: int, epsilon: float) -> dict[str, Any]:
    return {"calibration_calls": calls, "epsilon": epsilon, "delta": DELTA}


def naive(world: World, drawn: NDArray[np.int64], epsilon: float, allowed: NDArray[np.int64]) -> list[float | None]:
    """The thresholds of the two rules that look at all thresholds at once."""
    drawn = drawn[drawn < len(world.wrong)]
    drawn = drawn[np.argsort(world.confidence[drawn])[::-1]]
    levels, errors = world.confidence[drawn], np.cumsum(world.wrong[drawn])
    kept = np.arange(1, len(drawn) + 1)
    ends = np.append(np.diff(levels) != 0, True)
    passes = (errors <= epsilon * kept, errors <= allowed[kept])
    last = [np.flatnonzero(ends & passed) for passed in passes]
    return [float(levels[places[-1]]) if len(places) else None for places in last]


def errors_allowed(calls: int, epsilon: float) -> NDArray[np.int64]:
    """The most errors with which so many kept calls pass the exact test, -1 where none do; by kept calls."""
    allowed, errors = np.full(calls + 1, -1), 0
    for kept in range(1, calls + 1):
        while errors < kept and upper_bound(errors, kept, DELTA) <= epsilon:
            errors += 1
        allowed[kept] = errors - 1
    return allowed


def profile(*steps: tuple[float, float]) -> tuple[Floats, Flags]:
    """Answers whose risk is that of each step, (up to this share of calls from the surest on, risk); spread evenly."""
    place = (np.arange(POOL) + 0.5) / POOL
    risk = np.select([place < until for until, _ in steps], [risk for _, risk in steps])
    wrong = np.diff(np.ceil(np.cumsum(risk) - 1e-9), prepend=0) > 0
    return 1 - place, wrong


def scores(error: float, auroc: float) -> tuple[Floats, Flags]:
    """Normal scores, wrong answers' lower by what makes this AUROC."""
    random = np.random.default_rng(1)
    wrong = random.random(POOL) < error
    return norm.cdf(random.normal(size=POOL) - norm.ppf(auroc) * 2**0.5 * wrong), wrong


def tied(levels: int, *steps: tuple[float, float]) -> tuple[Floats, Flags]:
    confidence, wrong = profile(*steps)
    return np.ceil(confidence * levels) / levels, wrong


WORLDS: dict[str, Callable[[float], tuple[Floats, Flags]]] = {
    "separable": lambda e: profile((0.85, 0.0), (1.0, 1.0)),
    "AUROC .98": lambda e: scores(1.6 * e, 0.98),
    "AUROC .95": lambda e: scores(2.4 * e, 0.95),
    "AUROC .82": lambda e: scores(3.8 * e, 0.82),
    "confidently wrong": lambda e: profile((0.15, 3 * e), (0.8, 0.3 * e), (1.0, 0.5)),
    "many ties": lambda e: tied(5, (0.4, 0.4 * e), (0.6, e), (0.8, 2.5 * e), (1.0, 0.4)),
    "flat just above ε": lambda e: profile((1.0, 1.01 * e)),
    "rises late": lambda e: profile((0.7, 0.2 * e), (1.0, 0.4)),
    "not monotone": lambda e: profile((0.3, 0.4 * e), (0.5, 3 * e), (0.8, 0.2 * e), (1.0, 4 * e)),
}


if __name__ == "__main__":
    main()
