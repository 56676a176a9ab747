"""The teacher that users test with."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from protege.call import Request
from protege_langchain.testing import ScriptedTeacher


@tool
def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


def test_it_answers_by_the_last_messages_text():
    teacher = ScriptedTeacher({"spam?": "yes"})
    assert teacher.invoke([("system", "Judge."), ("user", "spam?")]).content == "yes"
    with pytest.raises(KeyError):
        teacher.invoke("something else")


def test_it_answers_by_a_function_of_the_whole_request():
    def answer(request: Request) -> str:
        return f"{request.system} {request.tool_names} {request.parameters}"

    teacher = ScriptedTeacher(answer).bind_tools([add])
    assert teacher.invoke([("system", "Judge."), ("user", "x")], temperature=0).content == (
        "Judge. ('add',) {'temperature': 0}"
    )


def test_it_says_what_it_is_told_in_any_form():
    call = {"id": "c", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}
    told = [{"role": "assistant", "content": None, "tool_calls": [call]}, AIMessage("hi"), ValueError("busy")]
    answers = iter(told)
    teacher = ScriptedTeacher(lambda request: next(answers))
    asked = teacher.invoke("x")
    assert asked.tool_calls[0]["args"] == {"a": 1, "b": 2}
    assert asked.response_metadata == {"model_name": "scripted-teacher", "finish_reason": "tool_calls"}
    assert teacher.invoke("x").content == "hi"
    with pytest.raises(ValueError, match="busy"):
        teacher.invoke("x")


async def test_it_streams_word_by_word_what_it_says_at_once():
    text = "  one two\n three "
    teacher = ScriptedTeacher({"x": text}, count_tokens=len)
    chunks = [chunk async for chunk in teacher.astream("x")]
    assert len(chunks) > 3
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    said = teacher.invoke("x")
    assert whole.content == said.content == text
    assert (
        whole.usage_metadata
        == said.usage_metadata
        == {
            "input_tokens": 1 + len("\n"),
            "output_tokens": len(text),
            "total_tokens": 2 + len(text),
        }
    )
