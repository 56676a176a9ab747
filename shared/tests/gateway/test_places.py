"""Agent, node and run of a call are those that its request names, in a fixed order."""

from __future__ import annotations

from typing import Any

import pytest
from protege.gateway.places import place_of

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
RUNS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "ours": ({"x-protege-run": "R", "traceparent": TRACE, "helicone-session-id": "no"}, {}),
    "baggage": ({"baggage": "a=1, session.id=R;p=1", "x-litellm-session-id": "no"}, {}),
    "litellm": ({"x-litellm-session-id": "R"}, {"metadata": {"session_id": "no"}}),
    "litellm body": ({}, {"litellm_session_id": "R"}),
    "helicone": ({"helicone-session-id": "R"}, {}),
    "portkey": ({"x-portkey-trace-id": "R"}, {}),
    "langfuse": ({"langfuse_session_id": "R"}, {}),
    "tensorzero": ({}, {"tensorzero::episode_id": "R"}),
    "metadata": ({}, {"metadata": {"session_id": "R"}}),
    "blanks are none": ({"x-protege-run": "  ", "x-litellm-trace-id": "R"}, {}),
    "numbers are names": ({}, {"metadata": {"run_id": 7}}),
}


@pytest.mark.parametrize("name", RUNS)
def test_the_run_is_the_first_that_is_named(name: str):
    headers, body = RUNS[name]
    assert place_of(headers, body, None, {"messages": []}).run == ("7" if name == "numbers are names" else "R")


def test_a_person_is_no_run():
    assert place_of({}, {"user": "u-1", "metadata": {"user_id": "u"}}, None, {"messages": []}).run is None


def test_a_trace_is_a_run_and_its_span_the_step_around():
    place = place_of({"traceparent": TRACE}, {}, None, {"messages": []})
    assert (place.run, place.parent) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


@pytest.mark.parametrize("header", ["x-protege-node", "helicone-session-path"])
def test_a_node_is_a_path(header: str):
    assert place_of({header: "/plan/write%20it/"}, {}, "a", {"messages": []}).node == ("plan", "write it")


def test_without_a_name_the_agent_the_role_and_the_form_are_the_node():
    record = {
        "messages": [{"role": "system", "content": "You are a Product Manager, named Alice, your goal is x."}],
        "tools": [{"type": "function", "function": {"name": "write_prd", "parameters": {}}}],
    }
    assert place_of({}, {}, "firm", record).node == ("firm", "Product Manager, Alice", "write_prd")


def test_names_are_short_and_print():
    place = place_of(
        {"x-protege-run": "a\x1b[2J" + "b" * 500, "x-protege-node": "/".join("x" * 30)}, {}, None, {"messages": []}
    )
    assert place.run == "a[2J" + "b" * 195 and len(place.node) == 10
