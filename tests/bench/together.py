"""Kinds of specialist alone and together, on the same held-out calls of recorded tasks.

    python tests/bench/real_calls.py answers CALLS.jsonl[.gz] FOLDER TASK…    tune, and ask all held-out calls (resumes)
    python tests/bench/together.py FOLDER [--embedder packaged] [--json]

Each home in FOLDER has a tuned model's answers to its held-out calls, which are replayed. A head is made from the same
training rows. Four ways are compared: the head; the tuned model; the tuned model whose confidence may weigh the head's
opinion; and the head first, then on what it hands on the tuned model with its opinion, under one joint promise
(`loop.cascade`). "Chosen" is what keeps most validation calls of the first and the third, as `improve` goes on with.

Held-out calls are divided 20 times: as many for validation as the data set has, a fifth of the rest that take no part,
and the others pooled for the certificate (ε = δ = .05). Certified: the mean share of the pooled calls that is kept.
Wrong: of the kept among those that took no part. AUROC: of the confidences outside validation.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from protege import Workspace, serve
from protege.asking.confidence import OPINIONS, Scorer
from protege.asking.novelty import Novelty, novelty_from
from protege.certify import Certificate, Promise, decided, hindsight_coverage, refused
from protege.common.progress import Silent
from protege.evaluate import Judged, answer_all, rescored
from protege.evaluate.figures import auroc
from protege.evaluate.fitting import fit
from protege.loop.cascade import is_handed_on
from protege.loop.run import Run
from protege.loop.settings import Settings
from protege.loop.steps import curate, place, select, tune
from protege.loop.tasks import find_tasks
from protege.tune import TuneSettings
from real_calls import HELD_OUT, Replay, settings_for

EPSILON, DELTA = 0.05, 0.05
FRESH, DIVISIONS = 0.2, 20
ALONE, FIRST = Promise(EPSILON, DELTA), Promise(EPSILON, DELTA / 2, scanned=False)
SECOND = Promise(EPSILON, DELTA / 2)
HEAD, TUNED, ADVISED, CASCADE, CHOSEN = "head", "tuned", "tuned, second opinion", "head, then tuned", "chosen"

Answers: TypeAlias = Mapping[str, Judged]
"""By the call's id."""
Kept: TypeAlias = Callable[[str], bool | None]
"""Of a call's id: whether its kept answer agrees; None where it is handed back."""


@dataclass
class Tally:
    """Of one way, over all divisions."""

    certified: list[float] = field(default_factory=list[float])
    aurocs: list[float] = field(default_factory=list[float])
    kept: int = 0
    wrong: int = 0


@dataclass(frozen=True)
class Figures:
    """One task. agreement, hindsight: by kind, over all held-out calls; agrees: how often the head would say the same
    as the tuned model. weighed: in how many of the divisions the opinion entered the confidence."""

    task: str
    calls: int
    validation: int
    agreement: dict[str, float]
    agrees: float
    hindsight: dict[str, float]
    weighed: int
    certified: dict[str, float]
    aurocs: dict[str, float]
    kept: dict[str, int]
    wrong: dict[str, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--embedder", default="packaged")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    homes = sorted(home.parent for home in options.folder.glob("*/completions.jsonl"))
    found = [figures(home, options.embedder) for home in homes]
    print(json.dumps([asdict(one) for one in found]) if options.json else "\n".join(map(shown, found)))


def shown(one: Figures) -> str:
    agreement = ", ".join(f"{name} {share:.3f}" for name, share in one.agreement.items())
    lines = [f"{one.task}: {one.calls} held-out calls, {one.validation} of them for validation"]
    lines += [f"  agreement {agreement}; the head says the same in {one.agrees:.3f}; weighed in {one.weighed} of 20"]
    for way, coverage in one.certified.items():
        hindsight, rank = (f"{table[way]:.3f}" if way in table else "–" for table in (one.hindsight, one.aurocs))
        kept, wrong = one.kept[way], one.wrong[way]
        lines.append(
            f"  {way}: AUROC {rank}, in hindsight {hindsight}, certified {coverage:.3f}, wrong {wrong} of {kept} "
            f"({wrong / max(1, kept):.3f})"
        )
    return "\n".join(lines)


def figures(home: Path, embedder: str) -> Figures:
    by_head, advised, novelty, size = answered(home, embedder)
    alone = {call_id: without_opinion(one) for call_id, one in advised.items()}
    kinds: dict[str, Answers] = {HEAD: by_head, TUNED: alone, ADVISED: advised}
    tallies, weighed, chance = {way: Tally() for way in (*kinds, CASCADE, CHOSEN)}, 0, random.Random(home.name)
    for _ in range(DIVISIONS):
        ids = chance.sample(sorted(advised), len(advised))
        validation, rest = ids[:size], ids[size:]
        fresh, pooled = rest[: round(FRESH * len(rest))], rest[round(FRESH * len(rest)) :]
        scorers = {kind: fit([answers[i] for i in validation], novelty) for kind, answers in kinds.items()}
        scored = {kind: by_id(rescored(kinds[kind].values(), scorers[kind])) for kind in kinds}
        weighed += not {*scorers[ADVISED].weights}.isdisjoint(OPINIONS)
        worth = {kind: hindsight_coverage(of(scored[kind], validation), EPSILON) for kind in (HEAD, ADVISED)}
        best = max(worth, key=worth.__getitem__)  # of two alike the first, which is cheaper
        ways = {kind: kept_by(scored[kind], validation, pooled) for kind in kinds}
        ways |= {CASCADE: cascaded(scored[HEAD], advised, novelty, validation, pooled), CHOSEN: ways[best]}
        for way, keeps in ways.items():
            tally, took_no_part = tallies[way], [agreed for i in fresh if (agreed := keeps(i)) is not None]
            tally.certified.append(sum(keeps(i) is not None for i in pooled) / len(pooled))
            tally.kept += len(took_no_part)
            tally.wrong += took_no_part.count(False)
            if way in scored and (rank := auroc(of(scored[way], rest))) is not None:
                tally.aurocs.append(rank)
    return Figures(
        task=home.name,
        calls=len(advised),
        validation=size,
        agreement={kind: statistics.fmean(one.agreed for one in kinds[kind].values()) for kind in (HEAD, TUNED)},
        agrees=statistics.fmean((one.features or {}).get("agrees", 0.0) == 1 for one in advised.values()),
        hindsight={kind: hindsight_of(kinds[kind], novelty) for kind in kinds},
        weighed=weighed,
        certified={way: statistics.fmean(tally.certified) for way, tally in tallies.items()},
        aurocs={way: statistics.fmean(tally.aurocs) for way, tally in tallies.items() if tally.aurocs},
        kept={way: tally.kept for way, tally in tallies.items()},
        wrong={way: tally.wrong for way, tally in tallies.items()},
    )


def answered(home: Path, embedder: str) -> tuple[Answers, Answers, Novelty, int]:
    """What the head and the advised model answer to the held-out calls, with plain confidences; what training showed;
    and how many calls are for validation."""
    workspace = Workspace(home)
    task = find_tasks(workspace)[0]
    curated = curate(Run(workspace, task, settings_for(TuneSettings().steps), Silent()))
    tuned = next(one for one in workspace.specialists(task_id=task.id) if one.serve_as != "head")
    as_head = TuneSettings(method="head", form=tuned.form, embedder=embedder).decided()
    run = Run(workspace, task, Settings(serve_as="head", engine="head", tune=as_head), Silent())
    base, _, _ = select(run, curated)
    assert base is not None
    head = place(run, tune(run, curated, base))
    advised = serve.advised(workspace, replace(tuned, second_opinion=None), head)
    novelty = novelty_from(task, tuned.form, curated.examples("train"))
    scorer, examples = Scorer.plain(novelty), [one for part in HELD_OUT for one in curated.examples(part)]
    heads, replay = serve.open_engine(workspace, head), Replay(home / "completions.jsonl")
    by_head = answer_all(heads, head, task, examples, scorer=scorer)
    adviser = serve.adviser(workspace, advised)
    by_model = answer_all(replay, advised, task, examples, scorer=scorer, adviser=adviser)
    workspace.close()
    return by_id(by_head), by_id(by_model), novelty, len(curated.examples("validation"))


def by_id(judged: Sequence[Judged]) -> Answers:
    return {one.call_id: one for one in judged}


def of(answers: Answers, ids: Sequence[str]) -> list[Judged]:
    return [answers[i] for i in ids]


def without_opinion(one: Judged) -> Judged:
    features = None if one.features is None else {n: v for n, v in one.features.items() if n not in OPINIONS}
    return replace(one, features=features)


def hindsight_of(answers: Answers, novelty: Novelty) -> float:
    """Where all of the calls fitted the confidence, and chose the threshold."""
    judged = list(answers.values())
    return hindsight_coverage(rescored(judged, fit(judged, novelty)), EPSILON)


def kept_by(answers: Answers, validation: Sequence[str], pooled: Sequence[str]) -> Kept:
    return keeping(answers, certified(of(answers, validation), of(answers, pooled), ALONE).threshold)


def certified(validation: Sequence[Judged], pooled: Sequence[Judged], promise: Promise) -> Certificate:
    return refused(validation, len(pooled), promise) or decided(pooled, validation, promise)


def keeping(answers: Answers, threshold: float | None) -> Kept:
    def kept(call_id: str) -> bool | None:
        one = answers[call_id]
        return one.agreed if threshold is not None and one.kept_at(threshold) else None

    return kept


def cascaded(
    first: Answers, second: Answers, novelty: Novelty, validation: Sequence[str], pooled: Sequence[str]
) -> Kept:
    """The first by the fixed sequence, the second by the scan on what the first hands on; each with half of δ."""
    certificate = certified(of(first, validation), of(first, pooled), FIRST)
    own = keeping(first, certificate.threshold)
    if certificate.threshold is None:  # there is no first, so there is no cascade
        return own
    below = certificate.failed or 0.0
    handed = [[i for i in ids if is_handed_on(first[i], below)] for ids in (validation, pooled)]
    scorer = fit(of(second, handed[0]), novelty)
    scored = by_id(rescored(second.values(), scorer))
    theirs = keeping(scored, certified(of(scored, handed[0]), of(scored, handed[1]), SECOND).threshold)

    def kept(call_id: str) -> bool | None:
        if (agreed := own(call_id)) is not None:
            return agreed
        return theirs(call_id) if is_handed_on(first[call_id], below) else None

    return kept


if __name__ == "__main__":
    main()
