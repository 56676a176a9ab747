"""Where a call goes, decided by its request alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import orjson

from ..asking.confidence import Scorer
from ..call import Request
from ..chat.prompt import wording_of
from ..specialist import Route, Specialist
from ..task import Task

if TYPE_CHECKING:
    from .table import Entry

Reason: TypeAlias = Literal[
    "routed",
    "kept",
    "no task",
    "no live route",
    "another wording",
    "fingerprint differs",
    "engine starting",
    "engine busy",
    "engine failed",
    "not served",
    "timed out",
    "invalid structure",
    "cut off",
    "repetition",
    "refusal",
    "below threshold",
    "no second opinion",
    "audited",
    "content is not text",
    "cannot be shown",
    "off",
    "outside the share",
    "sampling asks for several answers",
    "router failed",
]
"""Why a call went where it went. "routed" is a decision to ask the specialist. "kept" and "audited" are outcomes: an
audited answer would have been kept, but its call was drawn for a comparison."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a call goes."""

    route: Route | None
    """The route that the call takes; None if the teacher answers."""
    task: Task | None
    """The task that the request belongs to; None if it belongs to none."""
    reason: Reason
    """Why."""
    specialist: Specialist | None = None
    """The specialist that is asked; None if the teacher answers."""
    scorer: Scorer | None = None
    """How its confidence is made: see `table.Entry`."""
    then: Decision | None = None
    """In a cascade: who is asked if this specialist's answer is handed back."""


def objection(request: Request, run: str | None, task: Task, route: Route) -> Reason | None:
    """Why this route may not answer this request; None if it may.

    run: the id of the agent's run, by which the share is drawn.
    """
    if (request.parameters.get("n") or 1) != 1:
        return "sampling asks for several answers"
    if not all(isinstance(m.get("content"), str | None) for m in request.messages):
        return "content is not text"
    wording = wording_of(task, request)
    if wording is None or not route.covers(wording):
        return "another wording"
    if route.share < 1 and _position(request, run, route.specialist_id) >= route.share:
        return "outside the share"
    return None


def chain(request: Request, run: str | None, task: Task, entries: Sequence[Entry], after: str = "") -> Decision:
    """The first of these entries that may answer and is asked after the specialist `after`, with those that follow
    it."""
    reason: Reason = "no live route"
    for route, specialist, scorer in entries:
        if route.after != after:
            continue
        if (refusal := objection(request, run, task, route)) is None:
            then = chain(request, run, task, [e for e in entries if e.route.after], specialist.id)
            return Decision(route, task, "routed", specialist, scorer, then if then.route else None)
        reason = refusal
    return Decision(None, task, reason)


def _position(request: Request, run: str | None, specialist_id: str) -> float:
    """A number from 0 to 1, the same for all calls in a run but different for each specialist; without a run, the
    messages decide instead."""
    key = run.encode() if run else orjson.dumps(request.messages, option=orjson.OPT_NON_STR_KEYS)
    digest = hashlib.blake2b(specialist_id.encode() + b"\0" + key, digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
