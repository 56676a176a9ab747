"""The scan of all thresholds: what it gains, what clusters do to it, and a search for a world that breaks it.

    .venv/bin/python tests/bench/scan.py power       coverage beside the fixed sequence's, on worlds like real tasks
    .venv/bin/python tests/bench/scan.py clusters    runs of dependent calls: all counted, one a run, a design effect
    .venv/bin/python tests/bench/scan.py shadow      a staged rollout: certified and shown, or proved by the shadow
    .venv/bin/python tests/bench/scan.py both        of all calls ≤ .05 and of the kept ≤ .10, beside of the kept ≤ .05
    .venv/bin/python tests/bench/scan.py search      risk profiles drawn at random, all of whose thresholds are too bad
    (each takes --runs N and --json)

Each world of `power` and `clusters` is made of 100,000 answers or more whose true risk above every threshold is known.
The scan, the sequence and the choice of one call a run are the program's own. `pooled` has five calls for each three of
the others, as test calls are two for three calibration calls; `shadow` has so many too. Exits 1 where one call a run, a
profile of the search, a staged rollout or a promise of both breaks what is promised by more than chance explains.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from guarantee import DELTA, World, judged, profile, scores, tied
from numpy.typing import NDArray
from protege.certify import Promise, calibrate, grid_from, plug_in, scan, table
from protege.certify.gate import independent
from protege.evaluate import Judged
from protege.rollout.rules import RULES, evidence_for
from scipy.stats import norm
from stages import passed_at

EPSILON = 0.05
PROMISE = Promise(EPSILON, DELTA)
SIZES = (150, 200, 270, 400)
POOLED = 5 / 3
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=sorted(PARTS))
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    begin_s, rows = time.perf_counter(), list[Row]()
    for row in PARTS[options.what](options.runs):
        rows.append(row)
        if not options.json:
            print("  ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{v}" for k, v in row.items()), flush=True)
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        print(f"{options.runs} runs a row, {time.perf_counter() - begin_s:.0f} s")
    allowed = DELTA + 3 * (DELTA * (1 - DELTA) / options.runs) ** 0.5
    sys.exit(any(row.get("broken", 0.0) > allowed for row in rows))


# What it gains


def stray(error: float, auroc: float, share: float) -> tuple[Floats, Flags]:
    """As `scores`, with this share of the wrong answers among the surest."""
    confidence, wrong = scores(error, auroc)
    random = np.random.default_rng(2)
    surest = wrong & (random.random(len(wrong)) < share)
    return np.where(surest, 0.98 + 0.02 * random.random(len(wrong)), confidence), wrong


LIKE_REAL: dict[str, Callable[[], tuple[Floats, Flags]]] = {
    "accuracy .98, AUROC .94": lambda: scores(0.02, 0.94),
    "accuracy .94, AUROC .96": lambda: scores(0.06, 0.96),
    "accuracy .94, AUROC .80": lambda: scores(0.06, 0.80),
    "accuracy .92, AUROC .98": lambda: scores(0.08, 0.98),
    "accuracy .91, AUROC .79": lambda: scores(0.09, 0.79),
    "accuracy .88, AUROC .90": lambda: scores(0.12, 0.90),
    "accuracy .86, AUROC .95": lambda: scores(0.14, 0.95),
    "accuracy .83, AUROC .86": lambda: scores(0.17, 0.86),
    "accuracy .80, AUROC .93": lambda: scores(0.20, 0.93),
    "accuracy .75, AUROC .90": lambda: scores(0.25, 0.90),
    "accuracy .90, one error in ten among the surest": lambda: stray(0.10, 0.95, 0.1),
    "accuracy .94, one error in five among the surest": lambda: stray(0.06, 0.95, 0.2),
    "eight confidences": lambda: tied(8, (0.5, 0.01), (0.75, 0.08), (1.0, 0.35)),
}


def power(runs: int) -> Iterator[Row]:
    means: dict[int, list[tuple[float, ...]]] = {n: [] for n in SIZES}
    for name, made in LIKE_REAL.items():
        world = World(*made(), seed=0)
        for n in SIZES:
            kept = np.array([compared(world, n) for _ in range(runs)])
            coverage, certified = kept.mean(axis=0), (kept > 0).mean(axis=0)
            means[n].append((*coverage, *certified))
            yield {"world": name, "n": n, **told(coverage, certified), "oracle": world.oracle(EPSILON)}
    for n, rows in means.items():
        mean = np.mean(rows, axis=0)
        yield {"world": "mean of all", "n": n, **told(mean[:3], mean[3:])}


def compared(world: World, n: int) -> tuple[float, float, float]:
    """True coverage by the fixed sequence and by the scan on n calls, and by the scan on n and the test calls."""
    calls = [world.pool[i] for i in world.draw(round(n * POOLED)).tolist()]
    validation = [world.pool[i] for i in world.draw(max(40, round(n * 0.05 / 0.27))).tolist()]
    grid = grid_from(validation, calibration_calls=n)
    thresholds = (
        calibrate(calls[:n], grid).threshold,
        scan(calls[:n], PROMISE).threshold,
        scan(calls, PROMISE).threshold,
    )
    return tuple(world.kept(threshold)[0] for threshold in thresholds)  # type: ignore[return-value]


def told(coverage: Sequence[float], certified: Sequence[float]) -> Row:
    ways = ("sequence", "scan", "pooled")
    return {
        **{way: float(value) for way, value in zip(ways, coverage, strict=True)},
        **{f"P({way})": float(value) for way, value in zip(ways, certified, strict=True)},
    }


# A staged rollout


def shadow(runs: int) -> Iterator[Row]:
    """One attempt: certified by the scan and shown with evidence of 5, or frozen at ε / 2 and shown with 1 / (.8 δ).

    `broken`: of the attempts, those that go on from the shadow although the true risk exceeds ε. The shadow is looked
    at after every kept answer, and ends after `RULES.patience`.
    """
    for name, made in AT_EPSILON.items():
        for n in SMALL:
            yield {"world": name, "n": n, **staged(World(*made(), seed=3), n, 20 * runs)}
    means: dict[int, list[Row]] = {n: [] for n in SMALL}
    for name, made in LIKE_REAL.items():
        world = World(*made(), seed=0)
        for n in SMALL:
            row = staged(world, n, runs)
            means[n].append(row)
            yield {"world": name, "n": n, **row, "oracle": world.oracle(EPSILON)}
    for n, rows in means.items():
        yield {
            "world": "mean of all",
            "n": n,
            **{key: float(np.nanmean([row[key] for row in rows])) for key in rows[0]},
        }


SMALL = (60, 100, 150, 270)
AT_EPSILON: dict[str, Callable[[], tuple[Floats, Flags]]] = {
    "ε everywhere": lambda: profile((1.0, EPSILON)),
    "1.01 ε everywhere": lambda: profile((1.0, 1.01 * EPSILON)),
    "ε where surest, 3 ε elsewhere": lambda: profile((0.4, 1.01 * EPSILON), (1.0, 3 * EPSILON)),
}


def staged(world: World, n: int, runs: int) -> Row:
    found = [proposed(world, n) for _ in range(runs)]
    owed = np.array([is_owed for _, is_owed in found])
    coverage, risk = np.array([world.kept(threshold) for threshold, _ in found]).T
    disagreed = world.random.random((runs, RULES.patience)) < risk[:, None]
    after = passed_at(disagreed, (RULES.evidence, evidence_for("owed", DELTA)))
    kept = np.where(owed, after[1], after[0])
    shown = (kept <= RULES.patience) & (coverage > 0)
    proved = shown & owed
    return {
        "scan": float((coverage * ~owed).mean()),
        "P(scan)": float(((coverage > 0) & ~owed).mean()),
        "staged": float((coverage * shown).mean()),
        "P(staged)": float(shown.mean()),
        "P(by the shadow)": float(proved.mean()),
        "kept until shown": float(np.median(kept[proved])) if proved.any() else float("nan"),
        "calls until shown": float(np.median(kept[proved] / coverage[proved])) if proved.any() else float("nan"),
        "broken": float((shown & (risk >= EPSILON - 1e-12)).mean()),
    }


def proposed(world: World, n: int) -> tuple[float | None, bool]:
    """The threshold that the pooled calls certify, or propose to the shadow; and whether the shadow owes the proof."""
    calls = [world.pool[i] for i in world.draw(round(n * POOLED)).tolist()]
    if (threshold := scan(calls, PROMISE).threshold) is not None:
        return threshold, False
    found = plug_in(calls, PROMISE)
    return (None, False) if found is None else (found.threshold, True)


# Two promises


BOTH = Promise(0.10, DELTA, of_all=0.05)
AT_BOTH: dict[str, Callable[[], World]] = {
    "kept .101 everywhere, half answered": lambda: World(*profile((1.0, 0.101)), seed=4, invalid=1.0),
    "kept .0505 everywhere, all answered": lambda: World(*profile((1.0, 0.0505)), seed=4, invalid=0.0),
    "right where surest, then .102": lambda: World(*profile((0.5, 0.0), (1.0, 0.102)), seed=4, invalid=0.0),
    "kept .101 everywhere, .6 answered": lambda: World(*profile((1.0, 0.101)), seed=4, invalid=2 / 3),
}


def both(runs: int) -> Iterator[Row]:
    """`broken`: the true risk of the kept exceeds .10, or the share of all calls that are kept and wrong .05."""
    for name, made in AT_BOTH.items():
        for n in SIZES:
            yield {"world": name, "n": n, **promises(made(), n, 20 * runs)}
    means: dict[int, list[Row]] = {n: [] for n in SIZES}
    for name, profiled in LIKE_REAL.items():
        world = World(*profiled(), seed=0)
        for n in SIZES:
            means[n].append(promises(world, n, runs))
            yield {"world": name, "n": n, **means[n][-1]}
    for n, rows in means.items():
        yield {"world": "mean of all", "n": n, **{key: float(np.mean([row[key] for row in rows])) for key in rows[0]}}


def promises(world: World, n: int, runs: int) -> Row:
    draws = ([world.pool[i] for i in world.draw(round(n * POOLED)).tolist()] for _ in range(runs))
    pairs = [(world.kept(scan(calls, PROMISE).threshold), world.kept(scan(calls, BOTH).threshold)) for calls in draws]
    kept, of_both = np.array(pairs).transpose(1, 2, 0)
    coverage, risk = of_both
    return {
        "kept": float(kept[0].mean()),
        "P(kept)": float((kept[0] > 0).mean()),
        "both": float(coverage.mean()),
        "P(both)": float((coverage > 0).mean()),
        "broken": float(((risk > 0.10 + 1e-12) | (coverage * risk > 0.05 + 1e-12)).mean()),
    }


# Calls that depend on each other


def clusters(runs: int) -> Iterator[Row]:
    """An error is likelier by a run's own effect on a latent scale (ICC of the errors told as it comes out)."""
    for n in (600, 1_200):
        for length in (3, 5, 10):
            for effect in (0.1, 0.2, 0.3):
                yield clustered(f"runs of {length}, latent {effect}", n, length, effect, runs)
        yield clustered("each prompt three times", n, 3, 1.0, runs)


def clustered(name: str, n: int, length: int, effect: float, runs: int) -> Row:
    """Answers that are wrong with probability 1.01 ε whatever their confidence: any certificate breaks the promise."""
    random, wrongs = np.random.default_rng(5), list[Flags]()
    broken, one = np.zeros(3), one_a_run(n // length * length, length)
    for _ in range(runs):
        latent = np.sqrt(effect) * random.normal(size=(n // length, 1))
        own = np.sqrt(1 - effect) * random.normal(size=(n // length, length))
        wrong = (latent + own) < norm.ppf(1.01 * EPSILON)
        wrongs.append(wrong)
        confidence = random.random(wrong.shape)
        if effect == 1.0:
            confidence[:] = confidence[:, :1]
        calls = [judged(c, w) for c, w in zip(confidence.ravel().tolist(), wrong.ravel().tolist(), strict=True)]
        broken += [certifies(calls), certifies([calls[i] for i in one]), by_design_effect(calls, wrong, length)]
    return {
        "world": name,
        "n": n,
        "ICC": icc(np.concatenate(wrongs)),
        "all counted": float(broken[0] / runs),
        "broken": float(broken[1] / runs),
        "design effect": float(broken[2] / runs),
    }


def certifies(calls: Sequence[Judged]) -> bool:
    return scan(calls, PROMISE).threshold is not None


def one_a_run(n: int, length: int) -> list[int]:
    """The places of the calls that the program counts, of n in runs."""
    columns: Any = {"id": [str(i) for i in range(n)], "group": [str(i // length) for i in range(n)]}
    curated: Any = SimpleNamespace(parts={"calibration": columns, "test": {"id": [], "group": []}})
    calls = [Judged(str(i), "", "", "", agreed=True, confidence=1.0, valid=True) for i in range(n)]
    return [int(call.call_id) for call in independent(calls, curated)]


def icc(wrong: Flags) -> float:
    """The intraclass correlation of the errors, by analysis of variance; runs of equal length."""
    length = wrong.shape[1]
    between = length * wrong.mean(axis=1).var(ddof=1)
    within = wrong.var(axis=1, ddof=1).mean()
    return float((between - within) / (between + (length - 1) * within)) if between + within else 0.0


def by_design_effect(calls: Sequence[Judged], wrong: Flags, length: int) -> bool:
    """Whether the scan certifies counts divided by the design effect, 1 + (length - 1) ICC, as estimated from them."""
    effect = max(1.0, 1 + (length - 1) * icc(wrong))
    needed = table(round(len(calls) / effect), EPSILON, DELTA)
    answers = sorted(((call.confidence or 0.0, call.agreed) for call in calls), reverse=True)
    right = np.cumsum([agreed for _, agreed in answers])
    errors = np.arange(1, len(answers) + 1) - right
    pairs = zip((right / effect).tolist(), np.ceil(errors / effect).astype(int).tolist(), strict=True)
    return any(w < len(needed) and r >= needed[w] for r, w in pairs)


# A search for a world that breaks it


def search(runs: int) -> Iterator[Row]:
    """Independent answers whose true risk is ε or more at every threshold, by profiles drawn at random; the worst."""
    random = np.random.default_rng(7)
    for n in (100, 200, 400):
        worst: tuple[float, str] = (0.0, "")
        for number in range(150):
            risks = drawn_profile(random, n)
            worst = max(worst, (crossing(risks, runs, random), f"profile {number}"))
        again = crossing(np.full(n, EPSILON), 20 * runs, random)
        yield {"world": f"worst of 150 ({worst[1]})", "n": n, "worst": worst[0], "ε everywhere": again, "broken": again}


def drawn_profile(random: np.random.Generator, n: int) -> Floats:
    """A step function of up to six steps, raised where it must be for every threshold's risk to be ε or more."""
    cuts = np.sort(random.integers(0, n, size=random.integers(0, 6)))
    steps = random.choice([0.0, 0.02, 0.05, 0.08, 0.2, 0.5], size=len(cuts) + 1)
    risks = steps[np.searchsorted(cuts, np.arange(n), side="right")]
    wrong = 0.0
    for i in range(n):
        risks[i] = max(risks[i], EPSILON * (i + 1) - wrong)
        wrong += risks[i]
    return np.minimum(risks, 1.0)


def crossing(risks: Floats, runs: int, random: np.random.Generator) -> float:
    """How often n independent answers with these risks, surest first, reach the table somewhere."""
    n = len(risks)
    bounds = np.full(n + 1, n + 1)
    needed = table(n, EPSILON, DELTA)
    bounds[: len(needed)] = needed
    errors = (random.random((runs, n)) < risks).cumsum(axis=1)
    return float(((np.arange(1, n + 1) - errors) >= bounds[errors]).any(axis=1).mean())


PARTS: dict[str, Callable[[int], Iterator[Row]]] = {
    "power": power,
    "clusters": clusters,
    "shadow": shadow,
    "both": both,
    "search": search,
}


if __name__ == "__main__":
    main()
