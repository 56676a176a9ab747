"""A JSON schema from outside is checked in bounded time, with the meaning that JSON Schema gives it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from protege.chat import breaks

LONGEST_S = 2.0
"""Of processor time."""

OBJECTS = [{"a": number} for number in range(5000)]


def doubling(levels: int) -> dict[str, Any]:
    definitions: dict[str, Any] = {"a0": {"type": "string"}}
    for level in range(1, levels):
        definitions[f"a{level}"] = {"allOf": [{"$ref": f"#/$defs/a{level - 1}"}] * 2}
    return {"$defs": definitions, "$ref": f"#/$defs/a{levels - 1}"}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


HOSTILE: dict[str, tuple[Any, dict[str, Any]]] = {
    "a pattern of nested repeats": ("a" * 50_000 + "!", {"pattern": "^(a+)+$"}),
    "a pattern of alternatives": ("a" * 50_000 + "!", {"pattern": "^(a|aa|a?)*$"}),
    "a pattern of many optional parts": ("a" * 9_000, {"pattern": "(a?){999}b"}),
    "a pattern that is large": ("a", {"pattern": "((a{1,100}){1,100}){1,100}"}),
    "a pattern of names": (
        {"a" * 5000 + "!": 1},
        {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False},
    ),
    "a pattern of names by itself": ({"a" * 5000 + "!": 1}, {"propertyNames": {"pattern": "^(a+)+$"}}),
    "a pattern and what is left": (
        {"a" * 5000 + "!": 1},
        {"patternProperties": {"^(a+)+$": {}}, "unevaluatedProperties": False},
    ),
    "a reference to itself": ("x", {"$ref": "#"}),
    "references that double": ("x", doubling(40)),
    "unique items of several types": ([*OBJECTS, 1, "x"], {"uniqueItems": True}),
    "a schema whose values are of several types": (1, {"enum": [*OBJECTS, 1, "x"], "required": ["a"]}),
    "many items among many values": (list(range(3000)), {"items": {"enum": list(range(3000))}}),
    "many alternatives for a long list": ([[1] * 2000], {"items": {"anyOf": [{"type": "string"}] * 3000}}),
    "a deep value": (1, nested(200)),
    "a schema that is too deep to be written": (1, nested(400)),
    "a number that is divided": (1e300, {"multipleOf": 1e-300}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_schema_takes_long(name: str) -> None:
    value, schema = HOSTILE[name]
    begin_s = time.process_time()
    breaks(value, schema)
    breaks(value, schema)
    assert time.process_time() - begin_s < 2 * LONGEST_S


@pytest.mark.parametrize(
    ("value", "schema", "broken"),
    [
        ("abc", {"pattern": "^[a-c]+$"}, False),
        ("abz", {"pattern": "^[a-c]+$"}, True),
        ("xaby", {"pattern": "ab"}, False),
        ("abc", {"pattern": r"^\u0061bc$"}, False),
        ({"a1": 1}, {"patternProperties": {"^a": {"type": "string"}}}, True),
        ({"a1": "x"}, {"patternProperties": {"^a": {"type": "string"}}, "additionalProperties": False}, False),
        ({"b": "x"}, {"patternProperties": {"^a": {}}, "additionalProperties": False}, True),
        ({"b": "x"}, {"additionalProperties": {"type": "integer"}}, True),
        ([1, 1.0], {"uniqueItems": True}, True),
        ([1, True], {"uniqueItems": True}, False),
        ([{"a": [1]}, {"a": [1]}], {"uniqueItems": True}, True),
        (True, {"enum": [1]}, True),
        (1.0, {"const": 1}, False),
        ({"a": None}, {"const": {"a": None}}, False),
        ("k7", {"enum": [f"k{number}" for number in range(3000)]}, False),
        (1, {"$schema": "http://json-schema.org/draft-04/schema#", "type": "string"}, True),
        ([1, 2, 3], {"unevaluatedItems": False, "prefixItems": [{}, {}]}, True),
        ([{"n": [{"n": []}]}], {"items": {"properties": {"n": {"$ref": "#"}}}, "type": "array"}, False),
    ],
)
def test_schemas_mean_what_they_meant(value: Any, schema: dict[str, Any], broken: bool) -> None:
    assert breaks(value, schema) is broken


@pytest.mark.parametrize("pattern", ["(?=y)x", "(?!x)x", r"(a)\1", "["])
def test_a_pattern_that_cannot_be_read_in_linear_time_says_nothing(pattern: str) -> None:
    assert not breaks("x", {"pattern": pattern})
    assert not breaks({"x": 1}, {"patternProperties": {pattern: {"type": "string"}}, "additionalProperties": False})


def test_a_long_answer_is_checked_within_the_budget() -> None:
    row = {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(10)}, "required": ["p0"]}
    schema = {"type": "array", "items": row | {"additionalProperties": False}}
    rows: list[Any] = [{f"p{i}": "text" for i in range(10)} for _ in range(1000)]
    assert not breaks(rows, schema)
    assert breaks([*rows, {"p0": 1}], schema)
