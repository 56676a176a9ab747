"""Heads and taggers on recorded calls: agreement on rows they never saw, coverage in hindsight and certified, times.

    python tests/bench/heads.py FILE.jsonl[.gz]… [--kind head] [--embedder none] [--train 450] [--splits 5] [--task T]…
                                                 [--json]
    python tests/bench/heads.py FILE.jsonl[.gz]… --planted .05 [--embedder none] [--train 450] [--task T]… [--json]

Rows are grouped by their field `task`, by which nothing that is measured picks anything. A head is shown all messages
but the system's. --embedder: as for `protege improve`; whether it is used is chosen on training rows. "In hindsight" is
the largest share of the test rows that some threshold keeps with at most 5% wrong. "Certified" is what the program's
own rule keeps, on average over 20 divisions of the test rows: 40 for validation, the others pooled for the certificate
(ε = δ = .05). "Wrong" is the share of kept answers that disagree among a fifth of the test rows, after certificates in
which those took no part. Times are of one core, so that a busy machine changes them little.

With --planted that share of the training answers is replaced by others of the task, and all that is told is how many
answers look wrong, and how many of the planted are among them.
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
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from protege.asking.confidence import Scorer, features_of
from protege.certify import Promise, refused_early, scan
from protege.chat.answer import answer_text
from protege.chat.prompt import as_messages, render
from protege.common.progress import Silent
from protege.embedding import NONE, embedder_named
from protege.errors import CannotRender, NotClosed
from protege.evaluate import Judged, rescored
from protege.evaluate.fitting import fit
from protege.heads import FILE, NGRAMS, read, write
from protege.heads.tagger_file import to_bytes
from protege.serve.engine import Completion
from protege.tune import TuneSettings
from protege.tune.methods import tagger as tagging
from protege.tune.methods.choosing import taught
from protege.tune.methods.head import Shown, ways_for
from threadpoolctl import threadpool_limits

EPSILON, DELTA = 0.05, 0.05
VALIDATION, FRESH, DIVISIONS = 40, 0.2, 20
TIMED = 60
"""Answers of a division whose time is taken."""


@dataclass(frozen=True)
class Figures:
    """Of one division of a task's rows. embedded: whether an embedding is used. certified: mean coverage. kept, wrong:
    answers that took no part in their certificates, over all divisions. answer_ms, p95_ms: the embedding included."""

    answers: str
    embedded: bool
    agreement: float
    hindsight: float
    certified: float
    kept: int
    wrong: int
    answer_ms: float
    p95_ms: float
    seconds: float
    size: int


class Remembering:
    """An embedder that embeds each text once."""

    def __init__(self, name: str) -> None:
        self.real: Any = embedder_named(name)
        self.identity = self.real.identity
        self._vectors: dict[str, Any] = {}

    def embed(self, text: str, *, timeout_s: float) -> Any:
        if text not in self._vectors:
            self._vectors[text] = self.real.embed(text, timeout_s=timeout_s)
        return self._vectors[text]

    def embed_spans(self, text: str, spans: Any, *, timeout_s: float) -> Any:
        return self.real.embed_spans(text, spans, timeout_s=timeout_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--kind", choices=("head", "tagger"), default="head")
    parser.add_argument("--embedder", default="none")
    parser.add_argument("--task", action="append", default=[])
    parser.add_argument("--train", type=int, default=450)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--planted", type=float, default=0.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    told: dict[str, Any] = {}
    name = options.embedder
    embeds = None if name == NONE else Remembering(name)
    for task, rows in sorted(tasks_in(options.files).items()):
        if options.task and task not in options.task:
            continue
        if options.planted:
            told[task] = noise(rows, options.train, options.planted, name, embeds)
            if not options.json:
                print(f"{task}: {told[task]}", flush=True)
            continue
        try:
            figures = [
                measured(rows, seed, options.train, name, embeds, options.kind) for seed in range(options.splits)
            ]
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


def measured(rows: Sequence[Shown], seed: int, count: int, name: str, embeds: Any, kind: str) -> Figures:
    shuffled = random.Random(seed).sample(rows, len(rows))
    train, test = shuffled[:count], shuffled[count:]
    began_s = time.process_time()
    with threadpool_limits(1, "blas"):
        body, answers = taught_tagger(train, name) if kind == "tagger" else taught_head(train, name, embeds)
    seconds = time.process_time() - began_s
    served = read(body)
    judged = answered(served, test, embeds)
    right, sure = [one.agreed for one in judged], [(one.features or {})["sum"] for one in judged]
    certified, kept, wrong = divided(judged, seed)
    answer_ms, p95_ms = 1000 * np.percentile(times(served, test[:TIMED], embeds), [50, 95])
    return Figures(
        answers=answers,
        embedded=served.taught_by is not None,
        agreement=statistics.fmean(right),
        hindsight=in_hindsight(right, sure),
        certified=certified,
        kept=kept,
        wrong=wrong,
        answer_ms=answer_ms,
        p95_ms=p95_ms,
        seconds=seconds,
        size=len(body),
    )


def taught_head(train: Sequence[Shown], name: str, embeds: Any) -> tuple[bytes, str]:
    """A head's file, and the way in which it takes answers apart."""
    ways = ways_for([row.answer for row in train])
    head, learnt = taught([row.prompt for row in train], ways, 17, Silent(), embeds, name)
    with tempfile.TemporaryDirectory() as folder:
        write(head, Path(folder) / FILE)
        return (Path(folder) / FILE).read_bytes(), learnt.way.name


def taught_tagger(train: Sequence[Shown], name: str) -> tuple[bytes, str]:
    """A tagger's file, and how many fields it copies."""
    settings = TuneSettings(method="tagger", embedder=name)
    tagger, figures = tagging.learnt([tagging.read(row) for row in train], settings, Silent(), "")
    return to_bytes(tagger), f"{len(figures['fields'])} fields copied"


def noise(rows: Sequence[Shown], count: int, share: float, name: str, embeds: Any) -> dict[str, int] | str:
    """Answers that look wrong, and how many of the planted are among them."""
    chance, train = random.Random(1), random.Random(0).sample(rows, count)
    answers = sorted({row.answer for row in train})
    planted = set(chance.sample(range(count), round(share * count)))
    other = {answer: [one for one in answers if one != answer] for answer in answers}
    given = [replace(r, answer=chance.choice(other[r.answer])) if at in planted else r for at, r in enumerate(train)]
    try:
        with threadpool_limits(1, "blas"):
            ways = ways_for([row.answer for row in given])
            _, learnt = taught([row.prompt for row in given], ways, 17, Silent(), embeds, name)
    except NotClosed as error:
        return error.fact
    told = np.flatnonzero(learnt.doubts > 0).tolist()
    return {"look wrong": len(told), "planted": len(planted), "planted that look wrong": len(planted & set(told))}


def text_of(prompt: str) -> str:
    return prompt.rpartition("\x1f")[2]


def vector_for(served: Any, prompt: str, embeds: Any) -> Any:
    return served.seen(prompt, embeds, timeout_s=60) if served.taught_by else None


def answered(served: Any, test: Sequence[Shown], embeds: Any) -> list[Judged]:
    judged: list[Judged] = []
    for row in test:
        chosen = served.answer(row.prompt, vector_for(served, row.prompt, embeds))
        said = Completion(
            chosen.text, chosen.pieces, chosen.logprobs, "stop", chosen.words, 1, 0.0, runners_up=chosen.runners_up
        )
        features = features_of(said, "label" if chosen.text[:1] != "{" else "json", text_of(row.prompt))
        agreed, confidence = json_or_text(chosen.text) == json_or_text(row.answer), Scorer.plain().confidence(features)
        judged.append(Judged("", "", chosen.text, row.answer, agreed, confidence, True, features=features))
    return judged


def json_or_text(answer: str) -> Any:
    """What two answers are compared by: of JSON the order of keys says nothing."""
    try:
        return json.loads(answer)
    except ValueError:
        return answer


def divided(judged: Sequence[Judged], seed: int) -> tuple[float, int, int]:
    """Certified coverage, the mean over divisions; and of the rows that took no part the kept, and the wrong ones."""
    promise, chance, coverages = Promise(EPSILON, DELTA), random.Random(f"divided {seed}"), list[float]()
    kept = wrong = 0
    for _ in range(DIVISIONS):
        drawn = chance.sample(judged, len(judged))
        validation, pooled = drawn[:VALIDATION], drawn[VALIDATION:]
        scorer = fit(validation)
        validation, pooled = rescored(validation, scorer), rescored(pooled, scorer)
        early = refused_early(validation, promise)
        coverages.append((early or scan(pooled, promise)).coverage)
        fresh = round(FRESH * len(pooled))
        threshold = (early or scan(pooled[fresh:], promise)).threshold
        those = [one for one in pooled[:fresh] if threshold is not None and one.kept_at(threshold)]
        kept, wrong = kept + len(those), wrong + sum(not one.agreed for one in those)
    return statistics.fmean(coverages), kept, wrong


def times(served: Any, test: Sequence[Shown], embeds: Any) -> list[float]:
    """Seconds of this thread that answers take."""
    taken: list[float] = []
    for row in test:
        began_s = time.thread_time()
        served.answer(row.prompt, None if embeds is None else vector_for(served, row.prompt, embeds.real))
        taken.append(time.thread_time() - began_s)
    return taken


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
    kept, wrong = sum(one.kept for one in figures), sum(one.wrong for one in figures)
    return (
        f"{by}; agreement {mean('agreement'):.3f} ({lowest:.3f}–{highest:.3f}), in hindsight {mean('hindsight'):.2f}, "
        f"certified {mean('certified'):.2f}, wrong {wrong / max(1, kept):.3f} of {kept}; {mean('answer_ms'):.2f} ms "
        f"(p95 {mean('p95_ms'):.2f}), {mean('seconds'):.1f} s, {mean('size') / 2**20:.1f} MiB"
    )


if __name__ == "__main__":
    main()
