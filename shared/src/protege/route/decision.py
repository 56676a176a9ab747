"""Where a call goes, by its request alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal, TypeAlias

import orjson

from ..asking.confidence import Scorer
from ..call import Request
from ..chat.prompt import fitting_template
from ..specialist import Route, Specialist
from ..task import Task

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
    "audited",
    "content is not text",
    "cannot be shown",
    "off",
    "outside the share",
    "sampling asks for several answers",
    "router failed",
]
"""Why a call went where it went. "routed" is a decision to ask the specialist, "kept" and "audited" (it would have been
kept, and was drawn to be compared) are outcomes."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a call goes. route and specialist are None where the teacher answers; scorer: see `table.Entry`. then: who
    is asked where this one's answer is handed back."""

    route: Route | None
    task: Task | None
    reason: Reason
    specialist: Specialist | None = None
    scorer: Scorer | None = None
    then: Decision | None = None


def objection(request: Request, run: str | None, task: Task, route: Route) -> Reason | None:
    """Why this route may not answer this request."""
    if (request.parameters.get("n") or 1) != 1:
        return "sampling asks for several answers"
    if not all(isinstance(m.get("content"), str | None) for m in request.messages):
        return "content is not text"
    found = fitting_template(task, request)
    if found is None or found[0].signature not in route.signatures:
        return "another wording"
    if route.share < 1 and _place(request, run, route.specialist_id) >= route.share:
        return "outside the share"
    return None


def _place(request: Request, run: str | None, specialist_id: str) -> float:
    """0 to 1, the same for all calls in a run, another for each specialist; without a run, by what is asked."""
    key = run.encode() if run else orjson.dumps(request.messages, option=orjson.OPT_NON_STR_KEYS)
    digest = hashlib.blake2b(specialist_id.encode() + b"\0" + key, digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
