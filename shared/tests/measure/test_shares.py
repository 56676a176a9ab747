"""Which share of calls, tokens and dollars specialists answer, by node and state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from protege import Attempt, Call, Request, Workspace
from protege.cli import commands
from protege.measure import shares
from typer.testing import CliRunner

ASKED = {"role": "user", "content": "where is it"}
TURN = {
    "role": "assistant",
    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}],
}
AFTER = [ASKED, TURN, {"role": "tool", "tool_call_id": "1", "content": "sent"}]


def call(number: int, node: str, *, kept: bool = False, tokens: int | None = 90, **fields: Any) -> Call:
    request = Request(tuple(fields.pop("messages", [ASKED])), node=(node,))
    usage = {"input_tokens": 5 if kept else tokens, "output_tokens": 10}
    cost = None if kept or tokens is None else 0.002
    tried = (Attempt("s1", "kept", "kept", 0.9),) if kept else ()
    answer = {"role": "assistant", "content": "x"}
    return Call(
        **{
            "id": f"c{number:03}",
            "request": request,
            "response": answer,
            "cost_usd": cost,
            **usage,
            "attempts": tried,
            **fields,
        }
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "home")
    calls = [call(n, "sort", kept=n < 6) for n in range(8)]
    calls += [call(10, "desk", messages=AFTER), call(11, "desk"), call(12, "desk", kept=True)]
    workspace.add_calls([*calls, call(13, "desk", response=None), call(14, "sort", error="TimeoutError")])
    return workspace


def test_by_node_and_state_and_of_all(workspace: Workspace) -> None:
    found = {(share.node, share.state): share for share in shares(workspace)}
    assert list(found) == [("sort", "opening"), ("desk", "opening"), ("desk", "after look_up"), ("all", "")]
    sort, whole = found["sort", "opening"].to_record(), found["all", ""].to_record()
    assert (sort["calls"], sort["answered"], sort["tokens"], sort["answered_tokens"]) == (8, 6, 800.0, 600.0)
    assert (sort["share_of_calls"], sort["share_of_tokens"]) == (0.75, 0.75)
    assert sort["usd"] == pytest.approx(0.016) and sort["share_of_usd"] == pytest.approx(0.75)
    assert (whole["calls"], whole["answered"], whole["share_of_tokens"]) == (11, 7, pytest.approx(7 / 11))
    assert found["desk", "after look_up"].answered == 0


def test_what_is_unknown_is_not_made_up(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "home")
    assert shares(workspace) == []
    workspace.add_calls([call(1, "a", tokens=None), call(2, "a"), call(3, "b", kept=True)])
    for share in (share.to_record() for share in shares(workspace)):
        assert share["tokens"] is share["usd"] is share["share_of_tokens"] is share["share_of_usd"] is None


def test_a_state_that_specialists_answer_whole_takes_its_node_s_means(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "home")
    workspace.add_calls([call(1, "desk"), call(2, "desk", kept=True, messages=AFTER)])
    after = next(share for share in shares(workspace) if share.state == "after look_up")
    assert (after.tokens, after.answered_tokens) == (100.0, 100.0)


def test_the_command_tells_them(workspace: Workspace) -> None:
    told = CliRunner().invoke(commands.app, ["shares", "--home", str(workspace.home)])
    assert told.exit_code == 0 and "75.0%" in told.stdout and "after look_up" in told.stdout
    latest = CliRunner().invoke(commands.app, ["shares", "--last", "4", "--json", "--home", str(workspace.home)])
    told = json.loads(latest.stdout)["shares"]
    assert [(entry["calls"], entry["answered"], entry["share_of_tokens"]) for entry in told] == [
        (2, 1, 0.5),
        (2, 1, 0.5),
    ]
