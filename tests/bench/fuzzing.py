"""Fuzzes importers, redactor, GGUF reader, chat templates and graders (`tests/support/fuzzed.py`) for a time.

    python tests/bench/fuzzing.py --seconds 1800 [--only redactor] [--state fuzzing.json]

Each round gives every target some hundred inputs of a new seed. `--state` keeps counts and the next seed, so that a run
goes on where the last one stopped. A failure is printed with its seed and its smallest input, and kept in the state:
`--only NAME --seed N --seconds 1` repeats it. A round whose process grows beyond `--megabytes` ends the run.
"""

from __future__ import annotations

import argparse
import logging
import resource
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from fuzzed import TARGETS, Target
from hypothesis import HealthCheck, Phase, given, seed, settings

ROUND = 200
"""Inputs of a target in a round."""
SLOW_S = 5.0
"""Of the thread's own time: an input that takes longer is a failure."""


class Slow(AssertionError):
    """An input took too long."""


def timed(check: Callable[[Any], None], counted: dict[str, Any]) -> Callable[[Any], None]:
    def checked(value: Any) -> None:
        began = time.thread_time()
        check(value)
        took = time.thread_time() - began
        counted["inputs"] += 1
        counted["slowest_s"] = max(counted["slowest_s"], round(took, 3))
        if took > SLOW_S:
            raise Slow(f"{took:.1f} s")

    return checked


ALL_CHECKS: Any = tuple(HealthCheck)


def tried(target: Target, number: int, counted: dict[str, Any]) -> str:
    """One round of a target; what failed, or ""."""
    run = given(target.inputs)(timed(target.check, counted))
    quiet = settings(
        max_examples=ROUND,
        deadline=None,
        database=None,
        suppress_health_check=[*ALL_CHECKS],
        phases=(Phase.generate, Phase.shrink),
    )
    try:
        seed(number)(quiet(run))()
    except Exception:  # noqa: BLE001 - whatever it is, it is what is sought
        return traceback.format_exc(limit=-4)
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--only", choices=sorted(TARGETS), action="append")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--megabytes", type=int, default=2000)
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)
    state: dict[str, Any] = (
        orjson.loads(asked.state.read_bytes()) if asked.state and asked.state.exists() else {"seed": 0}
    )
    counts = state.setdefault("targets", {})
    failures = state.setdefault("failures", [])
    number, until = state["seed"] if asked.seed is None else asked.seed, time.monotonic() + asked.seconds
    while time.monotonic() < until:
        for name in asked.only or TARGETS:
            counted = counts.setdefault(name, {"inputs": 0, "slowest_s": 0.0, "failures": 0})
            if failed := tried(TARGETS[name], number, counted):
                counted["failures"] += 1
                failures.append({"target": name, "seed": number, "error": failed[-4000:]})
                print(f"{name}, seed {number}:\n{failed}", flush=True)
        number += 1
        state["seed"] = number
        state["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        if asked.state:
            asked.state.write_bytes(orjson.dumps(state, option=orjson.OPT_INDENT_2))
        if state["peak_mb"] > asked.megabytes:
            sys.exit(f"The process has grown to {state['peak_mb']} MB at seed {number - 1}.")
    for name, counted in counts.items():
        print(
            f"{name:10} {counted['inputs']:>9,} inputs, {counted['failures']} failed, slowest {counted['slowest_s']} s"
        )
    print(f"{number} rounds, {state['peak_mb']} MB at most")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
