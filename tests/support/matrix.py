"""What every adapter's matrix checks: each way to ask × recorded, routed, fallen back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from agents import SAID, LiveHome, assert_same_as_sent
from openai_server import OpenAIServer

if TYPE_CHECKING:
    from protege.call import Call
    from protege.task import Kind

MODES = ("recorded", "routed", "died", "unsure")
"""No specialist is asked; it answers; it goes away while answering; it is not sure enough."""


@contextmanager
def in_mode(live_home: LiveHome, mode: str) -> Iterator[None]:
    """Have the live home's specialists do as the mode says."""
    live_home.engine.dies = mode == "died"
    live_home.engine.probability = 0.1 if mode == "unsure" else 0.9
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROTEGE_ROUTE", "off" if mode == "recorded" else "on")
        yield


def check(live_home: LiveHome, server: OpenAIServer, mode: str, kind: Kind) -> None:
    """Each recorded call is what the server received and sent, or what the specialist said; and says why."""
    calls = live_home.calls()
    assert calls
    if mode == "routed":
        assert not server.exchanges
        for call in calls:
            check_specialists(call, kind)
        return
    exchanges = {exchange.asked["messages"][-1]["content"]: exchange for exchange in server.exchanges}
    assert len(exchanges) == len(server.exchanges) == len(calls)
    for call in calls:
        assert_same_as_sent(call, exchanges[call.request.messages[-1]["content"]])
        assert call.from_teacher
    decided = {call.decision for call in calls}
    outcomes = [attempt.outcome for call in calls for attempt in call.attempts]
    if mode == "recorded":
        assert decided == {"off"}
    elif mode == "unsure":
        assert decided == {"below threshold"}
        assert outcomes == ["handed_back"] * len(calls)
    else:  # the first that fails keeps the others from being asked
        assert decided <= {"engine failed", "engine starting"}
        assert "failed" in outcomes


def check_specialists(call: Call, kind: Kind) -> None:
    """The call is recorded as the specialist's of this kind."""
    assert (call.answered_by, call.decision, call.from_teacher) == (f"id-{kind}", "kept", False)
    assert (call.input_tokens, call.output_tokens) == (5, 1)
    assert call.response is not None
    assert call.attempts[0].content == SAID[kind]
    assert call.finish_reason == ("tool_calls" if kind == "tool_calls" else "stop")
