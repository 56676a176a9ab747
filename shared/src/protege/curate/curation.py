"""The curation itself: masked, filtered, split, and counted.

What may be left out of which part decides what the guarantee speaks of. A route sees all calls of its task, and it
asks the specialist about every one that it can show it. So validation, calibration and test lose only

- calls that a route hands to the teacher whatever a specialist would say: another wording, content that is not text;
- calls without a teacher's answer to compare with: failed, cut off, empty, or answered by a specialist;
- calls that a specialist was asked first and handed back: they are the hard ones, no fair sample. They train.

A broken, rare or contradictory answer of the teacher stays there: the specialist will meet such calls too, and
disagreement with them is disagreement. Out of train alone fall answers without the task's structure, repeats, answers
that contradict each other for one prompt, and what exceeds the size cap. One row a prompt is kept: tuning sees little
more than a thousand rows, and a repeat takes the place of a prompt that is not known yet.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import orjson

from ..call import Call
from ..errors import BadInput, NotEnoughCalls
from ..task import Task
from .curated import PARTS, Curated, made
from .rows import COMPARED, Row, canonical, has_structure, row_from
from .split import Quotas, split


@dataclass(frozen=True, slots=True)
class CurateSettings:
    """How the calls are divided.

    calibration, test, validation: shares of the usable calls, at most `max_held_out` calls each, as answering them
    takes time. min_calibration: 59 kept calls without an error are the fewest that certify ε = δ = .05.
    max_train: more rows than tuning ever reaches would only take memory.
    """

    calibration: float = 0.27
    test: float = 0.12
    validation: float = 0.05
    max_held_out: int = 600
    min_calibration: int = 60
    min_validation: int = 40
    min_train: int = 100
    max_train: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        shares = (self.calibration, self.test, self.validation)
        if min(shares) < 0 or self.calibration == 0 or sum(shares) >= 1:
            raise BadInput(
                "The shares of calibration, test and validation leave nothing to learn from or to calibrate."
            )


def curate(task: Task, calls: Sequence[Call], settings: CurateSettings | None = None) -> Curated:
    """The data set of a task's calls; the same calls in any order give the same.

    Raises NotEnoughCalls, with the number that is missing, where calibration or train would be too small, or where
    runs and repeats tie the calls into groups too large to be divided without a leak.
    """
    settings = settings or CurateSettings()
    rows, rejected = _rows(task, calls)
    quotas = _quotas(sum(row.sampled for row in rows), settings)
    dealt = split(rows, quotas, f"{settings.seed} {task.id}")
    train, from_train = _filtered(dealt.parts["train"], task, settings)
    from_train.update((row.id, "handed back, and its like is held out") for row in dealt.withheld)
    parts = {**dealt.parts, "train": train}
    _check_enough(parts, len(calls), rows, {**rejected, **from_train}, settings)
    provenance = {
        "task": task.id,
        "inputs": _inputs_hash(task, calls),
        "counts": {
            "calls": len(calls),
            "usable": len(rows),
            "oversized": dealt.oversized,
            **{name: len(parts[name]) for name in PARTS},
        },
        "groups": dealt.groups,
        "dropped": {"all": _counts(rejected), "train": _counts(from_train)},
        "rejected": dict(sorted({**rejected, **from_train}.items())),
        "settings": asdict(settings),
        "versions": {name: importlib.metadata.version(name) for name in ("protege", "datasets")},
    }
    return made(task.id, parts, provenance)


def _rows(task: Task, calls: Sequence[Call]) -> tuple[list[Row], dict[str, str]]:
    """Usable rows by id's order, and why the others are none."""
    rows: list[Row] = []
    rejected: dict[str, str] = {}
    for call in sorted(calls, key=lambda call: call.id):
        row = row_from(task, _masked(call))
        if isinstance(row, Row):
            rows.append(row)
        else:
            rejected[call.id] = row
    return rows, rejected


def _masked(call: Call) -> Call:
    """The call without secrets. They were masked when it was recorded; an older masking knew fewer."""
    from ..collect.masking import mask

    written = orjson.dumps(call.to_record(), option=orjson.OPT_NON_STR_KEYS)
    masked = mask(written)
    return call if masked is written else Call.from_record(orjson.loads(masked))


def _quotas(usable: int, settings: CurateSettings) -> Quotas:
    def quota(share: float, least: int = 0) -> int:
        return min(max(round(share * usable), least), settings.max_held_out)

    return Quotas(
        calibration=quota(settings.calibration),
        test=quota(settings.test),
        validation=quota(settings.validation, settings.min_validation),
    )


def _filtered(rows: Sequence[Row], task: Task, settings: CurateSettings) -> tuple[list[Row], dict[str, str]]:
    """What train keeps, and why it loses the rest."""
    rejected: dict[str, str] = {}
    by_prompt: dict[str, list[Row]] = {}
    for row in rows:
        if has_structure(row, task):
            by_prompt.setdefault(row.prompt, []).append(row)
        else:
            rejected[row.id] = "answer without the task's structure"
    kept: set[str] = set()
    for group in by_prompt.values():
        chosen = _chosen(group, task)
        answer = None if chosen is None else canonical(chosen.answer)
        for row in group:
            if row is chosen:
                kept.add(row.id)
            elif canonical(row.answer) == answer or task.kind not in COMPARED:
                rejected[row.id] = "repeat"
            else:
                rejected[row.id] = "contradicts another answer to its prompt"
    train = [row for row in rows if row.id in kept]
    rejected.update((row.id, "above the size cap") for row in train[settings.max_train :])
    return train[: settings.max_train], rejected


def _chosen(group: Sequence[Row], task: Task) -> Row | None:
    """The row that stands for a prompt: one with its most frequent answer, none where two are as frequent."""
    if task.kind not in COMPARED:
        return group[0]
    ranked = Counter(canonical(row.answer) for row in group).most_common(2)
    if len(ranked) == 2 and ranked[0][1] == ranked[1][1]:
        return None
    return next(row for row in group if canonical(row.answer) == ranked[0][0])


def _check_enough(
    parts: dict[str, list[Row]], calls: int, rows: Sequence[Row], rejected: dict[str, str], settings: CurateSettings
) -> None:
    short_calibration = settings.min_calibration - len(parts["calibration"])
    short_train = settings.min_train - len(parts["train"])
    if short_calibration <= 0 and short_train <= 0:
        return
    sampled = sum(row.sampled for row in rows)
    needed = _needed(settings)
    left_out = ", ".join(f"{count} {reason}" for reason, count in _counts(rejected).items())
    left_out = f" Left out: {left_out}." if left_out else ""
    if sampled >= needed and short_calibration > 0:
        raise NotEnoughCalls(
            f"{sampled} of {calls} calls can be used, but shared runs and repeated prompts tie them into groups too "
            f"large to divide: {len(parts['calibration'])} are left to calibrate on, {settings.min_calibration} are "
            f"needed.{left_out}",
            "Record calls with other inputs, from more runs.",
            missing=short_calibration,
        )
    train_share = 1 - settings.calibration - settings.test - settings.validation
    missing = max(needed - sampled, math.ceil(short_train / train_share))
    raise NotEnoughCalls(
        f"{len(rows)} of {calls} calls can be used: {len(parts['calibration'])} to calibrate on and "
        f"{len(parts['train'])} to learn from, where {settings.min_calibration} and {settings.min_train} are "
        f"needed.{left_out}",
        f"Record about {missing} more calls of this task.",
        missing=missing,
    )


def _needed(settings: CurateSettings) -> int:
    """The fewest usable calls that fill calibration and train, where none is lost."""
    usable = settings.min_calibration + settings.min_train
    while True:
        quotas = _quotas(usable, settings)
        train = usable - quotas.calibration - quotas.test - quotas.validation
        if quotas.calibration >= min(settings.min_calibration, settings.max_held_out) and train >= settings.min_train:
            return usable
        usable += 1


def _inputs_hash(task: Task, calls: Sequence[Call]) -> str:
    ids = sorted((call.id, call.content_hash) for call in calls)
    body = orjson.dumps([task.to_record(), ids], option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return hashlib.sha256(body).hexdigest()


def _counts(rejected: dict[str, str]) -> dict[str, int]:
    return dict(Counter(rejected.values()).most_common())
