"""JSON and tool calls: pairs that are the same though written differently, and that differ though they look alike."""

from __future__ import annotations

import json

import pytest
from protege import Task
from protege.call import Request
from protege.evaluate.graders import ABSENT, Grader, JsonFields, ToolCalls, grader_for


def grader(kind: str) -> Grader:
    return grader_for(Task(id="t", name="t", kind=kind))  # pyright: ignore[reportArgumentType]


JSON_EQUAL = [
    ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}'),
    ('{"a":1}', '{ "a" : 1 }'),
    ('{"a": 1}', '{"a": 1.0}'),
    ('{"a": 100}', '{"a": 1e2}'),
    ('{"a": "é"}', '{"a": "\\u00e9"}'),
    ('{"a": {"x": 1, "y": [1, 2]}}', '{"a": {"y": [1, 2.0], "x": 1}}'),
    ("[]", " [ ] "),
    ("{}", "{ }"),
    ("null", " null\n"),
    ('"text"', '"text" '),
    ("true", "true "),
    ('{"a": null}', '{"a":null}'),
    ('[{"k": 1, "l": 2}]', '[{"l": 2, "k": 1}]'),
    ('{"a": "x\\/y"}', '{"a": "x/y"}'),
    ('{"a": 0.10}', '{"a": 0.1}'),
    ('{"a": -0.0}', '{"a": 0}'),
    ('{"a": 12345678901234567890123}', '{"a":12345678901234567890123}'),
    ('{"a": {"b": {"c": {}}}}', '{"a":{"b":{"c":{}}}}'),
    ('{"a": "\\t"}', '{"a": "\\u0009"}'),
    ('{"a": 1,\n "b": "two"}', '{"b":"two","a":1}'),
    ("no JSON at all", " no JSON at all "),
    ('{"a": 1E+2}', '{"a": 100}'),
    ('{"a": 0.5}', '{"a": 5e-1}'),
    ('{"a": 2.50}', '{"a": 2.5}'),
    ('{"a": "\\""}', '{"a": "\\u0022"}'),
    ('{"a": "\\ud83d\\ude00"}', '{"a": "😀"}'),
    ('{"\\u0061": 1}', '{"a": 1}'),
    ('{"a": [ ], "b": { }}', '{"b":{},"a":[]}'),
    ("[[1, [2, [3]]]]", "[[1.0,[2,[3.0]]]]"),
    ('{"b": [{"y": 1, "x": null}], "a": false}', '{"a": false, "b": [{"x": null, "y": 1}]}'),
    ('{"a": 9007199254740993}', '{"a": 9007199254740993}'),
    ("-0", "0"),
    ("1e0", "1"),
]
JSON_DIFFERENT = [
    ('{"a": 1}', '{"a": "1"}'),
    ('{"a": true}', '{"a": 1}'),
    ('{"a": false}', '{"a": 0}'),
    ('{"a": null}', "{}"),
    ('{"a": ""}', '{"a": null}'),
    ('{"a": []}', '{"a": {}}'),
    ('{"a": [1, 2]}', '{"a": [2, 1]}'),
    ('{"a": "Paris"}', '{"a": "paris"}'),
    ('{"a": "Paris"}', '{"a": "Paris "}'),
    ('{"A": 1}', '{"a": 1}'),
    ('{"a": 1}', '{"a": 1, "b": null}'),
    ('{"a": 1}', '[{"a": 1}]'),
    ('{"a": 12345678901234567890123}', '{"a": 12345678901234567890124}'),
    ('{"a": 0.1}', '{"a": 0.10000001}'),
    ('{"a": "0123"}', '{"a": "123"}'),
    ('{"a": {"b": 1}}', '{"a": 1}'),
    ('{"a": {"b": 1}}', '{"a.b": 1}'),
    ('{"a": 1', '{"a": 1}'),
    ("null", "none"),
    ("null", '"null"'),
    ("[]", "null"),
    ('{"a": NaN}', '{"a": null}'),
    ('{"a": "02134"}', '{"a": 2134}'),
    ('{"a": 1, "a": 2}', '{"a": 2}'),
    ('{"a": 1, "a": 1}', '{"a": 1}'),
    ('{"a": 1e400}', '{"a": 1e500}'),
    ('{"a": 9007199254740993}', '{"a": 9007199254740992.0}'),
    ('{"a": -1}', '{"a": 1}'),
    ('{"a": [1, 2, 2]}', '{"a": [1, 2]}'),
    ('{"a": [[1], [2]]}', '{"a": [[1, 2]]}'),
    ('{"a": {"0": 1}}', '{"a": [1]}'),
    ('{"a": [1]}', '{"a": {"0": 1}}'),
    ('{"a": "true"}', '{"a": true}'),
    ('{"a": "null"}', '{"a": null}'),
    ('{"a": "[]"}', '{"a": []}'),
    ('{"a": {"b": 1, "c": 2}}', '{"a": {"b": 2, "c": 1}}'),
    ('{"a": "é"}', '{"a": "e\u0301"}'),
    ('{"a": "1,000"}', '{"a": "1000"}'),
    ('{"a": 1}{"a": 1}', '{"a": 1}'),
    ("{'a': 1}", '{"a": 1}'),
    ('{"a": 1,}', '{"a": 1}'),
    ("", "null"),
]


@pytest.mark.parametrize(("answer", "teacher"), JSON_EQUAL)
def test_json_that_differs_in_form_only_agrees(answer: str, teacher: str) -> None:
    assert grader("json").agree(answer, teacher)
    assert grader("json").agree(teacher, answer)
    assert grader("json").score(answer, teacher) == 1


@pytest.mark.parametrize(("answer", "teacher"), JSON_DIFFERENT)
def test_json_that_only_looks_alike_disagrees(answer: str, teacher: str) -> None:
    assert not grader("json").agree(answer, teacher)
    assert not grader("json").agree(teacher, answer)
    assert grader("json").score(answer, teacher) < 1


def test_json_scores_the_share_of_equal_fields() -> None:
    assert grader("json").score('{"a": 1, "b": 2}', '{"a": 1, "b": 3}') == 0.5
    assert grader("json").score('{"a": 1}', '{"a": 1, "b": 2, "c": 3}') == pytest.approx(1 / 3)
    assert grader("json").score('{"a": [1, 2], "b": {}}', '{"a": [1, 5], "b": {}}') == pytest.approx(2 / 3)
    assert grader("json").score("broken", '{"a": 1}') == 0


def test_json_nested_beyond_reason_is_no_json() -> None:
    deep = "[" * 200_000
    assert not grader("json").agree(deep, "[]")


def call(name: str, **arguments: object) -> dict[str, object]:
    return {"name": name, "arguments": arguments}


TOOLS_EQUAL = [
    (call("f", a=1, b=2), call("f", b=2, a=1)),
    (call("f", a=1), call("f", a=1.0)),
    (call("f", a=1), [call("f", a=1)]),
    ([call("f", a=1), call("g", b=2)], [call("g", b=2), call("f", a=1)]),
    ([call("f", a=1), call("f", a=2)], [call("f", a=2), call("f", a=1)]),
    ([call("f", a=1), call("f", a=1)], [call("f", a=1), call("f", a=1)]),
    (call("f"), call("f")),
    (call("f", a={"x": 1, "y": 2}), call("f", a={"y": 2, "x": 1})),
    (call("f", a=[1, 2]), call("f", a=[1.0, 2.0])),
    (call("f", a="é"), call("f", a="\u00e9")),
    (call("f", a=None), call("f", a=None)),
    (call("f", a=True), call("f", a=True)),
    (call("f", a=10**25), call("f", a=10**25)),
    (call("f", a=-3), call("f", a=-3.0)),
    (call("f", a=[]), call("f", a=[])),
    (call("f", a=[{"k": 1, "l": 2}]), call("f", a=[{"l": 2, "k": 1}])),
    ([call("g"), call("f"), call("h")], [call("h"), call("g"), call("f")]),
    (call("f", a=0.5), call("f", a=0.50)),
    (call("f", a=1e3), call("f", a=1000)),
    ("There is no tool for this.", "There is no tool\nfor this. "),
    ({"arguments": {"a": 1}, "name": "f"}, call("f", a=1)),
    ({"id": "call_1", "type": "function", **call("f", a=1)}, call("f", a=1)),
    ([call("f", a=1), call("f", a=2), call("f", a=1)], [call("f", a=2), call("f", a=1), call("f", a=1)]),
    ([call("g", x=[1, {"b": 2, "a": 1}]), call("f")], [call("f"), call("g", x=[1, {"a": 1, "b": 2}])]),
    (call("a.b", x=1), call("a.b", x=1.0)),
    (call("f", a="a\nb"), call("f", a="a\u000ab")),
    ("", " \n"),
    (call("f", a={"b": {"c": [True, None]}}), [call("f", a={"b": {"c": [True, None]}})]),
    (call("f", **{"with space": 1}), call("f", **{"with space": 1.0})),
]
TOOLS_DIFFERENT = [
    (call("f", a=1), call("f", a="1")),
    (call("f", a=1), call("f", a=True)),
    (call("f", a=0), call("f", a=False)),
    (call("f", a=1), call("g", a=1)),
    (call("f", a=1), call("F", a=1)),
    (call("f", a=1), call("f", A=1)),
    (call("f", a=1), call("f")),
    (call("f", a=None), call("f")),
    (call("f", a=[1, 2]), call("f", a=[2, 1])),
    (call("f", a=[1]), call("f", a=1)),
    (call("f", a=1), [call("f", a=1), call("f", a=1)]),
    ([call("f", a=1), call("g", b=2)], [call("f", b=2), call("g", a=1)]),
    ([call("f", a=1), call("f", a=1)], [call("f", a=1), call("f", a=2)]),
    (call("f", a="NYC"), call("f", a="nyc")),
    (call("f", a="2019-03-04"), call("f", a="2019-04-03")),
    (call("f", a={"x": 1}), call("f", a={"x": 1, "y": None})),
    (call("f", a=""), call("f", a=None)),
    (call("f", a=10**25), call("f", a=10**25 + 1)),
    (call("f", a=1), "f(a=1)"),
    (call("f"), {"name": "f"}),
    ("There is no tool for this.", "There is no tool for that."),
    ("[]", call("f")),
    (call("f", a=0.1), call("f", a=0.2)),
    (call("f", a=1), call("f ", a=1)),
    (call("f", a=1), call("f", b=1)),
    (call("f", a=1, b=2), call("f", a=2, b=1)),
    (call("f", a=1, b=None), call("f", a=1)),
    (call("f", a="1,2"), call("f", a=[1, 2])),
    (call("f", a=[[1], [2]]), call("f", a=[[2], [1]])),
    (call("f", a=-1), call("f", a=1)),
    (call("f", a="x "), call("f", a="x")),
    (call("f", a={}), call("f", a=[])),
    (call("f", a={"x": 1}), call("f", x=1)),
    ([call("f", a=1), call("f", a=2)], [call("f", a=1), call("f", a=1)]),
    ([call("f"), call("g")], [call("f"), call("g"), call("g")]),
    ([call("f"), call("g")], call("f")),
    ({"name": "f", "arguments": "{}"}, call("f")),
    ({"name": None, "arguments": {}}, {"name": "None", "arguments": {}}),
    ({"function": call("f")}, call("f")),
    (call("f", a=1), 'I will call f: {"name": "f", "arguments": {"a": 1}}'),
    ('{"name": "f", "arguments": {"a": 1, "a": 2}}', call("f", a=2)),
    ("there is no tool for this.", "There is no tool for this."),
]


def written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@pytest.mark.parametrize(("answer", "teacher"), TOOLS_EQUAL)
def test_tool_calls_that_differ_in_form_only_agree(answer: object, teacher: object) -> None:
    assert grader("tool_calls").agree(written(answer), written(teacher))
    assert grader("tool_calls").score(written(answer), written(teacher)) == 1


@pytest.mark.parametrize(("answer", "teacher"), TOOLS_DIFFERENT)
def test_tool_calls_that_only_look_alike_disagree(answer: object, teacher: object) -> None:
    assert not grader("tool_calls").agree(written(answer), written(teacher))
    assert not grader("tool_calls").agree(written(teacher), written(answer))
    assert grader("tool_calls").score(written(answer), written(teacher)) < 1


def test_tool_calls_score_names_and_arguments() -> None:
    score = grader("tool_calls").score
    assert score(written(call("f", a=1, b=2)), written(call("f", a=1, b=3))) == pytest.approx(2 / 3)
    assert score(written(call("f", a=1)), written(call("g", a=1))) == 0
    assert score(written(call("f")), written([call("f"), call("g")])) == 0.5


def test_an_order_that_does_not_count_is_said_by_path() -> None:
    one, other = '{"tags": ["a", "b"], "steps": [1, 2]}', '{"tags": ["b", "a"], "steps": [1, 2]}'
    assert not JsonFields().agree(one, other)
    assert JsonFields(unordered=["tags"]).agree(one, other) and JsonFields(unordered="tags").agree(one, other)
    assert JsonFields(unordered=["tags"]).score(one, other) == 1
    assert not JsonFields(unordered=["tags"]).agree(one, '{"tags": ["a", "b"], "steps": [2, 1]}')
    assert JsonFields(unordered=True).agree(one, '{"tags": ["b", "a"], "steps": [2, 1]}')
    assert not JsonFields(unordered=True).agree('{"tags": ["a", "a", "b"]}', '{"tags": ["a", "b", "b"]}')
    inner = JsonFields(unordered=["items[].tags"])
    assert inner.agree('{"items": [{"tags": [1, 2]}, {"tags": [3]}]}', '{"items": [{"tags": [2, 1]}, {"tags": [3]}]}')
    assert not inner.agree('{"items": [{"tags": [1]}, {"tags": [3]}]}', '{"items": [{"tags": [3]}, {"tags": [1]}]}')
    assert JsonFields(unordered=[""]).agree("[1, 2]", "[2, 1]") and not JsonFields(unordered=False).agree(
        "[1, 2]", "[2, 1]"
    )


def test_a_tolerance_is_for_numbers_only() -> None:
    near = JsonFields(abs_tol=0.01)
    assert near.agree('{"price": 9.99, "at": [1]}', '{"price": 10, "at": [1.005]}')
    assert not near.agree('{"price": 9.98}', '{"price": 10}')
    assert not near.agree('{"price": "9.99"}', '{"price": "10"}') and not near.agree("true", "1")
    assert JsonFields(rel_tol=0.01).agree("1000", "1009") and not JsonFields(rel_tol=0.01).agree("1000", "1011")
    assert not near.agree(f"1{'0' * 400}", f"2{'0' * 400}"), "beyond what floats hold"
    assert "0.01" in near.name and "any order" in JsonFields(unordered=True).name


def test_sets_with_a_tolerance_pair_each_item_once() -> None:
    grader = JsonFields(unordered=True, abs_tol=0.1)
    assert grader.agree("[1.0, 1.1]", "[1.18, 1.08]")
    assert not grader.agree("[1.0, 1.05]", "[1.05, 3]")
    assert not grader.agree("[1.0, 1.0]", "[1.0]")


def test_an_answer_that_breaks_the_schema_of_the_request_does_not_agree() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 10}}}
    format_ = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    request = Request(({"role": "user", "content": "?"},), response_format=format_)
    lax = JsonFields(abs_tol=1)
    assert lax.agree('{"n": 11}', '{"n": 10}')
    assert not lax.for_request(request).agree('{"n": 11}', '{"n": 10}')
    assert lax.for_request(request).agree('{"n": 9}', '{"n": 10}')
    assert lax.agree('{"n": 11}', '{"n": 10}'), "binding leaves the grader as it was"


def test_values_that_mean_the_same_are_said_by_argument() -> None:
    grader = ToolCalls(
        same_values={"weather.unit": [["C", "celsius", ABSENT], ["F", "fahrenheit"]], "weather.n": [[1, "one"]]}
    )

    def agree(one: object, other: object) -> bool:
        return grader.agree(written(one), written(other))

    assert agree(call("weather", unit="celsius"), call("weather", unit="C"))
    assert agree(call("weather"), call("weather", unit="C"))
    assert agree([call("weather", n="one"), call("g")], [call("g"), call("weather", n=1)])
    assert grader.score(written(call("weather")), written(call("weather", unit="C"))) == 1
    assert not agree(call("weather", unit="F"), call("weather", unit="C"))
    assert not agree(call("weather", unit="F"), call("weather"))
    assert not agree(call("weather", unit="kelvin"), call("weather", unit="C"))
    assert not agree(call("other", unit="celsius"), call("other", unit="C"))
    assert not agree(call("weather", n=True), call("weather", n=1))


def test_arguments_take_the_rules_of_json() -> None:
    grader = ToolCalls(unordered=["f.tags"], abs_tol=0.5)
    assert grader.agree(written(call("f", tags=["a", "b"], x=1)), written(call("f", tags=["b", "a"], x=1.4)))
    assert not grader.agree(written(call("f", steps=["a", "b"])), written(call("f", steps=["b", "a"])))
    assert not grader.agree(written(call("g", tags=["a", "b"])), written(call("g", tags=["b", "a"])))


def test_a_hundred_levels_are_compared_and_more_are_not() -> None:
    for levels, agreed in ((99, True), (300, False), (900, False)):
        one, other = "[" * levels + "1" + "]" * levels, "[" * levels + "1.0" + "]" * levels
        assert grader("json").agree(one, other) is agreed
        assert grader("json").score(one, other) == agreed
