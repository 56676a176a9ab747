"""Which share of an agent's calls, tokens and dollars specialists answer, by node and by state of the conversation.

A call counts with the mean tokens and price of all that the teacher ever answered at the same node in the same state;
where it answered none there, at the same node. So one that a specialist answered counts with what it saved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from ..call import Call
from ..cluster.states import state_of
from ..workspace import Workspace
from .agents import price_by_policy, teacher_usd

_Group: TypeAlias = tuple[str, str]
"""A node and a state."""
_Known: TypeAlias = tuple[int | None, float | None]
"""The tokens and the price of a call of the teacher's."""


@dataclass(frozen=True, slots=True)
class Share:
    """The answered calls of one node in one state, or of all. Tokens are those of prompts and answers together."""

    node: str
    """The path of the agent's step; empty if none is known."""
    state: str
    """Where the conversation stands (`cluster.states`); empty for a sum."""
    calls: int
    answered: int
    """Of these, the calls that specialists answered."""
    tokens: float | None = None
    """All tokens, as the teacher counts; None if no call of the teacher's tells its own."""
    answered_tokens: float | None = None
    usd: float | None = None
    """US dollars, if the teacher answered all; None if a price is unknown."""
    answered_usd: float | None = None

    def to_record(self) -> dict[str, Any]:
        """As JSON holds it, with the three shares; a share is None if it is unknown."""
        pairs = {"calls": (self.answered, self.calls), "tokens": (self.answered_tokens, self.tokens)}
        pairs["usd"] = (self.answered_usd, self.usd)
        shares = {f"share_of_{name}": _share(*pair) for name, pair in pairs.items()}
        return {**asdict(self), **shares}


def shares(workspace: Workspace, last: int | None = None) -> list[Share]:
    """The shares by node and state, those with most calls first, and the sum of all at the end; empty without calls.

    last: of so many of the latest calls. Calls without an answer do not count.
    """
    number = 0 if last is None else max(0, workspace.last_call() - last)
    price_as = price_by_policy(workspace)
    counted: dict[_Group, list[bool]] = defaultdict(list)
    taught: dict[_Group, list[_Known]] = defaultdict(list)
    for at, call in workspace.numbered_calls():
        if call.response is None or call.error is not None:
            continue
        group = " / ".join(call.node), state_of(call.request)
        if at > number:
            counted[group].append(not call.from_teacher)
        if call.from_teacher:
            taught[group].append((_tokens(call), teacher_usd(call, price_as)))
    found = [_share_of(group, answered, _known(group, taught)) for group, answered in counted.items()]
    found.sort(key=lambda share: (-share.calls, share.node, share.state))
    return [*found, _sum(found)] if found else []


def _known(group: _Group, taught: Mapping[_Group, Sequence[_Known]]) -> Sequence[_Known]:
    of_node = (known for (node, _), calls in taught.items() if node == group[0] for known in calls)
    return taught.get(group) or list(of_node)


def _share_of(group: _Group, answered: Sequence[bool], known: Sequence[_Known]) -> Share:
    tokens, usd = _mean(tokens for tokens, _ in known), _mean(usd for _, usd in known)
    n, kept = len(answered), sum(answered)
    return Share(*group, n, kept, *_both(tokens, n, kept), *_both(usd, n, kept))


def _both(each: float | None, calls: int, answered: int) -> tuple[float | None, float | None]:
    return (None, None) if each is None else (each * calls, each * answered)


def _tokens(call: Call) -> int | None:
    if call.input_tokens is None or call.output_tokens is None:
        return None
    return call.input_tokens + call.output_tokens


def _mean(values: Iterable[float | None]) -> float | None:
    """None if one is unknown, or there is none."""
    found = list(values)
    known = [value for value in found if value is not None]
    return sum(known) / len(known) if known and len(known) == len(found) else None


def _sum(found: Sequence[Share]) -> Share:
    def total(values: Iterable[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) if len(known) == len(found) else None

    return Share(
        "all",
        "",
        sum(share.calls for share in found),
        sum(share.answered for share in found),
        total(share.tokens for share in found),
        total(share.answered_tokens for share in found),
        total(share.usd for share in found),
        total(share.answered_usd for share in found),
    )


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole
