"""What the audit finds out, and how soon: the production rules on made-up streams of answers.

    python tests/bench/audits.py [--months 2000] [--calls 40000] [--json FILE]

A specialist keeps `--calls` calls a month, and 2% of them are audited, ten times as many while there is a suspicion.
Printed: the share of months at a constant quality that end in a rollback, for qualities up to ε itself; and, after a
good month, how many audits and kept calls it takes until a jump of disagreement is rolled back, with and without the
raised rate. ε = .05 throughout. Beside it the reference: ln(100)/KL(jump, ε) audits at 2%.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
from dataclasses import replace
from pathlib import Path

import orjson
from protege.rollout.rules import RULES, Rules, Seen, step
from protege.stats.sequential import Alarm

EPSILON = 0.05
QUALITIES = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05)
JUMPS = (0.08, 0.10, 0.15, 0.20, 0.30, 0.50)
DRAWS = 200
STEADY = replace(RULES, suspicious_audit=RULES.audit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--months", type=int, default=2_000)
    parser.add_argument("--calls", type=int, default=40_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    stable = [stability(quality, options.months, options.calls) for quality in QUALITIES]
    jumps = [detection(jump) for jump in JUMPS]
    if options.json:
        options.json.write_bytes(orjson.dumps({"stable": stable, "jumps": jumps}, option=orjson.OPT_INDENT_2))


def stability(quality: float, months: int, calls: int) -> dict[str, float]:
    chance = random.Random(1)
    ended = audits = 0
    for _ in range(months):
        watched = Watched(chance, RULES)
        ended += watched.run(quality, calls) is not None
        audits += watched.audits
    found = {"disagreement": quality, "rolled_back": ended / months, "audits_a_month": audits / months}
    print(
        f"stable at {quality:.3f}: {ended / months:.2%} of {months:,} months rolled back, {audits / months:,.0f} audits"
    )
    return found


def detection(jump: float) -> dict[str, float]:
    reference = math.log(100) / (jump * math.log(jump / EPSILON) + (1 - jump) * math.log((1 - jump) / (1 - EPSILON)))
    found: dict[str, float] = {"jump": jump, "reference_kept": reference / RULES.audit}
    for name, rules in (("raised", RULES), ("steady", STEADY)):
        chance = random.Random(2)
        took: list[tuple[int, int]] = []
        for _ in range(DRAWS):
            watched = Watched(chance, rules)
            while watched.run(0.02, 20_000) is not None:
                watched = Watched(chance, rules)
            before = watched.audits
            kept = watched.run(jump, 2_000_000)
            assert kept is not None
            took.append((watched.audits - before, kept))
        audits, kept = (statistics.median(values) for values in zip(*took, strict=True))
        late = sorted(kept for _, kept in took)[int(0.9 * DRAWS)]
        found |= {f"{name}_audits": audits, f"{name}_kept": kept, f"{name}_kept_90": late}
    print(
        f"jump to {jump:.2f}: {found['raised_audits']:.0f} audits, {found['raised_kept']:,.0f} kept calls"
        f" (nine in ten: {found['raised_kept_90']:,.0f}); at 2% throughout {found['steady_audits']:.0f} and"
        f" {found['steady_kept']:,.0f}; reference {reference:.0f} and {reference / RULES.audit:,.0f}"
    )
    return found


class Watched:
    """A live specialist under the rules, call by kept call; sums up as `rollout.look` does, without starting over."""

    def __init__(self, chance: random.Random, rules: Rules) -> None:
        self._chance, self._rules = chance, rules
        self._alarm, self._highest, self._disagreed = Alarm(EPSILON), 0.0, 0
        self.audits = 0
        self._rate = rules.audit

    def run(self, disagreement: float, calls: int) -> int | None:
        """Keep so many calls; after how many it was rolled back, None where it was not."""
        kept = 0
        while True:
            kept += 1 + int(math.log(1 - self._chance.random()) / math.log(1 - self._rate))  # to the next audit
            if kept > calls:
                return None
            self._audit(self._chance.random() < disagreement)
            seen = Seen(self.audits, self._disagreed, 1.0, self._highest, self._alarm.level)
            then = step("live", seen, EPSILON, self._rules)
            self._rate = then.audit
            if then.what == "alarm":
                return kept

    def _audit(self, disagreed: bool) -> None:
        self.audits += 1
        self._disagreed += disagreed
        self._alarm = self._alarm.after(disagreed)
        self._highest = max(self._highest, self._alarm.level)


if __name__ == "__main__":
    main()
