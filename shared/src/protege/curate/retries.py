"""Answers that the agent did not take: it asked the same again.

Where calls name their run, the same run asked the same prompt again after the answer had come, and the last answer
differs. Many agents name none, and two people may well ask the same. Then a call is a failed try only if the next one
follows soon, and what it answered lacks what the last answer has: it is no JSON or lacks keys; or is of a kind whose
right answers may differ, so that nothing is lost by taking the last. MetaGPT, say, asks up to six times where an answer
cannot be parsed or lacks a node.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import orjson

from ..task import Task
from .rows import COMPARED, Row, canonical

SOON_S = 120.0
"""Without a run, the next try follows within so many seconds of the answer: longer than agents wait between tries."""


def retried(rows: Sequence[Row], task: Task) -> dict[str, str]:
    """Rows that were replaced by a retry, and the reason, by id."""
    asked: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.started is not None:
            asked.setdefault((row.run, row.prompt), []).append(row)
    found: dict[str, str] = {}
    for tries in asked.values():
        tries.sort(key=lambda row: (row.started or 0.0, row.id))
        last = tries[-1]
        answer = canonical(last.answer)
        for row, after in itertools.pairwise(tries):
            if row.corrected or canonical(row.answer) == answer or not _came_before(row, last):
                continue
            if row.run or (_came_before(row, after, SOON_S) and _lacks(row.answer, last.answer, task)):
                found[row.id] = "replaced by a retry"
    return found


def _came_before(row: Row, later: Row, within_s: float | None = None) -> bool:
    """Whether the row's answer had come when the later one was asked, and not longer before than `within_s`."""
    if row.ended is None or later.started is None:
        return False
    waited_s = later.started - row.ended
    return waited_s >= 0 and (within_s is None or waited_s <= within_s)


def _lacks(answer: str, later: str, task: Task) -> bool:
    """Whether an answer lacks what the later one to the same prompt has."""
    if task.kind not in COMPARED:
        return True
    had, has = _keys(answer), _keys(later)
    return has is not None and (had is None or bool(has - had))


def _keys(answer: str) -> set[str] | None:
    """The keys of a JSON object; None if the answer is none."""
    try:
        value: Any = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return None
    return set(value) if isinstance(value, dict) else None
