"""How a grader is chosen and added, and the graders of labels, code, spans, numbers and texts."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from protege import Task
from protege.call import Request
from protege.errors import BadInput, MissingDependency
from protege.evaluate.graders import (
    Code,
    Exact,
    Grader,
    JsonFields,
    Label,
    LlmJudge,
    Numbers,
    RougeL,
    Spans,
    Sql,
    TextSimilarity,
    ToolCalls,
    grader_for,
    grader_names,
    measured,
    register,
    registry,
)
from protege.task import KINDS, Kind

DOCS = Path(__file__).parents[4] / "docs" / "graders.md"


def task(kind: Kind = "text") -> Task:
    return Task(id="t", name="t", kind=kind)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_graders", dict(registry._graders))


class FirstLetter(Grader):
    name = "same first letter"

    def agree(self, answer: str, teacher: str) -> bool:
        return answer[:1] == teacher[:1]


class Needy(FirstLetter):
    def __init__(self, letters: int) -> None:
        self.letters = letters


first_letter = FirstLetter()


def test_each_kind_has_its_grader() -> None:
    kinds = {
        "label": Label,
        "json": JsonFields,
        "tool_calls": ToolCalls,
        "sql": Sql,
        "code": Code,
        "text": TextSimilarity,
    }
    assert {kind: type(grader_for(task(kind))) for kind in KINDS} == kinds
    assert [kind for kind in KINDS if grader_for(task(kind)).similarity] == ["text"]
    assert all(grader_for(task(), name).name for name in grader_names())


@pytest.mark.parametrize(
    ("chosen", "kind"),
    [
        ("exact", Exact),
        ("tool calls", ToolCalls),
        ("tool_calls", ToolCalls),
        (" Numbers ", Numbers),
        ("ROUGE", RougeL),
        ("spans", Spans),
    ],
)
def test_a_chosen_name_goes_before_the_kind(chosen: str, kind: type) -> None:
    assert type(grader_for(task("json"), chosen)) is kind
    assert type(grader_for(task("json"), "  ")) is JsonFields


def test_a_grader_of_ones_own_is_named_by_its_module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "my_graders.py").write_text(
        "from protege.evaluate import Grader\n"
        "class Mine(Grader):\n    name = 'mine'\n    def agree(self, answer, teacher): return True\n"
        "made = Mine()\nnothing = 3\nclass Half(Grader):\n    name = 'half'\n"
        "class Needy(Mine):\n    def __init__(self, n): ...\n"
    )
    (tmp_path / "broken_graders.py").write_text("def (")
    monkeypatch.syspath_prepend(tmp_path)
    assert grader_for(task(), "my_graders:Mine").name == "mine"
    assert grader_for(task(), "my_graders:made") is grader_for(task(), "my_graders:made")
    for wrong, said in {
        "my_graders:Gone": "has no 'Gone'",
        "my_graders:nothing": "is not a grader",
        "my_graders:Half": "cannot be made without arguments",
        "my_graders:Needy": "cannot be made without arguments",
        "broken_graders:Mine": "cannot be imported",
        "no_such_module:Mine": "cannot be imported",
        "my_graders:": "has no ''",
        ":Mine": "cannot be imported",
        "..up:Mine": "cannot be imported",
        "my_graders.Mine": "There is no grader",
        "nonsense": "Choose one of: code, decisive, exact, json",
    }.items():
        with pytest.raises(BadInput, match=re.escape(said)) as raised:
            grader_for(task(), wrong)
        assert raised.value.remedy


def test_a_registered_grader_is_chosen_by_name_or_judges_its_kind() -> None:
    register("first letter", first_letter)
    assert grader_for(task("sql"), "First_Letter").agree("abc", "axy")
    assert isinstance(grader_for(task("sql")), Sql)
    register("code", first_letter)
    assert grader_for(task("code")) is first_letter
    assert first_letter.score("abc", "axy") == 1 and first_letter.score("abc", "xyz") == 0
    assert first_letter.for_request(Request(({"role": "user", "content": "?"},))) is first_letter


@pytest.mark.parametrize("name", ["", "  ", "a:b"])
def test_a_name_that_cannot_be_chosen_is_refused(name: str) -> None:
    with pytest.raises(BadInput):
        register(name, first_letter)
    with pytest.raises(BadInput, match="not a grader"):
        register("mine", object())  # pyright: ignore[reportArgumentType]


ODD = [
    "",
    "\0",
    "\ud800",
    "[",
    "{" * 5000,
    "[" * 100_000,
    "1" * 50_000,
    "$" * 20_000,
    "9," * 10_000,
    "1e99999999999",
    "NaN",
    f"SELECT {'(' * 3000}",
    f"SELECT {'a+' * 2000}a",
    "def f(" * 2000,
    f"x={'-' * 20_000}1",
    "```" * 3000,
    "\n" * 20_000,
    "- " * 10_000,
    f'{{"name": "f", "arguments": {{"a": {"9" * 5000}}}}}',
    '"\\ud800"',
    "null",
    "[]",
    "{}",
    "%" * 5000,
]


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize("name", grader_names())
def test_odd_answers_are_judged_and_agree_with_themselves(name: str) -> None:
    grader = grader_for(task(), name)
    for answer in ODD:
        assert grader.agree(answer, answer)
        for other in ("x", "1", '{"a": 1}'):
            assert not grader.agree(answer, other) and not grader.agree(other, answer)
            assert 0 <= grader.score(answer, other) < 1


def blocks() -> Iterator[str]:
    yield from re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)


def test_the_examples_of_the_documentation_work() -> None:
    for block in blocks():
        exec(compile(block, "docs/graders.md", "exec"), {"__name__": "docs"})
    host = grader_for(task(), "host")
    assert host.agree("https://example.org/a?b=1", "http://Example.org")
    assert not host.agree("https://example.org", "https://example.com") and not host.agree("none", "none")
    added = next(block for block in blocks() if "class " in block)
    assert len([line for line in added.splitlines() if line]) <= 10


def test_labels_are_the_same_but_for_white_space_around_them() -> None:
    assert Label().agree(" refund\n", "refund")
    assert not Label().agree("Refund", "refund") and not Label().agree("re fund", "refund")


def test_labels_have_aliases_and_may_leave_case_out() -> None:
    grader = Label({"Cancelled": "canceled", "n/a": "none"}, ignore_case=True)
    assert (
        grader.agree("CANCELLED", "canceled") and grader.agree("N/A", "None") and grader.agree("cancelled", "Cancelled")
    )
    assert not grader.agree("cancelled", "none")
    assert not Label({"cancelled": "canceled"}).agree("Cancelled", "canceled")


CODE_SAME = [
    ("def f(x):\n    return x+1", "def f(x): return x + 1  # more"),
    ("x = 'a'", 'x = "a"'),
    ("x = (1)", "x = 1"),
    ("x = 0x10", "x = 16"),
    ("x = u'a'", "x = 'a'"),
    ('def f():\n    """Says."""\n    return 1', "def f():\n    return 1"),
    ('"""Module."""\nx = 1', "x = 1"),
    ('class A:\n    """Doc."""', "class A:\n    pass"),
    ("x = [1,\n     2]", "x = [1, 2]"),
    ("```python\nx = 1\n```", "```\nx  =  1\n```"),
    ("if a:\n\tb", "if a:\n    b"),
    ("not code at all", " not code at all\n"),
]
CODE_DIFFERENT = [
    ("def f(x): return x + 1", "def f(x): return 1 + x"),
    ("def f(x): return x", "def f(y): return y"),
    ("x = 1", "x = 1.0"),
    ("x = 1", "x = True"),
    ("x = 'a'", "x = b'a'"),
    ("x = -1", "x = 1"),
    ("a and b or c", "a and (b or c)"),
    ("x = 1\ny = 2", "y = 2\nx = 1"),
    ("if a:\n    b\n    c", "if a:\n    b\nc"),
    ("```python\nx = 1\n```", "x = 1"),
    ("x = 1", "x = 1\nprint(x)"),
    ("x == 1", "x is 1"),
    ("SELECT  1", "SELECT 1"),
    ("def f(:", "def f():"),
    ("x = '\\0'", "x = '\0'"),
    ('def f():\n    "a"', 'def f():\n    x = "a"'),
    ("(" * 500 + ")" * 500, "()"),
]


@pytest.mark.parametrize(("answer", "teacher"), CODE_SAME)
def test_code_that_differs_in_layout_only_agrees(answer: str, teacher: str) -> None:
    assert Code().agree(answer, teacher) and Code().agree(teacher, answer)


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize(("answer", "teacher"), CODE_DIFFERENT)
def test_code_that_only_looks_alike_disagrees(answer: str, teacher: str) -> None:
    assert not Code().agree(answer, teacher) and not Code().agree(teacher, answer)


@pytest.mark.parametrize(
    ("answer", "teacher", "same", "score"),
    [
        ('["Ada", "Bo"]', '["Bo", "Ada"]', True, 1),
        ('["Ada", "Ada"]', '["Ada"]', True, 1),
        ('["Ada  Lovelace"]', '["Ada Lovelace"]', True, 1),
        ("Ada\nBo", "- Bo\n- Ada", True, 1),
        ("1. Ada\n2) Bo", "Ada\nBo", True, 1),
        ("[]", "", True, 1),
        ('{"person": ["Ada"], "city": []}', '{"person": "Ada"}', True, 1),
        ('{"person": ["Ada"], "city": null}', '{"person": ["Ada"], "city": ""}', True, 1),
        ('[{"start": 0, "end": 3, "type": "P"}]', '[{"type": "P", "end": 3.0, "start": 0}]', True, 1),
        ('["Ada"]', '["ada"]', False, 0),
        ('["Ada", "Bo"]', '["Ada"]', False, 2 / 3),
        ('{"person": ["Ada"]}', '{"city": ["Ada"]}', False, 0),
        ('[{"start": 0, "end": 3, "type": "P"}]', '[{"start": 0, "end": 4, "type": "P"}]', False, 0),
        ('["1"]', "[1]", False, 0),
        ("[]", '["Ada"]', False, 0),
        ("3.5 mm", "5 mm", False, 0),
    ],
)
def test_spans_are_sets(answer: str, teacher: str, same: bool, score: float) -> None:
    assert Spans().agree(answer, teacher) is Spans().agree(teacher, answer) is same
    assert Spans().score(answer, teacher) == pytest.approx(score)


NUMBERS_SAME = [
    ("Summe: 1.200,50 EUR", "1200.5 EUR"),
    ("1.234,50", "1234.50"),
    ("1.234.567", "1,234,567"),
    ("1.200.000", "1200000"),
    ("192.168.100", "192.168.100"),
    ("CHF 1'200.50", "CHF 1200.5"),
    ("1\u202f234\u202f567,5 zł", "1234567.5 zł"),
    ("合計は１２００円", "1200円"),
    ("The total is 1,200.50.", "1200.5"),
    ("5", "5.0"),
    ("5 %", "5%"),
    ("5 per cent", "5%"),
    ("$5", "5 $"),
    ("USD 5", "usd 5.00"),
    ("-$5", "$-5"),
    ("−5", "-5"),
    ("+5", "5"),
    ("1e3", "1000"),
    ("2 million", "2,000,000"),
    ("First 3, then 4.", "4"),
    (".5", "0.5"),
    ("2024-05-01", "on 2024-05-01"),
    ("10:30", "at 10:30"),
    ("no number", " no  number "),
]
NUMBERS_DIFFERENT = [
    ("192.168.100", "192168100"),
    ("1.200.100", "1200100"),
    ("5", "-5"),
    ("5", "5%"),
    ("0.05", "5%"),
    ("$5", "€5"),
    ("$5", "5"),
    ("5 million", "5 billion"),
    ("5 million", "5"),
    ("5km", "5mi"),
    ("1.234,56", "1234.65"),
    ("1.234", "1234"),
    ("1 234", "1234"),
    ("1.23,45", "123.45"),
    ("1,5", "5"),
    ("1,5", "1.5"),
    ("1,5", "15"),
    ("1/2", "2"),
    ("1/2", "3/2"),
    ("2024-05-01", "2023-05-01"),
    ("2024-05-01", "1"),
    ("5-10", "10"),
    ("10:30", "9:30"),
    ("4 or 5", "4"),
    ("0.1", "0.10000001"),
    ("12345678901234567890", "12345678901234567891"),
    ("no number", "5"),
    ("no number", "nothing"),
    ("1e999999999", "1e999999998"),
    ("v2", "v3"),
]


@pytest.mark.parametrize(("answer", "teacher"), NUMBERS_SAME)
def test_numbers_that_differ_in_form_only_agree(answer: str, teacher: str) -> None:
    assert Numbers().agree(answer, teacher) and Numbers().agree(teacher, answer)


@pytest.mark.parametrize(("answer", "teacher"), NUMBERS_DIFFERENT)
def test_numbers_that_only_look_alike_disagree(answer: str, teacher: str) -> None:
    assert not Numbers().agree(answer, teacher) and not Numbers().agree(teacher, answer)


def test_numbers_take_a_tolerance_and_may_leave_the_currency_out() -> None:
    assert Numbers(abs_tol=0.01).agree("3.14", "3.149") and not Numbers(abs_tol=0.01).agree("3.14", "3.16")
    assert Numbers(rel_tol=0.01).agree("1,000", "1009")
    assert Numbers(ignore_currency=True).agree("$5", "5") and Numbers(ignore_currency=True).agree("$5", "5 EUR")
    assert "0.01" in Numbers(abs_tol=0.01).name


def test_texts_are_marked_as_similarity_and_say_which() -> None:
    chrf, rouge = grader_for(task("text")), grader_for(task(), "rouge")
    assert chrf.similarity and "chrF" in chrf.name and rouge.similarity and "ROUGE-L" in rouge.name
    assert chrf.agree("You can call them at 925-600-0600.", "You can call them at 925-600-0600 .")
    assert not chrf.agree("Yes.", "The restaurant has no live music on Mondays.")
    assert 0 < chrf.score("The phone number is 510", "Their phone number is 510-669") < 1
    assert chrf.score("", "something") == rouge.score("", "something") == 0


def test_rouge_l_is_as_the_paper_has_it() -> None:
    """Lin 2004, section 3.2: of "police killed the gunman", R-L is 3/4 and 2/4."""
    score = RougeL().score
    assert score("police kill the gunman", "police killed the gunman") == pytest.approx(3 / 4)
    assert score("the gunman kill police", "police killed the gunman") == pytest.approx(2 / 4)
    assert score("the gunman police killed", "police killed the gunman") == pytest.approx(2 / 4)
    assert RougeL(0.7).agree("Police kill the gunman.", "police killed the gunman")


def test_without_their_libraries_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidfuzz.distance", None)
    assert RougeL().score("a", "a") == 1
    with pytest.raises(MissingDependency, match="rapidfuzz"):
        RougeL().score("a", "b")


def test_a_judge_is_asked_both_ways_and_must_say_the_same() -> None:
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return replies.pop(0)

    judge = LlmJudge(ask)
    assert judge.similarity
    for replies, same in (
        (["SAME", " same.\n"], True),
        (["SAME", "DIFFERENT"], False),
        (["DIFFERENT"], False),
        (["SAME, but"], False),
    ):
        replies = list(replies)
        asked.clear()
        assert judge.agree("one {b}", "other {a}") is same
        assert not replies
    assert judge.agree("one", "one "), "nobody is asked"
    replies = ["SAME", "SAME"]
    asked.clear()
    judge.agree("one {b}", "other {a}")
    assert [('A: "one {b}"' in prompt, 'B: "other {a}"' in prompt) for prompt in asked] == [
        (True, True),
        (False, False),
    ]
    assert 'A: "other {a}"' in asked[1] and 'B: "one {b}"' in asked[1]


def test_a_judge_that_prefers_a_place_never_agrees() -> None:
    judge = LlmJudge(lambda prompt: "SAME" if prompt.index('"short"') < prompt.index('"longer"') else "DIFFERENT")
    assert not judge.agree("short", "longer") and not judge.agree("longer", "short")


def test_a_judge_is_measured_against_labelled_pairs() -> None:
    pairs = [("a", "a", True)] * 20 + [("a", "ab", True)] * 5 + [("a", "ac", False)] * 10 + [("a", "b", False)] * 15
    found = measured(first_letter, pairs)
    assert (found.n, found.agreed, found.wrong_same, found.wrong_different) == (50, 40, 10, 0)
    assert found.low < 0.8 < found.high and (round(found.low, 3), round(found.high, 3)) == (0.663, 0.9)
    assert found.kappa == pytest.approx((0.8 - 0.5) / (1 - 0.5))  # by chance: .7 × .5 + .3 × .5
    assert measured(first_letter, [("a", "a", True)]).kappa is None
    assert measured(first_letter, []).n == 0
