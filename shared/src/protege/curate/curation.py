"""The steps of curation: mask, split, filter, redact, and count.

What is left out of a part decides which calls the guarantee covers. A route sees all calls of its task and asks the
specialist about every call that it can show it. So validation, calibration and test lose only

- calls that a route leaves to the teacher in any case: another wording, or content that is not text;
- calls without a teacher's answer to compare with: failed, empty, or answered by a specialist;
- calls that a specialist was asked first and handed back: they are the hard ones and no fair sample. They train;
- calls that no file can hold: text that is not Unicode, or values nested too deeply.

An answer that a person says is right (`Call.correction`) is learnt in the place of the teacher's, also of a call that
the teacher failed at or a specialist answered; such a call trains and is never held out. Held-out calls keep the
teacher's answer, which is what is promised; to say what a person says is right is no disagreement (`evaluate`).

A broken, rare, cut-off, refusing or contradictory answer of the teacher stays in these parts: the specialist will meet
such calls too, and disagreement with them is disagreement. Only train loses more, in this order:

1. label noise: see `noise`; also a cut-off answer, unless it is a label or JSON that is complete all the same; and an
   answer that lacks the task's structure, or breaks the request's response format or tools;
2. answers that contradict each other for one prompt. If people corrected some, only these count; else, if feedback
   marked some right, only those. The answer that more than half agree on stands for the prompt; without one, the prompt
   is left out. Free text, SQL and code have many right forms and do not contradict each other;
3. repeats: one row per prompt is kept. Tuning sees little more than a thousand rows, and a repeat takes the place of a
   new prompt;
4. near-duplicates that teach the same answer, beyond `max_alike` in a group; they come back if fewer than `min_train`
   rows are left. Near-duplicates with different answers all stay: they show where the boundary is;
5. rows beyond `max_train`; of labels, the most frequent go first, so that rare ones stay.

Nothing is added, neither paraphrases nor made-up inputs: nobody has shown that they help on held-out calls.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace

import orjson

from ..call import Call, canonical_json
from ..common.confinement import Aside, Confinement
from ..errors import NotEnoughCalls
from ..masking.masking import mask
from ..redact import RedactionPolicy
from ..task import Task
from .curated import PARTS, Curated, made
from .near import ALIKE, CLOSE, Pairs, components, near_pairs
from .noise import failed_tools, noise_of
from .redacting import redact
from .retries import retried
from .rows import COMPARED, Row, canonical, has_structure, row_from, taught
from .settings import CurateSettings
from .split import Quotas, split

UNREADABLE = "it raised an error and was set aside"
"""Why a call is left out that could not be curated; the quarantine has the error's type."""


def curate(
    task: Task,
    calls: Sequence[Call],
    settings: CurateSettings | None = None,
    policy: RedactionPolicy | None = None,
    *,
    on_aside: Callable[[Aside], None] | None = None,
) -> Curated:
    """The data set of a task's calls, without personal data in train. The order of the calls makes no difference.

    on_aside: is told of each call that raises an error; it is left out, and the others go on. Raises NotEnoughCalls,
    with the number of missing calls, if calibration or train would be too small, or if runs and repeats tie the calls
    into groups that are too large to be divided without a leak.
    """
    settings, policy = settings or CurateSettings(), policy or RedactionPolicy()
    confinement = Confinement("curation", on_aside)
    rows, rejected = _rows(task, calls, settings.since, confinement)
    quotas = _quotas(sum(row.sampled for row in rows), settings)
    pairs = near_pairs([row.folded for row in rows])
    dealt = split(rows, pairs, quotas, f"{settings.seed} {task.id}")
    to_teach = [taught(row) for row in dealt.parts["train"]]
    train, from_train = _filtered(to_teach, _close(rows, pairs), task, settings, confinement)
    from_train.update((row.id, "handed back, and its like is held out") for row in dealt.withheld)
    redaction = redact(train, task, policy)
    from_train |= redaction.rejected
    parts = {**dealt.parts, "train": redaction.rows}
    _check_enough(parts, len(calls), rows, {**rejected, **from_train}, settings)
    provenance = {
        "task": task.id,
        "inputs": _inputs_hash(task, calls),
        "counts": {
            "calls": len(calls),
            "usable": len(rows),
            "oversized": dealt.oversized,
            "divided": dealt.divided,
            **{name: len(parts[name]) for name in PARTS},
        },
        "corrected": {name: sum(bool(row.correction or row.corrected) for row in parts[name]) for name in PARTS},
        "groups": dealt.groups,
        "duplicates": _duplicates(rows, pairs),
        "agreement": _agreement(rows, task),
        "structure": _structure([*parts["calibration"], *parts["test"]], task, confinement),
        "times": {name: _times(part) for name, part in parts.items()},
        "dropped": {"all": _counts(rejected), "train": _counts(from_train)},
        "rejected": dict(sorted({**rejected, **from_train}.items())),
        "redacted": redaction.found,
        "policy": policy.to_record(),
        "settings": asdict(settings),
        "versions": {name: importlib.metadata.version(name) for name in ("protege", "datasets")},
    }
    return made(task.id, parts, provenance)


def _rows(
    task: Task, calls: Sequence[Call], since: float | None, confinement: Confinement
) -> tuple[list[Row], dict[str, str]]:
    """The usable rows, ordered by id, and the reason why each other call is left out, by id."""
    rows: list[Row] = []
    rejected: dict[str, str] = {}
    readable: list[Call] = []
    for call in sorted(calls, key=lambda call: call.id):
        rejected[call.id] = UNREADABLE
        with confinement.each(call.id):
            failed_tools([call])
            readable.append(call)
    failed = failed_tools(readable)
    for call in readable:
        row: Row | str = UNREADABLE
        with confinement.each(call.id):
            masked = _masked(call)
            row = "content that no file can hold" if masked is None else row_from(task, masked, noise_of(call, failed))
        if isinstance(row, Row):
            earlier = since is not None and (row.started is None or row.started < since)
            rows.append(replace(row, sampled=False) if earlier else row)
            del rejected[call.id]
        else:
            rejected[call.id] = row
    return rows, rejected


def _masked(call: Call) -> Call | None:
    """The call without secrets; None if it cannot be written, because of a lone surrogate or JSON of 255 levels.

    Its secrets were already masked when it was recorded, but an older masking knew fewer.
    """
    try:
        written = orjson.dumps(call.to_record(), option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        return None
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


def _close(rows: Sequence[Row], pairs: Pairs) -> dict[str, int]:
    """The number of each row's group of close near-duplicates, by the row's id."""
    labels = components(len(rows), *pairs.above(CLOSE))
    return {row.id: int(label) for row, label in zip(rows, labels, strict=True)}


def _filtered(
    rows: Sequence[Row], close: Mapping[str, int], task: Task, settings: CurateSettings, confinement: Confinement
) -> tuple[list[Row], dict[str, str]]:
    """The rows that train keeps, in the order given, and the reason why it loses each other row, by id."""
    rejected: dict[str, str] = {}
    for step in (
        lambda left: _noise(left, task, confinement),
        lambda left: retried(left, task),
        lambda left: _repeats(left, task),
        lambda left: _surplus(left, close, settings),
        lambda left: _too_many(left, task, settings.max_train),
    ):
        rejected |= step([row for row in rows if row.id not in rejected])
    return [row for row in rows if row.id not in rejected], rejected


def _noise(rows: Sequence[Row], task: Task, confinement: Confinement) -> dict[str, str]:
    """Rows that must not be learnt from, and why, by id."""
    reasons: dict[str, str | None] = {}
    for row in rows:
        reasons[row.id] = UNREADABLE
        with confinement.each(row.id):
            reasons[row.id] = _unlearnable(row, task)
    return {row_id: reason for row_id, reason in reasons.items() if reason is not None}


def _unlearnable(row: Row, task: Task) -> str | None:
    if row.noise is not None:
        return row.noise
    if not has_structure(row, task):
        return "cut off" if row.cut_off else "answer without the task's structure"
    return "cut off" if row.cut_off and task.kind not in ("label", "json") else None


def _structure(rows: Sequence[Row], task: Task, confinement: Confinement) -> float | None:
    """The share of these rows whose answer, the teacher's, has the task's structure; None without rows."""
    right = 0
    for row in rows:
        with confinement.each(row.id):
            right += has_structure(row, task)
    return right / len(rows) if rows else None


def _repeats(rows: Sequence[Row], task: Task) -> dict[str, str]:
    """Rows that do not stand for their prompt, and why, by id."""
    by_prompt: dict[str, list[Row]] = {}
    for row in rows:
        by_prompt.setdefault(row.prompt, []).append(row)
    rejected: dict[str, str] = {}
    for group in by_prompt.values():
        chosen = _chosen(group, task)
        answer = None if chosen is None else canonical(chosen.answer)
        for row in group:
            if row is not chosen:
                same = task.kind not in COMPARED or canonical(row.answer) == answer
                rejected[row.id] = "repeat" if same else "contradicts another answer to its prompt"
    return rejected


def _chosen(group: Sequence[Row], task: Task) -> Row | None:
    """The row that stands for a prompt: the first with the answer of more than half; None without such an answer.

    If people corrected some rows, only those count; else, if feedback marked some right, only these.
    """
    asked = [row for row in group if row.corrected] or [row for row in group if row.approved] or group
    if task.kind not in COMPARED:
        return asked[0]
    answers = [canonical(row.answer) for row in asked]
    answer, count = Counter(answers).most_common(1)[0]
    return asked[answers.index(answer)] if 2 * count > len(asked) else None


def _surplus(rows: Sequence[Row], close: Mapping[str, int], settings: CurateSettings) -> dict[str, str]:
    """Near-duplicates with the same answer, beyond the cap, by id. At least `min_train` rows are left if possible."""
    seen: Counter[tuple[int, str]] = Counter()
    surplus: list[Row] = []
    for row in rows:
        like = (close[row.id], canonical(row.answer))
        seen[like] += 1
        if seen[like] > settings.max_alike:
            surplus.append(row)
    back = max(0, settings.min_train - (len(rows) - len(surplus)))
    return {row.id: "near-duplicate with the same answer, above the cap" for row in surplus[back:]}


def _too_many(rows: Sequence[Row], task: Task, most: int) -> dict[str, str]:
    """Rows beyond the size cap, by id. Every label keeps the same number of rows, as far as it has that many."""
    left = Counter(row.answer if task.kind == "label" else "" for row in rows)
    rarest_first = sorted(left, key=lambda label: (left[label], label))
    room, taken = most, dict[str, int]()
    for position, label in enumerate(rarest_first):  # what a rare label leaves of its share goes to the others
        taken[label] = min(left[label], room // (len(rarest_first) - position))
        room -= taken[label]
    seen: Counter[str] = Counter()
    rejected: dict[str, str] = {}
    for row in rows:
        label = row.answer if task.kind == "label" else ""
        seen[label] += 1
        if seen[label] > taken[label]:
            rejected[row.id] = "above the size cap"
    return rejected


def _duplicates(rows: Sequence[Row], pairs: Pairs) -> dict[str, int]:
    """How many calls repeat another's prompt, how many more are near-duplicates, and the size of the largest group."""
    sizes = Counter(components(len(rows), *pairs.above(ALIKE)).tolist())
    distinct = len({row.prompt for row in rows})
    return {"exact": len(rows) - distinct, "near": distinct - len(sizes), "largest": max(sizes.values(), default=0)}


def _agreement(rows: Sequence[Row], task: Task) -> dict[str, float | int | None]:
    """How far the teacher agrees with itself: among prompts asked more than once, the share of pairs of equal answers.

    The mean is over prompts, so that a prompt asked all day does not decide it. `share` is None without such prompts.
    """
    answers: dict[str, list[str]] = {}
    for row in rows if task.kind in COMPARED else ():
        answers.setdefault(row.prompt, []).append(canonical(row.answer))
    repeated = [given for given in answers.values() if len(given) > 1]
    shares = [
        sum(count * (count - 1) for count in Counter(given).values()) / (len(given) * (len(given) - 1))
        for given in repeated
    ]
    share = sum(shares) / len(shares) if shares else None
    return {"prompts": len(repeated), "calls": sum(map(len, repeated)), "share": share}


def _times(rows: Sequence[Row]) -> list[float] | None:
    """The start of the first and of the last call, in seconds since 1970; None if no call has a time."""
    known = [row.started for row in rows if row.started is not None]
    return [min(known), max(known)] if known else None


def _check_enough(
    parts: dict[str, list[Row]], calls: int, rows: Sequence[Row], rejected: dict[str, str], settings: CurateSettings
) -> None:
    """Raise NotEnoughCalls if calibration or train is too small."""
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
    """The fewest usable calls that fill calibration and train if none is lost."""
    usable = settings.min_calibration + settings.min_train
    while True:
        quotas = _quotas(usable, settings)
        train = usable - quotas.calibration - quotas.test - quotas.validation
        if quotas.calibration >= min(settings.min_calibration, settings.max_held_out) and train >= settings.min_train:
            return usable
        usable += 1


def _inputs_hash(task: Task, calls: Sequence[Call]) -> str:
    ids = sorted((call.id, _content_hash(call), *_correction(call)) for call in calls)
    body = orjson.dumps([task.to_record(), ids], option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return hashlib.sha256(body).hexdigest()


def _correction(call: Call) -> tuple[str, ...]:
    return (canonical_json(call.correction).decode(),) if call.correction else ()


def _content_hash(call: Call) -> str:
    try:
        return call.content_hash
    except RecursionError:  # nested too deeply to be written, so it is in no part
        return ""


def _counts(rejected: dict[str, str]) -> dict[str, int]:
    return dict(Counter(rejected.values()).most_common())
