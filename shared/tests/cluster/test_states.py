"""Where a conversation stands, told alike whichever framework wrote it."""

from __future__ import annotations

import pytest
from protege.call import Request, request_from
from protege.cluster.states import state_of

SYSTEM, ASKS = {"role": "system", "content": "Help customers."}, {"role": "user", "content": "Where is my order?"}
GREETS = {"role": "assistant", "content": "What is its number?"}


def calls(*names, ids=True):
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": f"c{n}" if ids else None, "type": "function", "function": {"name": name, "arguments": "{}"}}
            for n, name in enumerate(names)
        ],
    }


def result(text="{}", n=0, **more):
    return {"role": "tool", "content": text, "tool_call_id": f"c{n}", **more}


LANGCHAIN = [
    {"type": "human", "content": "Where is my order?"},
    {"type": "ai", "content": "", "tool_calls": [{"name": "find", "args": {}, "id": "c0", "type": "tool_call"}]},
    {"type": "tool", "content": "W1", "tool_call_id": "c0"},
]
ANTHROPIC = [
    ASKS,
    {"role": "assistant", "content": [{"type": "tool_use", "id": "c0", "name": "find", "input": {}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c0", "content": "W1"}]},
]
LEGACY = [
    ASKS,
    {"role": "assistant", "content": None, "function_call": {"name": "find", "arguments": "{}"}},
    {"role": "function", "name": "find", "content": "W1"},
]
CASES = {
    "opening": [SYSTEM, ASKS],
    "reply": [SYSTEM, ASKS, GREETS, ASKS],
    "after find": [ASKS, calls("find"), result("W1")],
    "after find, failed": [ASKS, calls("find"), result("Error: user not found")],
    "after find, failed ": [ASKS, calls("find"), result("no", status="error")],
    "after find  ": [ASKS, calls("find", ids=False), {"role": "tool", "name": "find", "content": "W1"}],
    "after a+b": [ASKS, calls("b", "a"), result("1"), result("2", 1)],
    "after a+b, failed": [ASKS, calls("b", "a"), result("1"), result('{"error": "none"}', 1)],
    "after a+b+c+more": [ASKS, calls(*"edcba"), *(result("1", n) for n in range(5))],
    "after a": [ASKS, calls("a", "a"), result("1"), result("2", 1)],
    "after find ": [ASKS, calls("find"), result("W1"), {"role": "user", "content": "Here is the page."}],
    "reply after find": [ASKS, calls("find"), result("W1"), GREETS, ASKS, GREETS, ASKS],
    "after lookup": [{"role": "tool", "name": "lookup", "content": "W1"}],
    "after click": [ASKS, {"role": "assistant", "content": '{"action": "click", "id": "B1"}'}, ASKS],
    "after click ": [
        ASKS,
        {"role": "assistant", "content": '{"memo": "x", "actions": [{"click": {"id": 1}}]}'},
        ASKS,
    ],
    "after click  ": [ASKS, {"role": "assistant", "content": '{"name": "click", "arguments": {}}'}, ASKS],
    "after click, failed": [
        ASKS,
        {"role": "assistant", "content": '{"actions": [{"click": {"id": 1}}]}'},
        {"role": "user", "content": "❌ action 'click' failed"},
        ASKS,
    ],
    "reply ": [ASKS, {"role": "assistant", "content": '{"name": "Anna Kim", "age": 3}'}, ASKS],
    "reply  ": [ASKS, {"role": "assistant", "content": '{"not": json'}, ASKS],
    "after find+show": [
        ASKS,
        calls("find", "show", ids=False),
        {"role": "tool", "tool_name": "find"},
        {"role": "tool"},
    ],
    "after find+show, failed": [
        *(
            ASKS,
            calls("find"),
            GREETS,
            {**calls("find", "show"), "tool_calls": calls("find", "show")["tool_calls"][1:]},
        ),
        *(result("Error: no"), result("W1", 1)),
    ],
    "after find    ": [
        ASKS,
        calls("find", "show", ids=False),
        {"role": "tool", "tool_call_id": "find", "content": "W1"},
    ],
    "after find   ": [ASKS, calls("find"), GREETS, result("W1")],
    "after do_it_now": [ASKS, calls("do it;now"), result("1")],
}


@pytest.mark.parametrize(("state", "messages"), CASES.items())
def test_a_state_is_what_the_end_of_a_conversation_shows(state, messages):
    assert state_of(Request(tuple(messages))) == state.rstrip()


@pytest.mark.parametrize("messages", [LANGCHAIN, ANTHROPIC, LEGACY])
def test_the_same_conversation_has_the_same_state_in_any_form(messages):
    assert state_of(request_from({"messages": messages})) == "after find"
    assert state_of(Request(tuple(LEGACY))) == "after find"


@pytest.mark.parametrize(
    "odd",
    [
        {"role": "assistant", "tool_calls": "none"},
        {"role": "assistant", "tool_calls": [None, {}, {"function": {"name": 7}}]},
        {"role": "assistant", "content": [{"type": "image"}, "text"]},
        {"role": "assistant", "content": "[" * 5_000},
        {"role": "assistant", "content": '{"actions": [[[[{}]]]], "function": {"function": {"function": {}}}}'},
        {"role": "assistant", "function_call": []},
        {"role": "assistant", "tool_calls": [{"function": "find", "id": "c0"}, {"function": ["find"]}]},
        {"role": "tool", "content": None, "tool_call_id": ["c0"]},
        {"content": "no role"},
    ],
)
def test_odd_messages_have_a_state_too(odd):
    for messages in ([odd], [ASKS, odd], [ASKS, odd, ASKS], [ASKS, calls("find"), odd], [ASKS, odd, result("W1")]):
        assert state_of(Request(tuple(messages)))
