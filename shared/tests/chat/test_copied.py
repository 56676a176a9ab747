"""An argument that the teacher always copies must stand in the conversation, or in the tool's own list of values."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from protege.call import Call, Request
from protege.chat.copied import LEAST, copied_in, made_up, stands
from protege.task import Example

ENUM = {"type": "string", "enum": ["no longer needed", "ordered by mistake"]}
PROPERTIES = {
    "id": {"type": "string"},
    "reason": ENUM,
    "items": {"type": "array", "items": {"enum": ["lamp", "chair"]}},
}
TOOLS = ({"type": "function", "function": {"name": "cancel", "parameters": {"properties": PROPERTIES}}},)


def request(text, *more):
    return Request(({"role": "user", "content": text}, *more), tools=TOOLS)


def cancels(order, reason="no longer needed", note="fine", **more):
    arguments = {"id": order, "reason": reason, "note": note, **more}
    return json.dumps({"name": "cancel", "arguments": arguments})


def example(n, answer=None):
    call = Call(id=str(n), request=request(f"Cancel #W{n:05}, please: {n % 7} of them"))
    return Example(str(n), call, answer or cancels(f"#W{n:05}", note=f"as said {n}"))


TAUGHT = [example(n) for n in range(LEAST)]


def test_what_is_always_copied_is_learnt_from_enough_answers():
    assert copied_in(TAUGHT) == ("cancel.id", "cancel.reason")
    assert copied_in(TAUGHT[1:]) == ()
    assert copied_in([*TAUGHT, example(77, cancels("#W00001", "he said so"))]) == ()
    words = [
        replace(one, answer=text) for one, text in zip(TAUGHT, ("Done.", "{broken", "[1, null]", "7"), strict=False)
    ]
    assert copied_in([*TAUGHT, *words]) == ("cancel.id", "cancel.reason")


@pytest.mark.parametrize(
    ("answer", "path"),
    [
        (cancels("#W11111"), ""),
        (cancels("#W1111"), "cancel.id"),
        (cancels("#W22222"), ""),
        (cancels("#W33333"), ""),
        (cancels("#W11111", "ordered by mistake"), ""),
        (cancels("#W11111", "because"), "cancel.reason"),
        (json.dumps([json.loads(cancels("#W11111")), json.loads(cancels("#W9"))]), "cancel.id"),
        ("I cancelled #W9.", ""),
        ("{broken", ""),
    ],
)
def test_a_value_that_stands_nowhere_is_told(answer, path):
    call = {"role": "assistant", "tool_calls": [{"function": {"name": "get", "arguments": '{"id": "#W33333"}'}}, "odd"]}
    said = request("Cancel #W11111", call, {"role": "tool", "content": '{"orders": ["#W22222"]}'})
    assert made_up(answer, said, ("cancel.id", "cancel.reason")) == path
    assert made_up(answer, said, ()) == ""


def test_lists_of_values_and_fields_of_json_are_looked_at_too():
    assert (
        made_up(cancels("#W11111", items=["lamp", "sofa"]), request("#W11111"), ("cancel.items[]",)) == "cancel.items[]"
    )
    assert made_up(cancels("#W11111", items=["lamp"]), request("#W11111"), ("cancel.items[]",)) == ""
    answer = json.dumps({"actions": [{"click": {"id": "B17"}}], "n": 4, "price": 129.5})
    for text, path in (("B17[:]<a>, 129.5", ""), ("B171, 129.5", "actions[].click.id"), ("B17 129.50", "price")):
        assert made_up(answer, request(text), ("actions[].click.id", "price")) == path


@pytest.mark.parametrize(
    ("value", "text", "there"),
    [
        ("Yusuf", "I am Yusuf.", True),
        ("Yusuf", "I am Yusufa.", False),
        ("Zoë", json.dumps({"name": "Zoë"}, ensure_ascii=False), True),
        ('say "hi"', json.dumps({"said": 'say "hi"'}), True),
        ("#W1", "order#W1", True),
        ("a\ud800", "x a\ud800", True),
        ("aaa", "a" * 100_000, False),
    ],
)
def test_a_value_stands_as_a_word_of_its_own(value, text, there):
    assert stands(value, text) is there
