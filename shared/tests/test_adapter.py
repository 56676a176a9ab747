"""What adapters are built on: its names, and that it stays light inside the agent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import protege.adapter
import protege.testing

HEAVY = ("numpy", "scipy", "sklearn", "datasets", "sqlalchemy", "torch")

CALL = """
import sys
import protege.adapter as adapter
from protege.testing import answer_to

messages = [{"role": "user", "content": "Is it spam?"}]

def read():
    return adapter.OpenCall(adapter.recorder_of(home), messages, {"model": "gpt-4o"}, adapter.Place("none"))

with adapter.Watch(adapter.opened(read), lambda parts: adapter.Reply(parts[0], "stop")) as watch:
    assert watch.routed(lambda: adapter.router_of(home), lambda outcome: outcome.message) is None
    watch.answered(answer_to(watch.call.request, {"Is it spam?": "yes"}))

assert watch.call.record["decision"] == "no live route", watch.call.record
assert list((home / "journal").glob("*.journal"))
print(*(name for name in HEAVY if name in sys.modules))
"""
"""A call through a recorder and a router, in a home without a route."""


def test_the_names_that_adapters_may_rely_on() -> None:
    assert sorted(protege.adapter.__all__) == [
        "Answerer",
        "Asked",
        "Attempt",
        "BadCall",
        "BadInput",
        "CUT",
        "Dialect",
        "EMPTY",
        "MOST_BYTES",
        "Message",
        "OpenCall",
        "Outcome",
        "Place",
        "ProtegeError",
        "ROLES",
        "Records",
        "Reply",
        "Request",
        "SAMPLING",
        "USAGE_NAMES",
        "Watch",
        "arguments_of",
        "default_node",
        "dialect_at",
        "finish_reason",
        "home_path",
        "is_cut",
        "json_text",
        "loads",
        "log_once",
        "opened",
        "recorder_of",
        "reply_of",
        "request_from",
        "router_of",
        "said_once",
        "sampling",
        "schema_format",
        "text_of",
        "tokens_used",
        "tool_call",
        "tool_choice",
        "tried_id",
        "without_reasoning",
    ]
    assert all(hasattr(protege.adapter, name) for name in protege.adapter.__all__)


def test_the_names_that_scripted_teachers_may_rely_on() -> None:
    assert sorted(vars(protege.testing)["__all__"]) == [
        "Answers",
        "ScriptedAnswer",
        "answer_to",
        "tokens",
        "tokens_of",
        "words",
    ]
    assert all(hasattr(protege.testing, name) for name in vars(protege.testing)["__all__"])


def test_a_call_that_is_recorded_and_has_no_route_loads_nothing_heavy(tmp_path: Path) -> None:
    program = f"from pathlib import Path\nhome, HEAVY = Path({str(tmp_path)!r}), {HEAVY!r}\n{CALL}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
