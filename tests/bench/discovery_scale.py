"""Discovery of many calls: python tests/bench/discovery_scale.py PATH… [--sizes 10000 100000 1000000] [--tasks 50]

PATHS are files of calls whose rows hold `task`. Calls are made from those of the most frequent tasks as they are asked
for, each task as often, with other numbers and words in the last message; none is kept. Prints for each number of
calls: seconds that discovery takes, in which the calls are made twice, seconds that making them once takes, peak
memory of the process so far, tasks found, V-measure, adjusted Rand, share without a task, and microseconds that an
assignment takes.
"""

from __future__ import annotations

import argparse
import random
import re
import resource
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from discovery import assign_us, read
from protege import Call
from protege.call import text_of
from protege.cluster import discover

_NUMBER = re.compile(r"\d+")
_VARIED = 400
"""Characters at the end of a message in which numbers are changed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--sizes", type=int, nargs="*", default=(10_000, 100_000, 1_000_000))
    parser.add_argument("--tasks", type=int, default=50)
    options = parser.parse_args()
    by_task: dict[str, list[Call]] = defaultdict(list)
    for path in options.paths:
        for call, kind in read(path):
            by_task[kind].append(call)
    kinds = sorted(by_task, key=lambda kind: (-len(by_task[kind]), kind))[: options.tasks]
    pool = {kind: by_task[kind] for kind in kinds}
    words = sorted({w for calls in pool.values() for c in calls[:200] for w in _last_text(c).split()[-20:]})
    discover(list(made(pool, words, 500)))  # the libraries load before the clock runs
    print("     calls  discovery s  making s      MB  tasks       V     ARI    none      µs  p99 µs")
    for size in options.sizes:
        print(figures(pool, words, size), flush=True)


def figures(pool: Mapping[str, Sequence[Call]], words: Sequence[str], size: int) -> str:
    from sklearn.metrics import adjusted_rand_score, v_measure_score

    start = time.perf_counter()
    for _ in made(pool, words, size):
        pass
    making = time.perf_counter() - start
    start = time.perf_counter()
    found = discover(lambda: made(pool, words, size))
    seconds = time.perf_counter() - start
    kinds = list(pool)
    truth = [kinds[n % len(kinds)] for n in range(size)]
    given = [found.assignment[_id(n)] or "none" for n in range(size)]
    median, p99 = assign_us(found, list(made(pool, words, 3_000)))
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return (
        f"{size:>10,}  {seconds:>11.1f}  {making:>8.1f}  {memory_mb:>6}"
        f"  {len(found.tasks):>5}  {v_measure_score(truth, given):.4f}  {adjusted_rand_score(truth, given):.4f}"
        f"  {given.count('none') / size:>6.2%}  {median:>6.0f}  {p99:>6.0f}"
    )


def made(pool: Mapping[str, Sequence[Call]], words: Sequence[str], size: int) -> Iterator[Call]:
    """The same calls each time, none of them held."""
    kinds = list(pool.values())
    chance = random.Random(0)
    for n in range(size):
        calls = kinds[n % len(kinds)]
        yield varied(calls[(n // len(kinds)) % len(calls)], n, words, chance)


def varied(call: Call, number: int, words: Sequence[str], chance: random.Random) -> Call:
    """The call with other numbers and two more words in its last message."""
    *before, last = call.request.messages
    text = text_of(last)
    if isinstance(last.get("content"), str) and text:
        end = _NUMBER.sub(lambda match: str(chance.randrange(10 ** len(match[0][:9]))), text[-_VARIED:])
        start, _, word = (text[:-_VARIED] + end).rpartition(" ")
        last = {**last, "content": f"{start} {chance.choice(words)} {number} {word}"}
    request = replace(call.request, messages=(*before, last))
    return replace(call, id=_id(number), request=request)


def _last_text(call: Call) -> str:
    return text_of(call.request.messages[-1])


def _id(number: int) -> str:
    return f"made-{number:07}"


if __name__ == "__main__":
    main()
