"""Where a conversation stands, as a request shows it. Agents that call tools ask for their next step again and again.

What comes next hangs on what came last: the tools that answered since the assistant's last turn, whether one failed,
or that the user spoke, and which tool was asked for before that. Each of these is a state, a short text. It runs in the
agent, so it reads the end of a conversation only, and nothing here is slow to import.

The granularity was chosen by counts over runs of a customer-service agent with sixteen tools: told by the last tools
alone, nine states have 80 calls or more of 2,848.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..call import Message, Request
from ..chat.acts import acts_of, calls_of, function_of, plain_name
from ..chat.results import is_error

OPENING = "opening"
"""No assistant has spoken yet."""
REPLY = "reply"
"""The user answers a turn in words."""
AFTER = "after"
"""Tools answer. A state is one of these, and the tools that it names."""
FAILED = "failed"
MOST_TOOLS = 3
"""So many tools that answered at once are named; more are "more"."""
LOOKED_AT = 12
"""So many of the assistant's last turns are searched for the last tool that was asked."""
LONGEST_ERROR = 600
"""A longer answer of a tool is no error, unless it begins as one or is marked."""


def state_of(request: Request) -> str:
    """The state that a request shows, such as "opening", "after get_order", "after search, failed" or "reply after
    get_order". Depends on the messages alone; never raises."""
    messages = request.messages
    last = _last_turn(messages, len(messages))
    newer = messages[last + 1 :]
    results = [message for message in newer if message.get("role") in ("tool", "function")]
    if last < 0 and not results:
        return OPENING
    turns = _turns_up_to(messages, last) if results else messages[last : last + 1]
    asked = [name for turn in turns for name in acts_of(turn)]
    if not results and not asked:
        pending = _pending(messages, last)
        return f"{REPLY} {AFTER} {pending}" if pending else REPLY
    calls = [call for turn in turns for call in calls_of(turn)]
    names = _named(results, calls) or asked
    failed = any(is_error(message, LONGEST_ERROR) for message in (results if results or calls else newer))
    after = f"{AFTER} {_listed(names)}".rstrip()
    return f"{after}, {FAILED}" if failed else after


def _last_turn(messages: Sequence[Message], before: int) -> int:
    """Where the assistant's last turn before this place stands; -1 without one."""
    return next((at for at in range(before - 1, -1, -1) if messages[at].get("role") == "assistant"), -1)


def _turns_up_to(messages: Sequence[Message], last: int) -> list[Message]:
    """The assistant's turns that end at this place with nothing between them: some APIs write each call, and the words
    beside it, as a turn of its own. `LOOKED_AT` of them at most, oldest first."""
    before = (messages[at] for at in range(last, -1, -1))
    turns = itertools.takewhile(lambda turn: turn.get("role") == "assistant", before)
    return list(itertools.islice(turns, LOOKED_AT))[::-1]


def _pending(messages: Sequence[Message], at: int) -> str:
    """The tools that the last of the assistant's turns before this place asked for; empty if none of those looked at
    did."""
    for _ in range(LOOKED_AT):
        at = _last_turn(messages, at)
        if at < 0:
            return ""
        if asked := acts_of(messages[at]):
            return _listed(asked)
    return ""


def _named(results: Sequence[Message], calls: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of the tools that these results are of: their own, else those of the calls with their ids, which is the
    tool's name where calls have none. Empty unless all are known."""
    asked = [(call.get("id"), str(function_of(call).get("name") or "")) for call in calls]
    by_id = {str(name if call_id is None else call_id): name for call_id, name in asked}
    names = [
        plain_name(str(each.get("name") or each.get("tool_name") or by_id.get(str(each.get("tool_call_id"))) or ""))
        for each in results
    ]
    return names if all(names) else []


def _listed(names: Iterable[str]) -> str:
    distinct = sorted(set(names))
    return "+".join((*distinct[:MOST_TOOLS], *(["more"] if len(distinct) > MOST_TOOLS else [])))
