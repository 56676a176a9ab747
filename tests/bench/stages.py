"""How often, and how soon, a specialist passes a stage of its rollout, by how much it disagrees.

    python tests/bench/stages.py [--runs 3000] [--json]

Made-up streams of independent answers; ε = .05. The evidence is `stats.sequential.shown_below`, its bets taken from
there and summed up for all streams at once. Beside what the rules ask for, evidence of 20, which is 1/δ, and what a
shadow needs that owes the proof.
"""

from __future__ import annotations

import argparse
import json
import math

import numpy as np
from protege.rollout.rules import RULES, evidence_for
from protege.stats.sequential import BELOW, shown_below

EPSILON = 0.05
SHARES = (0.0, 0.005, 0.01, 0.02, 0.03, 0.035, 0.04, 0.0505, 0.07)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [row_of(share, options.runs) for share in SHARES]
    if options.json:
        return print(json.dumps(rows, indent=1))
    for row in rows:
        print("  ".join(f"{key} {value:g}" for key, value in row.items()))


def row_of(share: float, runs: int) -> dict[str, float]:
    disagreed = np.random.default_rng(0).random((runs, RULES.patience)) < share
    levels = (RULES.evidence, 20.0, evidence_for("owed", 0.05))
    passed = passed_at(disagreed, levels)
    check = disagreed[0, :200]
    # One stream by the program's own function: at the call where it passes here, and at the one before.
    for level in levels:
        at = int(passed_at(check[None], (level,))[0, 0])
        assert at > 200 or shown_below(check[:at], EPSILON) >= level > shown_below(check[: at - 1], EPSILON)
    row = {"disagree": share}
    for level, places in zip(levels, passed, strict=True):
        row[f"passes at {level:g}"] = float((places <= RULES.patience).mean())
        row[f"after (median) at {level:g}"] = float(np.median(places))
    return row


def passed_at(disagreed: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
    """Levels × streams: the number of answers after which each level was reached; one more than there are if never."""
    runs, n = disagreed.shape
    bets = np.array([EPSILON * share for share in BELOW])
    with np.errstate(divide="ignore"):
        wrong, right = np.log(bets / EPSILON), np.log((1 - bets) / (1 - EPSILON))
    logs, places = np.zeros((runs, len(bets))), np.full((len(levels), runs), n + 1)
    for at in range(n):
        logs += np.where(disagreed[:, at, None], wrong, right)
        most = logs.max(axis=1)
        evidence = most + np.log(np.exp(logs - most[:, None]).mean(axis=1))
        for number, level in enumerate(levels):
            places[number, (evidence >= math.log(level)) & (places[number] > n)] = at + 1
    return places


if __name__ == "__main__":
    main()
