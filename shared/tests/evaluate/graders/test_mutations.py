"""Right answers, spoilt in one place each: no grader lets one through."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from mutants import Mutant, of_code, of_json, of_lines, of_numbers, of_sql, of_tool_calls
from protege.call import Request
from protege.evaluate.graders import Code, Exact, Grader, JsonFields, Label, Numbers, Spans, Sql, ToolCalls
from protege.evaluate.graders.sql.execution import same_rows
from protege.evaluate.graders.sql.normal_form import normal_form
from protege.evaluate.graders.sql.schema import schema_in

TABLES = """CREATE TABLE dept (id INTEGER PRIMARY KEY, title TEXT NOT NULL, city TEXT);
CREATE TABLE emp (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, dept_id INT REFERENCES dept(id), salary REAL, hired DATE
);"""

JSON = [
    '{"name": "Ada", "age": 36, "admin": true, "tags": ["x", "y"]}',
    '{"intent": "refund", "amount": 12.5, "currency": "EUR", "order": null}',
    '{"people": [{"name": "Bo", "phone": "+46 70 123"}, {"name": "Cy", "phone": ""}]}',
    "[1, 2, 3]",
    '{"date": "2026-01-31", "time": "09:05", "seats": 0}',
    '{"street": "1 Main St", "zip": "02134", "state": "MA"}',
    '"yes"',
    '{"a": {"b": {"c": [false]}}}',
]
CALLS = [
    '{"name": "search", "arguments": {"query": "flights to Oslo", "limit": 5}}',
    '{"name": "cancel", "arguments": {"order_id": "#W123", "reason": "late"}}',
    '[{"name": "add", "arguments": {"x": 1, "y": -2}}, {"name": "add", "arguments": {"x": 3, "y": 4}}]',
    '{"name": "list_all", "arguments": {}}',
    '{"name": "weather", "arguments": {"city": "Rome", "days": [1, 2], "exact": true}}',
    '[{"name": "lights", "arguments": {"on": false, "rooms": ["hall", "bath"]}}, {"name": "lock", "arguments": {}}]',
]
QUERIES = [
    "SELECT name FROM emp WHERE salary > 10",
    "SELECT name, salary FROM emp WHERE dept_id = 3 AND salary <= 20 ORDER BY salary DESC",
    "SELECT dept_id, count(*) FROM emp GROUP BY dept_id HAVING count(*) > 2",
    "SELECT e.name, d.title FROM emp AS e JOIN dept AS d ON e.dept_id = d.id WHERE d.city = 'Paris'",
    "SELECT DISTINCT city FROM dept WHERE title LIKE '%sales%'",
    "SELECT max(salary), min(salary) FROM emp WHERE hired >= '2020-01-01'",
    "SELECT name FROM emp WHERE dept_id IN (SELECT id FROM dept WHERE city = 'Oslo')",
    "SELECT avg(salary) FROM emp WHERE NOT dept_id = 2",
    "SELECT title FROM dept WHERE city = 'Rome' UNION SELECT name FROM emp WHERE salary < 5",
    "SELECT name FROM emp WHERE hired BETWEEN '2019-01-01' AND '2020-06-30' OR salary IS NULL",
    "SELECT d.city, sum(e.salary) FROM dept d LEFT JOIN emp e ON e.dept_id = d.id GROUP BY d.city ORDER BY d.city",
    "SELECT name FROM emp WHERE salary = (SELECT max(salary) FROM emp)",
    "SELECT name FROM emp ORDER BY hired DESC LIMIT 3",
]
PROGRAMS = [
    "def area(w, h):\n    return w * h + 1",
    "def largest(items):\n    best = None\n    for item in items:\n        if best is None or item > best:\n"
    "            best = item\n    return best",
    "def greet(name):\n    # politely\n    return 'hello' + ' ' + name",
    "def is_even(n):\n    return n % 2 == 0 and n < 1000",
]
NUMBERS = ["The total is 1,204.50.", "42", "-7", "That makes 15%", "x = 0.05", "$3 million"]
SPANS = ["Oslo\nRome", "- Ada Lovelace\n- Alan Turing\n- Grace Hopper", '{"person": ["Ada"], "city": ["Rome", "Oslo"]}']
TYPED = ['[{"start": 0, "end": 4, "type": "PERSON"}, {"start": 9, "end": 13, "type": "CITY"}]', '["Rome", "Oslo"]']
LABELS = ["refund", "Not Sure", "A/B", "42", "über"]

SAME_MEANING = {
    ("DISTINCT", QUERIES[2]): "groups are distinct",
    ("LEFT JOIN", QUERIES[3]): "the condition on dept leaves out employees without one",
    ("DISTINCT", QUERIES[5]): "there is one row",
    ("DISTINCT", QUERIES[6]): "in a set for IN, repeats do not count",
    ("DISTINCT", QUERIES[7]): "there is one row",
    ("DISTINCT", QUERIES[8]): "UNION leaves out repeats itself",
    ("DISTINCT", QUERIES[10]): "groups are distinct",
    ("DISTINCT in the subquery", QUERIES[11]): "there is one row",
}
"""By what was done and to which query: rows are equal, yet in one place they are not asked and the verdict is
"different"."""


def spoilt_labels(text: str) -> Iterator[Mutant]:
    yield from (("case", text.swapcase()), ("longer", f"{text}s"), ("shorter", text[:-1]), ("inside", f"{text} {text}"))


CASES: list[tuple[Grader, list[str], Callable[[str], Iterator[Mutant]]]] = [
    (JsonFields(), JSON, of_json),
    (ToolCalls(), CALLS, of_tool_calls),
    (Numbers(), NUMBERS, of_numbers),
    (Code(), PROGRAMS, of_code),
    (Spans(), SPANS[:2], of_lines),
    (Label(), [text for text in LABELS if text != "42"], spoilt_labels),
    (Exact(), [text for text in LABELS if text != "42"], spoilt_labels),
]


@pytest.mark.parametrize(("grader", "answer", "spoil"), [(g, a, s) for g, answers, s in CASES for a in answers])
def test_a_spoilt_answer_never_agrees(grader: Grader, answer: str, spoil: Callable[[str], Iterator[Mutant]]) -> None:
    assert grader.agree(answer, answer)
    tried = list(spoil(answer))
    assert len(tried) >= 3
    passed = [(what, mutant) for what, mutant in tried if grader.agree(mutant, answer) or grader.agree(answer, mutant)]
    assert not passed


@pytest.mark.parametrize("answer", [SPANS[2], *TYPED])
def test_spoilt_spans_never_agree_but_for_order_repeats_and_white_space(answer: str) -> None:
    # a set has neither order nor repeats ("one more" repeats the last), and white space around its texts is none
    for what, mutant in of_json(answer):
        same_set = "reversed" in what or "padded" in what or ("one more" in what and '"more"' not in mutant)
        assert Spans().agree(mutant, answer) is same_set, (what, mutant)


@pytest.mark.parametrize("query", QUERIES)
def test_a_spoilt_query_never_agrees_by_form(query: str) -> None:
    assert not [what for what, mutant in of_sql(query) if Sql().agree(mutant, query)]


@pytest.mark.parametrize("query", QUERIES)
def test_a_spoilt_query_never_agrees_by_rows(query: str) -> None:
    grader = Sql().for_request(Request(({"role": "user", "content": TABLES},)))
    assert grader.agree(query, query)
    assert not [what for what, mutant in of_sql(query) if grader.agree(mutant, query) or grader.agree(query, mutant)]


@pytest.mark.parametrize("query", QUERIES)
def test_rows_alone_tell_a_spoilt_query_but_where_it_means_the_same(query: str) -> None:
    schema = schema_in(TABLES)
    passed = {what for what, mutant in of_sql(query) if same_rows(schema, mutant, query)}
    assert passed == {what.removesuffix(" in the subquery") for what, of in SAME_MEANING if of == query}


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_spoilt_in_two_places_never_agrees(query: str) -> None:
    grader = Sql().for_request(Request(({"role": "user", "content": TABLES},)))
    chance = random.Random(query)
    for what, once in of_sql(query):
        more, twice = chance.choice(list(of_sql(once)))
        if normal_form(twice) != normal_form(query):
            assert not grader.agree(twice, query), (what, more, twice)


def test_the_right_answers_are_many() -> None:
    assert sum(len(answers) for _, answers, _ in CASES) + len(QUERIES) + len(TYPED) + 1 >= 40
