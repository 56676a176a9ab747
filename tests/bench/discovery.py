"""Discovery against an answer key: python tests/bench/discovery.py PATH [--as VARIANT] [--seed N]

PATH is a file of calls (.jsonl or .jsonl.gz) whose rows hold `task`, which discovery never sees. VARIANT: the calls as
they are, or changed (see variants.py). Prints for growing samples: seconds, peak memory of the process so far,
V-measure, adjusted Rand (calls without a task as one kind of their own, and each alone), the share without a task,
microseconds that one request's assignment takes, the share of calls that a template covers, and mean characters of the
whole prompt and of its slots. Then, of tasks found in four fifths of the calls, V-measure, adjusted Rand and share
without a task on the others. --grow: a fifth, half and all of the calls in turn, each with the tasks found before; the
share of calls that keep their task. --show lists what each kind became.
"""

from __future__ import annotations

import argparse
import gzip
import random
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import orjson
from protege import Call
from protege.call import Message, text_of
from protege.cluster import Assigner, Discovery, discover
from variants import VARIANTS

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
    parser.add_argument("--as", dest="variant", choices=VARIANTS, default="plain")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--show", action="store_true", help="which tasks each kind's calls went to")
    parser.add_argument("--grow", action="store_true", help="whether calls keep their task as more come")
    options = parser.parse_args()
    rows = VARIANTS[options.variant](read(options.path), options.seed)
    pool = [(call.with_id(f"{call.id}-{n}") if n else call, kind) for n in range(options.repeat) for call, kind in rows]
    random.Random(options.seed).shuffle(pool)
    discover([call for call, _ in pool[:50]])  # the libraries load before the clock runs
    print("  ".join(f"{name:>9}" for name in COLUMNS))
    for size in sorted({min(size, len(pool)) for size in options.sizes}):
        print("  ".join(f"{cell:>9}" for cell in figures(pool[:size])), flush=True)
    print(unseen(pool))
    if options.grow:
        grow([call for call, _ in pool])
    if options.show:
        show(pool)


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


def unseen(pool: Sequence[tuple[Call, str]]) -> str:
    """Tasks found in four fifths, the others assigned by their requests alone."""
    from sklearn.metrics import adjusted_rand_score, v_measure_score

    known, new = pool[: len(pool) * 4 // 5], pool[len(pool) * 4 // 5 :]
    assigner = Assigner(discover([call for call, _ in known]).tasks)
    given = [task.id if (task := assigner.assign(call.request)) else "none" for call, _ in new]
    truth = [kind for _, kind in new]
    v, ari = v_measure_score(truth, given), adjusted_rand_score(truth, given)
    return f"unseen: {len(new)} calls, V {v:.4f}, ARI {ari:.4f}, none {given.count('none') / len(new):.2%}"


def grow(calls: Sequence[Call]) -> None:
    """A fifth, half and all of the calls in turn: how many of those seen before keep their task."""
    before = discover(calls[: len(calls) // 5])
    for part in (len(calls) // 2, len(calls)):
        after = discover(calls[:part], before.tasks)
        same = sum(after.assignment[i] == task for i, task in before.assignment.items())
        kept = len({t.id for t in before.tasks} & {t.id for t in after.tasks})
        print(
            f"{len(before.assignment)} → {part} calls: {same / len(before.assignment):.2%} keep their task; "
            f"{kept} of {len(before.tasks)} tasks live on, {len(after.tasks) - kept} new"
        )
        before = after


def show(pool: Sequence[tuple[Call, str]]) -> None:
    found = discover([call for call, _ in pool])
    names = {task.id: task.name for task in found.tasks}
    became: dict[str, Counter[str]] = defaultdict(Counter)
    for call, kind in pool:
        became[kind][names.get(found.assignment[call.id] or "", "none")] += 1
    for kind, counts in sorted(became.items()):
        print(f"{kind}: " + ", ".join(f"{name} {n}" for name, n in counts.most_common()))


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
