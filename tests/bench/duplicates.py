"""Near-duplicates among many calls: python tests/bench/duplicates.py PATH [--sizes N …] [--curate] [--odd]

PATH is a file of calls (.jsonl or .jsonl.gz). Synthetic calls are made from it: the words of each last message are
varied by a fixed seed, one call in ten is a repeat, two in ten are near-duplicates with a word or two replaced, the
others have half of their words replaced. Each size runs in a process of its own. Prints: calls, characters in all,
seconds to find the near-duplicates and to group them, microseconds a call, peak memory of the process and the part of
it that the texts take, groups, the largest group, and the share of the planted near-duplicates whose original is in
their group, counted where no more than a fifth of the pieces was touched.

--curate measures all of `curate` in the place of that, but for the search for personal data; texts are the slots of one
task. --odd measures what is unlike any traffic: all the same, the same but for a number, all different, 20 families of
near-duplicates, 5 MB each, base64, lone surrogates.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import random
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
from protege.call import Call, Request, text_of
from protege.curate import curate
from protege.curate.near import ALIKE, components, near_pairs
from protege.redact import RedactionPolicy
from protege.task import Task, Template

SIZES = (10_000, 100_000, 1_000_000)
WORD = re.compile(r"\w+")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--curate", action="store_true")
    parser.add_argument("--odd", action="store_true")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # measure in this process
    options = parser.parse_args()
    if options.odd:
        odd()
    elif options.here:
        measure = whole if options.curate else near
        measure(*synthetic(options.path, options.sizes[0], options.seed))
    else:
        for size in options.sizes:
            own = [sys.executable, __file__, str(options.path), "--here", "--sizes", str(size)]
            own += ["--seed", str(options.seed)] + ["--curate"] * options.curate
            subprocess.run(own, check=True)


def synthetic(path: Path, size: int, seed: int) -> tuple[list[str], list[tuple[int, int]]]:
    """Texts, and which of them (copy, original) differ in so little that they must be found."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        recorded = [text_of(orjson.loads(line)["messages"][-1]).casefold() for line in file]
    vocabulary = sorted({word for text in recorded for word in WORD.findall(text)})
    draw = random.Random(seed)
    texts: list[str] = []
    planted: list[tuple[int, int]] = []
    while len(texts) < size:
        kind, earlier = draw.random(), draw.randrange(len(texts)) if texts else 0
        if not texts or kind >= 0.3:
            texts.append(varied(draw.choice(recorded), 0.5, vocabulary, draw))
        elif kind < 0.1:
            texts.append(texts[earlier])
        else:
            share = min(2 / max(1, len(WORD.findall(texts[earlier]))), 0.5)
            texts.append(varied(texts[earlier], share, vocabulary, draw))
            if similarity(texts[earlier], texts[-1]) >= 0.8:
                planted.append((len(texts) - 1, earlier))
    return texts, planted


def varied(text: str, share: float, vocabulary: list[str], draw: random.Random) -> str:
    return WORD.sub(lambda found: draw.choice(vocabulary) if draw.random() < share else found[0], text)


def similarity(one: str, other: str) -> float:
    """Jaccard of the pieces, exactly."""
    first, second = ({f"   {t}   "[i : i + 4] for i in range(len(t) + 3)} for t in (one, other))
    return len(first & second) / len(first | second)


def near(texts: list[str], planted: list[tuple[int, int]]) -> None:
    near_pairs(texts[:100])  # the libraries load before the clock runs
    before = peak_mb()
    start = time.perf_counter()
    pairs = near_pairs(texts)
    groups = components(len(texts), *pairs.above(ALIKE))
    seconds = time.perf_counter() - start
    sizes = sorted(map(len, grouped(groups.tolist()).values()))
    found = sum(groups[copy] == groups[original] for copy, original in planted) / max(1, len(planted))
    print(
        f"{len(texts):>9,} calls  {sum(map(len, texts)) / 1e6:>7.1f} M characters  {seconds:>6.1f} s  "
        f"{seconds / len(texts) * 1e6:>6.1f} µs/call  {peak_mb():>5.0f} MB ({before:.0f} before)  "
        f"{len(sizes):>7,} groups  largest {sizes[-1]}  {found:.4f} of {len(planted):,} planted",
        flush=True,
    )


def grouped(labels: list[int]) -> dict[int, list[int]]:
    groups: dict[int, list[int]] = {}
    for position, label in enumerate(labels):
        groups.setdefault(label, []).append(position)
    return groups


def whole(texts: list[str], _planted: list[tuple[int, int]]) -> None:
    task = Task(id="t", name="t", kind="label", templates=(Template("s"),))
    # redaction.py measures how long the search for personal data takes.
    nothing = RedactionPolicy(types=frozenset(), model=False)
    curate(task, calls(texts[:500]), policy=nothing)
    made = calls(texts)
    before = peak_mb()
    start = time.perf_counter()
    provenance = curate(task, made, policy=nothing).provenance
    seconds = time.perf_counter() - start
    print(
        f"{len(texts):>9,} calls  {seconds:>6.1f} s  {seconds / len(texts) * 1e6:>6.1f} µs/call  "
        f"{peak_mb():>5.0f} MB ({before:.0f} before)  {provenance['counts']}  {provenance['duplicates']}",
        flush=True,
    )


def calls(texts: list[str]) -> list[Call]:
    answers = [{"role": "assistant", "content": answer} for answer in ("yes", "no")]
    return [
        Call(
            id=f"c{i:07}",
            request=Request(({"role": "user", "content": text},)),
            response=answers[len(text) % 2],
        )
        for i, text in enumerate(texts)
    ]


def odd() -> None:
    draw = random.Random(0)
    bases = [" ".join(draw.randbytes(3).hex() for _ in range(40)) for _ in range(20)]
    kinds: dict[str, Callable[[], Iterator[str]]] = {
        "the same": lambda: ("where is my parcel, please?" for _ in range(200_000)),
        "but for a number": lambda: (f"{'where is my parcel ' * 5}{i}" for i in range(200_000)),
        "all different": lambda: (draw.randbytes(40).hex() for _ in range(200_000)),
        "20 families": lambda: (f"{bases[i % 20]} {draw.random()}" for i in range(200_000)),
        "5 MB each": lambda: (" ".join(str(draw.random()) for _ in range(270_000)) for _ in range(20)),
        "base64 of 100 KB": lambda: (base64.b64encode(draw.randbytes(100_000)).decode() for _ in range(1_000)),
        "lone surrogates": lambda: (f"{i} \ud800 \udfff" * 10 for i in range(100_000)),
    }
    for name, make in kinds.items():
        print(f"{name:>17}: ", end="")
        near(list(make()), [])


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
