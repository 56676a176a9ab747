"""What a schema says of an answer, where the schema itself is not sound."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from protege import Task
from protege.call import Request
from protege.chat.answer import breaks, message_from
from protege.errors import InvalidAnswer

TASK = Task(id="t", name="t", kind="json")


def asking(schema: Mapping[str, object]) -> Request:
    return Request(
        messages=({"role": "user", "content": "?"},),
        response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": schema}},
    )


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/Gone"}}},
        {"$ref": "https://example.invalid/schema.json"},
        {"$ref": "#/definitions/Gone", "definitions": {}},
        {"$dynamicRef": "#gone"},
        {"type": "no such type"},
    ],
)
def test_a_schema_that_refers_to_what_is_not_there_says_nothing_of_the_answer(schema: dict[str, object]) -> None:
    assert message_from('{"a": 1}', TASK, asking(schema))["content"] == '{"a": 1}'
    assert not breaks({"a": 1}, schema)


def test_a_reference_within_the_schema_counts() -> None:
    schema = {"properties": {"a": {"$ref": "#/$defs/Number"}}, "$defs": {"Number": {"type": "number"}}}
    assert message_from('{"a": 1}', TASK, asking(schema))
    with pytest.raises(InvalidAnswer, match="breaks the schema"):
        message_from('{"a": "1"}', TASK, asking(schema))


def test_tool_arguments_are_checked_by_what_can_be_resolved_only() -> None:
    parameters = {"type": "object", "properties": {"a": {"$ref": "#/gone"}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    request = Request(messages=({"role": "user", "content": "?"},), tools=(tool,))
    task = Task(id="t", name="t", kind="tool_calls")
    assert message_from('{"name": "f", "arguments": {"a": 1}}', task, request)["tool_calls"]
