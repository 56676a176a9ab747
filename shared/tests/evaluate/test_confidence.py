"""How sure a specialist is: an answer's features, and the scorer that makes a confidence of them."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest
from protege.evaluate import Novelty, Scorer, confidence, keeps
from protege.evaluate.confidence import features_of, scaled
from protege.serve.engine import Completion
from protege.task import Kind


def said(*tokens: tuple[str, float]) -> Completion:
    """A completion of these tokens and log-probabilities; its end is added with -0.001."""
    texts, logs = (*(text for text, _ in tokens), ""), (*(log for _, log in tokens), -0.001)
    return Completion("".join(texts), texts, logs, "stop", 5, len(logs), 1.0)


def values_of(kind: Kind, *tokens: tuple[str, float]) -> float:
    features = features_of(said(*tokens), kind)
    assert features is not None
    return features["values"]


def test_the_plain_confidence_is_the_probability_of_the_whole_answer() -> None:
    assert confidence((math.log(0.9), math.log(0.5))) == pytest.approx(0.45)
    assert confidence(()) == confidence((math.nan,)) == 0.0
    features = features_of(said(("red", -0.2)), "label")
    assert Scorer.plain().confidence(features) == pytest.approx(math.exp(-0.201))


def test_features_of_an_answer() -> None:
    features = features_of(said(("re", -0.5), ("d", -0.1)), "label", "a rose", Novelty(b""))
    assert features is not None
    assert features["sum"] == features["values"] == pytest.approx(-0.601)
    assert features["mean"] == pytest.approx(-0.601 / 3)
    assert (features["least"], features["length"], features["novelty"]) == (-0.5, math.log(3), 1.0)


@pytest.mark.parametrize(
    ("kind", "answer", "foreign"),
    [
        ("json", '{"people": "7", "time": "6 pm", "date": null}', 0),
        ("json", '{"people": "8", "time": "6 AM", "date": "Monday"}', 3),
        ("sql", "SELECT time FROM t WHERE people = 7", 2),
        ("label", "booking", 1),
        ("tool_calls", "7 people", 0),
    ],
)
def test_words_that_do_not_stand_in_the_prompt_are_foreign(kind: Kind, answer: str, foreign: int) -> None:
    features = features_of(said((answer, -1.0)), kind, "A table for 7 people at 6 PM\ntonight")
    assert features is not None and features["foreign"] == math.log1p(foreign)


@pytest.mark.parametrize("log", [math.nan, -math.inf])
def test_without_log_probabilities_there_are_no_features_and_no_confidence(log: float) -> None:
    assert features_of(said(("red", log)), "label") is None
    assert features_of(Completion("red", (), (), "stop", 1, 1, 1.0), "label") is None
    assert Scorer.plain().confidence(None) == Scorer({"sum": 1.0}).confidence(None) == 0.0


def test_of_json_the_values_count_and_not_keys_and_signs() -> None:
    assert values_of(
        "json", ('{"', -1), ("city", -2), ('":', -4), ('"Oslo', -8), ('"', -16), ("}", -32)
    ) == pytest.approx(-24.001)
    assert values_of("json", ('{"n":', -1), ("12", -2), (',"ok":', -4), ("true", -8), ("}", -16)) == pytest.approx(
        -10.001
    )
    assert values_of("tool_calls", ('{"name":', -1), ('"pay"', -2), (',"arguments":{}}', -4)) == pytest.approx(-2.001)


def test_of_sql_names_and_literals_count_and_not_key_words() -> None:
    tokens = (
        ("SELECT", -1),
        (" age", -2),
        (" FROM", -4),
        (" t", -8),
        (" WHERE", -16),
        (" n", -32),
        (" =", -64),
        (" 'x'", -128),
    )
    assert values_of("sql", *tokens) == pytest.approx(-170.001)


def test_where_nothing_is_a_value_or_tokens_are_missing_all_count() -> None:
    assert values_of("json", ("{", -1), ("}", -2)) == pytest.approx(-3.001)
    halved = Completion("🙂", ("",), (-1.0, -2.0), "stop", 1, 3, 1.0)
    features = features_of(halved, "json")
    assert features is not None and features["values"] == -3.0


def test_a_scorer_weighs_log_odds_and_stays_within_0_and_1() -> None:
    scorer = Scorer({"sum": 2.0, "length": -1.0}, intercept=0.5)
    expected = 0.5 + 2 * math.log(0.8 / 0.2) - 1.5
    assert scorer.confidence({"sum": math.log(0.8), "length": 1.5}) == pytest.approx(1 / (1 + math.exp(-expected)))
    extremes = [Scorer({"sum": 1e3}).confidence({"sum": value}) for value in (0.0, -1e9)]
    assert extremes == [1.0, 0.0]
    with pytest.raises(KeyError):
        scorer.confidence({"sum": -1.0})


def test_a_log_probability_as_log_odds_rises_with_it_and_is_bounded() -> None:
    values = [scaled("sum", value) for value in (-1e4, -20, -3, -0.5, -1e-3, -1e-6, -1e-12, 0.0)]
    assert values == sorted(values) and values[0] == -16 and values[-1] == 16
    assert scaled("novelty", 0.3) == 0.3


def test_a_scorer_survives_json() -> None:
    for scorer in (Scorer.plain(), Scorer({"sum": 0.3, "novelty": -1.0}, 0.1, Novelty(b"\x01\x00"))):
        assert Scorer.from_record(json.loads(json.dumps(scorer.to_record()))) == scorer


def test_an_answer_as_sure_as_the_threshold_is_kept_and_none_never() -> None:
    assert keeps(0.7, 0.7) and not keeps(0.69, 0.7) and not keeps(None, 0.0)


def test_what_the_agent_imports_brings_no_numerical_library() -> None:
    heavy = "import sys, protege.evaluate; print(*({'numpy', 'scipy', 'sklearn', 'sqlglot'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True).stdout == "\n"
