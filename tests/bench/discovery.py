"""Discovery against an answer key: python tests/bench/discovery.py PATH [--seed N]

PATH is a file of calls (.jsonl or .jsonl.gz) whose rows hold `task`, which discovery never sees. Prints for growing
samples: seconds, peak memory of the process so far, V-measure, adjusted Rand (calls without a task as one kind of their
own, and each alone), the share without a task, microseconds that one request's assignment takes, the share of calls
that a template covers, and mean characters of the whole prompt and of its slots.
"""

from __future__ import annotations

import argparse
import gzip
import random
import resource
import time
from collections.abc import Sequence
from pathlib import Path

import orjson
from protege import Call
from protege.call import Message, text_of
from protege.cluster import Assigner, Discovery, discover

SIZES = (200, 1_000, 6_000, 20_000, 100_000, 1_000_000)
COLUMNS = (
    "calls",
    "kinds",
    "tasks",
    "s",
    "MB",
    "V",
    "ARI",
    "V alone",
    "ARI alone",
    "none",
    "µs",
    "p99 µs",
    "cover",
    "chars",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeat", type=int, default=1, help="read the file so many times over, under new ids")
    options = parser.parse_args()
    rows = read(options.path)
    pool = [(call.with_id(f"{call.id}-{n}") if n else call, kind) for n in range(options.repeat) for call, kind in rows]
    random.Random(options.seed).shuffle(pool)
    discover([call for call, _ in pool[:50]])  # the libraries load before the clock runs
    print("  ".join(f"{name:>9}" for name in COLUMNS))
    for size in sorted({min(size, len(pool)) for size in SIZES}):
        print("  ".join(f"{cell:>9}" for cell in figures(pool[:size])), flush=True)


def read(path: Path) -> list[tuple[Call, str]]:
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        rows = [orjson.loads(line) for line in file]
    return [(Call.from_record(row, default_id=f"row-{n:06}"), row["task"]) for n, row in enumerate(rows)]


def figures(pool: Sequence[tuple[Call, str]]) -> list[str]:
    from sklearn.metrics import adjusted_rand_score, v_measure_score

    calls = [call for call, _ in pool]
    truth = [kind for _, kind in pool]
    start = time.perf_counter()
    found = discover(calls)
    seconds = time.perf_counter() - start
    together = [found.assignment[call.id] or "none" for call in calls]
    alone = [found.assignment[call.id] or call.id for call in calls]
    median, p99 = assign_us(found, calls[:3_000])
    cover, whole, slots = coverage(found, calls)
    return [
        f"{len(calls)}",
        f"{len(set(truth))}",
        f"{len(found.tasks)}",
        f"{seconds:.1f}",
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}",
        *(
            f"{measure(truth, given):.4f}"
            for given in (together, alone)
            for measure in (v_measure_score, adjusted_rand_score)
        ),
        f"{together.count('none') / len(calls):.2%}",
        f"{median:.0f}",
        f"{p99:.0f}",
        f"{cover:.3f}",
        f"{whole:.0f}→{slots:.0f}",
    ]


def assign_us(found: Discovery, calls: Sequence[Call]) -> tuple[float, float]:
    """Median and 99th percentile of one assignment, microseconds; fails where it differs from discovery's."""
    assigner = Assigner(found.tasks)
    times: list[float] = []
    for call in calls:
        start = time.perf_counter()
        task = assigner.assign(call.request)
        times.append((time.perf_counter() - start) * 1e6)
        assert (task.id if task else None) == found.assignment[call.id]
    times.sort()
    return times[len(times) // 2], times[int(0.99 * len(times))]


def coverage(found: Discovery, calls: Sequence[Call]) -> tuple[float, float, float]:
    """Share of calls that a template of their task fits, and their mean characters whole and as slots."""
    tasks = {task.id: task for task in found.tasks}
    fitting = 0
    whole = slots = 0
    for call in calls:
        task = tasks.get(found.assignment[call.id] or "")
        kept = next((s for t in task.templates if (s := t.slots(call.request)) is not None), None) if task else None
        if kept is not None:
            fitting += 1
            whole += chars(call.request.messages)
            slots += chars(kept)
    return fitting / len(calls), whole / max(1, fitting), slots / max(1, fitting)


def chars(messages: Sequence[Message]) -> int:
    return sum(len(text_of(message)) for message in messages)


if __name__ == "__main__":
    main()
