"""Heads on recorded calls: agreement on rows they never saw, coverage in hindsight, milliseconds, seconds, bytes.

    python tests/bench/heads.py FILE.jsonl[.gz]… [--embedder none] [--train 450] [--splits 5] [--task T]… [--json]

Rows are grouped by their field `task`, by which nothing that is measured picks anything. A head is shown all messages
but the system's. --embedder: as for `protege improve`; whether it is used is chosen on training rows. "In hindsight" is
the largest share of the test rows that some threshold keeps with at most 5% wrong.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from protege.chat.answer import answer_text
from protege.chat.prompt import as_messages, render
from protege.common.progress import Silent
from protege.embedding import NONE, embedder_named
from protege.errors import CannotRender, NotClosed
from protege.heads import FILE, NGRAMS, read, shown_of, write
from protege.tune.methods.choosing import taught
from protege.tune.methods.head import Shown, ways_for
from threadpoolctl import threadpool_limits

EPSILON = 0.05


@dataclass(frozen=True)
class Figures:
    """Of one division of a task's rows. embedded: whether an embedding is used. answer_ms: the median; p95_ms: the 95th
    percentile. Both in one thread, the embedding included."""

    answers: str
    embedded: bool
    agreement: float
    hindsight: float
    answer_ms: float
    p95_ms: float
    seconds: float
    size: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--embedder", default="none")
    parser.add_argument("--task", action="append", default=[])
    parser.add_argument("--train", type=int, default=450)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    told: dict[str, Any] = {}
    for task, rows in sorted(tasks_in(options.files).items()):
        if options.task and task not in options.task:
            continue
        try:
            figures = [measured(rows, seed, options.train, options.embedder) for seed in range(options.splits)]
        except NotClosed as error:
            told[task] = error.fact
            line = error.fact
        else:
            told[task] = [asdict(one) for one in figures]
            line = summary(figures)
        if not options.json:
            print(f"{task}: {line}", flush=True)
    if options.json:
        print(json.dumps(told))


def tasks_in(files: Sequence[Path]) -> dict[str, list[Shown]]:
    tasks: dict[str, list[Shown]] = defaultdict(list)
    for row in rows_of(files):
        messages = [message for message in row["messages"] if message["role"] != "system"]
        try:
            prompt = render(NGRAMS, as_messages(messages))
        except CannotRender:
            continue
        tasks[row["task"]].append(Shown(prompt, answer_text(row["response"])))
    return tasks


def rows_of(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for file in files:
        with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as lines:
            yield from map(json.loads, lines)


def measured(rows: Sequence[Shown], seed: int, count: int, name: str) -> Figures:
    shuffled = random.Random(seed).sample(rows, len(rows))
    train, test = shuffled[:count], shuffled[count:]
    embeds = None if name == NONE else embedder_named(name)
    if embeds is not None:
        embeds.embed("ready?", timeout_s=60)
    began_s = time.perf_counter()
    prompts = [row.prompt for row in train]
    with threadpool_limits(1, "blas"):
        head, learnt = taught(prompts, ways_for([row.answer for row in train]), 17, Silent(), embeds, name)
    seconds = time.perf_counter() - began_s
    with tempfile.TemporaryDirectory() as folder:
        write(head, Path(folder) / FILE)
        body = (Path(folder) / FILE).read_bytes()
    served, right, sure, times = read(body), list[bool](), list[float](), list[float]()
    near = served.near
    for row in test:
        began_s = time.perf_counter()
        vector = None if near is None or embeds is None else embeds.embed(shown_of(row.prompt, near.ends), timeout_s=60)
        chosen = served.answer(row.prompt, vector)
        times.append(time.perf_counter() - began_s)
        right.append(chosen.text == row.answer)
        sure.append(sum(chosen.logprobs))
    answer_ms, p95_ms = 1000 * np.percentile(times, [50, 95])
    hindsight = in_hindsight(right, sure)
    agreement, embedded = statistics.fmean(right), near is not None
    return Figures(learnt.way.name, embedded, agreement, hindsight, answer_ms, p95_ms, seconds, len(body))


def in_hindsight(right: Sequence[bool], sure: Sequence[float]) -> float:
    order = np.argsort(-np.array(sure), kind="stable")
    wrong = np.cumsum(~np.array(right)[order])
    kept = np.arange(1, len(order) + 1)
    return float(max([0, *kept[wrong <= EPSILON * kept]])) / len(order)


def summary(figures: Sequence[Figures]) -> str:
    def mean(name: str) -> float:
        return statistics.fmean(getattr(one, name) for one in figures)

    lowest, highest = min(one.agreement for one in figures), max(one.agreement for one in figures)
    by = f"{figures[0].answers}, embedded in {sum(one.embedded for one in figures)} of {len(figures)}"
    return (
        f"{by}; agreement {mean('agreement'):.3f} ({lowest:.3f}–{highest:.3f}), in hindsight {mean('hindsight'):.2f}, "
        f"{mean('answer_ms'):.2f} ms (p95 {mean('p95_ms'):.2f}), {mean('seconds'):.1f} s, "
        f"{mean('size') / 2**20:.1f} MiB"
    )


if __name__ == "__main__":
    main()
