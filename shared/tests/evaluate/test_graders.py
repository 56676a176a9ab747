"""Pairs of answers that are the same though they differ in form, and that differ though they look alike."""

from __future__ import annotations

import json
import sys

import pytest
from protege import Task
from protege.evaluate import Grader, grader_for


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


SQL_EQUAL = [
    ("SELECT a FROM t", "select a\n  from t;"),
    ("SELECT A FROM T", "SELECT a FROM t"),
    ("SELECT count(*) FROM t WHERE year  =  1980;", "select COUNT( * ) from T where YEAR=1980"),
    ("SELECT a FROM t WHERE b <> 'x'", "SELECT a FROM t WHERE b != 'x'"),
    ("SELECT a FROM t -- why\n", "SELECT a FROM t"),
    ("SELECT t1.a FROM t AS t1", "SELECT T1.a FROM t T1"),
    ("SELECT a FROM t WHERE x = 'It''s'", "select a from t where x='It''s'"),
]
SQL_DIFFERENT = [
    ("SELECT a FROM t", "SELECT b FROM t"),
    ("SELECT a FROM t WHERE x = 'A'", "SELECT a FROM t WHERE x = 'a'"),
    ("SELECT a FROM t WHERE x = '1'", "SELECT a FROM t WHERE x = 1"),
    ("SELECT a FROM t WHERE x < 1", "SELECT a FROM t WHERE x <= 1"),
    ("SELECT DISTINCT a FROM t", "SELECT a FROM t"),
    ("SELECT a FROM t ORDER BY a", "SELECT a FROM t ORDER BY a DESC"),
    ("SELECT a, b FROM t", "SELECT b, a FROM t"),
    ("SELECT a FROM t WHERE x = 'a  b'", "SELECT a FROM t WHERE x = 'a b'"),
    ("SELECT a FROM t JOIN u ON t.i = u.i", "SELECT a FROM t LEFT JOIN u ON t.i = u.i"),
    ("I cannot write that", "SELECT a FROM t"),
]


@pytest.mark.parametrize("with_sqlglot", [True, False])
@pytest.mark.parametrize(("answer", "teacher"), SQL_EQUAL)
def test_sql_that_differs_in_layout_only_agrees(
    answer: str, teacher: str, with_sqlglot: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_a_parser = any(sign in answer for sign in ("<>", "--", " AS "))
    if not with_sqlglot:
        monkeypatch.setitem(sys.modules, "sqlglot", None)
    assert grader("sql").agree(answer, teacher) is (with_sqlglot or not needs_a_parser)


@pytest.mark.parametrize("with_sqlglot", [True, False])
@pytest.mark.parametrize(("answer", "teacher"), SQL_DIFFERENT)
def test_sql_that_only_looks_alike_disagrees(
    answer: str, teacher: str, with_sqlglot: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not with_sqlglot:
        monkeypatch.setitem(sys.modules, "sqlglot", None)
    assert not grader("sql").agree(answer, teacher)


def test_a_label_is_the_same_but_for_white_space_around_it() -> None:
    assert grader("label").agree(" refund\n", "refund")
    assert not grader("label").agree("Refund", "refund")
    assert not grader("label").agree("re fund", "refund")


def test_free_text_is_marked_as_similarity_and_says_which() -> None:
    text = grader("text")
    assert text.similarity and "chrF" in text.name
    assert text.agree("You can call them at 925-600-0600.", "You can call them at 925-600-0600 .")
    assert not text.agree("Yes.", "The restaurant has no live music on Mondays.")
    assert 0 < text.score("The phone number is 510", "Their phone number is 510-669") < 1
    assert text.score("", "something") == 0
    assert not any(grader(kind).similarity for kind in ("label", "json", "tool_calls", "sql", "code"))
