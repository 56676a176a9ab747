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
SCREEN = (
    "Task: find it\nSeen: say what is there.\n\nYou should only respond in the format described below.\n"
    "Seen:\n1. ...\n\nNext_step:\n```python\n    act()\n```"
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
    (said(prompt="1. Role: You are a tester; your main goal is to break the parser, at night. 2. Task: …"), None,
     ("tester: break the parser",)),
    (said(prompt="# System\nRole: clerk, your task is sort the mail\n# Instruction: redo `a.txt` by its list"), None,
     ("clerk: sort the mail: redo",)),
    (said(prompt="Role: clerk, your task is sort the mail\n# Instruction: Based on the list, sort"), None,
     ("clerk: sort the mail",)),
    (said("Assume you are a helpful assistant. Say what you are doing.", SCREEN), "c",
     ("c", "helpful assistant", "Seen, Next_step")),
    (said("You are a coder.", "Answer in the format below.\n## Code\nclass A:\n    pass\nTitle:\n"), None, ("coder",)),
    (said("You are a coder.", "Reply in this format:\n\nclass Game:\n    pass\nTitle:\n"), None, ("coder",)),
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


def test_what_is_asked_may_be_spread_over_messages_before_the_first_answer() -> None:
    shown: dict[str, Any] = {"type": "image_url", "image_url": {"url": "data:…"}}
    first = [{"role": "user", "content": "Task: go"}, {"role": "user", "content": [shown]}]
    asked = [*first, {"role": "user", "content": SCREEN}]
    answered = [*first, {"role": "assistant", "content": "Yes."}, {"role": "user", "content": SCREEN}]
    assert default_node({"messages": asked}) == ("Seen, Next_step",)
    assert default_node({"messages": answered}) == ()


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
