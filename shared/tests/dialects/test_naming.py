"""The node of a call that names none: agent, role and form."""

from __future__ import annotations

from typing import Any

import pytest
from protege.dialects import default_node


def said(system: str = "", prompt: str = "x", **fields: Any) -> dict[str, Any]:
    messages = [{"role": "system", "content": system}] if system else []
    return {"messages": [*messages, {"role": "user", "content": prompt}], **fields}


def tool(name: str, *keys: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"properties": {key: {} for key in keys}}}}


def schema(name: str, *keys: str) -> dict[str, Any]:
    return {
        "type": "json_schema",
        "json_schema": {"name": name, "schema": {"properties": {key: {} for key in keys}}},
    }


EXAMPLE = (
    '## context\n{"Legacy": 1}\n\n## format example\n[CONTENT]\n{\n "issue": "BUG",\n "reason": "…"\n}\n[/CONTENT]'
)
NODES: list[tuple[dict[str, Any], str | None, tuple[str, ...]]] = [
    (said(), None, ()),
    (said(), "meta", ("meta",)),
    (said("You are a Product Manager, named Alice, your goal is …"), "meta", ("meta", "Product Manager, Alice")),
    (said("You are an Engineer. Write code."), None, ("Engineer",)),
    (said("Answer briefly."), None, ()),
    (said(tools=[tool("extract", "a")]), None, ("extract",)),
    (said(tools=[tool("json", "url", "reasoning")]), None, ("url, reasoning",)),
    (said(tools=[tool("b"), tool("a")]), None, ("a, b",)),
    (
        said(tools=[tool("b"), tool("a")], tool_choice={"type": "function", "function": {"name": "b"}}),
        None,
        ("b",),
    ),
    (said(response_format=schema("invoice", "a")), None, ("invoice",)),
    (said(response_format=schema("answer", "elements")), None, ("elements",)),
    (said("You are a Reviewer.", EXAMPLE), "m", ("m", "Reviewer", "issue, reason")),
    (said("You are an Engineer.", "NOTICE\nRole: You are a professional engineer; The goal"), None,
     ("Engineer", "professional engineer")),
    (said("You are an Engineer.", "# System\nRole: You are a professional reviewer, and"), None,
     ("Engineer", "professional reviewer")),
]  # fmt: skip


@pytest.mark.parametrize(("record", "agent", "node"), NODES)
def test_a_node_is_agent_role_and_form(record: dict[str, Any], agent: str | None, node: tuple[str, ...]) -> None:
    assert default_node(record, agent) == node


def test_the_conversation_does_not_change_the_node() -> None:
    one, other = (said("You are a Clerk.", f"Mail {n}: buy now!", tools=[tool("mark")]) for n in range(2))
    other["messages"] += [
        {"role": "assistant", "content": "You are a King."},
        {"role": "user", "content": "Role: Fool"},
    ]
    assert default_node(one) == default_node(other) == ("Clerk", "mark")


def test_a_long_form_is_short_and_still_its_own() -> None:
    keys = [f"a rather long key {n}" for n in range(20)]
    (one,), (other,) = (default_node(said(response_format=schema("answer", *k))) for k in (keys, keys[:-1]))
    assert len(one) <= 80 and len(other) <= 80 and one != other


@pytest.mark.parametrize(
    "record",
    [
        {}, {"messages": None}, {"messages": [5]}, {"messages": [{"role": "user", "content": [5, None]}]},
        said(tools=[5, {}, {"function": 5}], tool_choice={"function": 5}), said(response_format=5),
        said(response_format={"json_schema": {"name": 5, "schema": {"properties": []}}}),
        said(prompt="# format example {" + "[" * 5000),
    ],
)  # fmt: skip
def test_odd_requests_have_a_node_too(record: dict[str, Any]) -> None:
    assert isinstance(default_node(record), tuple)
