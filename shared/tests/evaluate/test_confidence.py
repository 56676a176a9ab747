"""How sure a specialist is: an answer's features, and the scorer that makes a confidence of them."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from dataclasses import replace

import pytest
from protege.asking.confidence import Scorer, features_of, keeps, scaled
from protege.asking.novelty import Novelty
from protege.evaluate import Judged, rescored
from protege.evaluate.figures import auroc
from protege.evaluate.fitting import fit
from protege.serve.engine import Completion
from protege.task import Kind


def said(*tokens: tuple[str, float]) -> Completion:
    """A completion of these tokens and log-probabilities; its end is added with -0.001."""
    texts, logs = (*(text for text, _ in tokens), ""), (*(log for _, log in tokens), -0.001)
    return Completion("".join(texts), texts, logs, "stop", 5, len(logs), 1.0)


@pytest.mark.parametrize(("total", "expected"), [(2 * math.log(0.5), 0.25), (0.0, 1.0), (1e-9, 1.0), (-1e4, 0.0)])
def test_the_plain_confidence_is_the_probability_of_the_whole_answer(total: float, expected: float) -> None:
    assert Scorer.plain().confidence({"sum": total}) == pytest.approx(expected)


def test_features_of_an_answer() -> None:
    features = features_of(said(("re", -0.5), ("d", -0.1)), "label", "a rose", Novelty(b""))
    assert features is not None
    assert features["sum"] == pytest.approx(-0.601)
    assert (features["length"], features["novelty"]) == (math.log(3), 1.0)


@pytest.mark.parametrize(
    ("kind", "answer", "foreign"),
    [
        ("json", '{"people": "7", "time": "6 pm", "date": null}', 0),
        ("json", '{"people": "8", "time": "6 AM", "date": "Monday"}', 3),
        ("sql", "SELECT time FROM t WHERE people = 7", 2),
        ("label", "booking", 1),
        ("json", '{"seats": {"table": 7}, "ok": true}', 0),
        ("json", '{"note": "no \\"pets\\""}', 2),
        ("json", "{}", 0),
        ("sql", "SELECT COUNT(people) FROM 'table' WHERE time <> '8 pm'", 2),
        ("tool_calls", '{"name": "book", "arguments": {"people": 7}}', 1),
        ("tool_calls", "people, please", 1),
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


def test_novelty_that_was_not_taken_cannot_be_weighed() -> None:
    features = features_of(said(("red", -0.2)), "label", "a rose")
    assert Scorer({"sum": 1.0, "novelty": -1.0}).confidence(features) == 0.0


def test_a_scorer_weighs_log_odds_and_stays_within_0_and_1() -> None:
    scorer = Scorer({"sum": 2.0, "length": -1.0}, intercept=0.5)
    expected = 0.5 + 2 * math.log(0.8 / 0.2) - 1.5
    assert scorer.confidence({"sum": math.log(0.8), "length": 1.5}) == pytest.approx(1 / (1 + math.exp(-expected)))
    extremes = [Scorer({"sum": 1e3}).confidence({"sum": value}) for value in (0.0, -1e9)]
    assert extremes == [1.0, 0.0]
    assert scorer.confidence({"sum": -1.0}) == 0.0, "no answer is kept by a feature that nobody told"


def test_the_margin_is_against_the_runner_up_alone() -> None:
    """A token at .5 whose runner-up has .1 is surer than one at .5 whose runner-up has .45."""
    logs = (math.log(0.5),)
    clear, close = (Completion("red", ("red",), logs, "stop", 1, 1, 1.0, (math.log(p),)) for p in (0.1, 0.45))
    margins = [(features_of(completion, "label") or {})["margin"] for completion in (clear, close)]
    assert margins == pytest.approx([math.log(0.5 / 0.6), math.log(0.5 / 0.95)])
    assert "margin" not in (features_of(said(("red", -0.2)), "label") or {})
    never = Completion("red", ("red",), logs, "stop", 1, 1, 1.0, (-math.inf,))
    assert (features_of(never, "label") or {})["margin"] == 0.0


def test_the_margin_is_weighed_where_it_tells_more() -> None:
    """The sum is noise here; the margin parts right from wrong."""
    chance = random.Random(1)

    def answer(i: int) -> Judged:
        right = i % 3 > 0
        margin = -0.05 - 0.1 * chance.random() if right else -0.3 - 0.4 * chance.random()
        features = {"sum": -2 * chance.random() - 0.1, "margin": margin, "length": 1.0, "foreign": 0.0}
        return Judged("c", "", "", "", agreed=right, confidence=0.5, valid=True, features=features)

    judged = [answer(i) for i in range(90)]
    scorer = fit(judged)
    assert set(scorer.weights) == {"margin"} and scorer.weights["margin"] > 0
    features = [dict(answer.features or {}) for answer in judged]
    without = [replace(answer, features={**told, "margin": 0.0}) for answer, told in zip(judged, features, strict=True)]
    for told in features:
        told.pop("margin")
    untold = [replace(answer, features=told) for answer, told in zip(judged, features, strict=True)]
    assert "margin" not in fit(untold).weights and "margin" not in fit(without).weights


def test_a_log_probability_as_log_odds_rises_with_it_and_is_bounded() -> None:
    values = [scaled("sum", value) for value in (-1e4, -20, -3, -0.5, -1e-3, -1e-6, -1e-12, 0.0)]
    assert values == sorted(values) and values[0] == -16 and values[-1] == 16
    assert scaled("novelty", 0.3) == 0.3


def test_a_scorer_survives_json() -> None:
    for scorer in (Scorer.plain(), Scorer({"sum": 0.3, "novelty": -1.0}, 0.1, Novelty(b"\x01\x00"), "F")):
        assert Scorer.from_record(json.loads(json.dumps(scorer.to_record()))) == scorer


def test_an_answer_as_sure_as_the_threshold_is_kept_and_none_never() -> None:
    assert keeps(0.7, 0.7) and not keeps(0.69, 0.7) and not keeps(None, 0.0)


def test_what_the_agent_imports_brings_no_numerical_library() -> None:
    heavy = "import sys, protege.evaluate; print(*({'numpy', 'scipy', 'sklearn', 'sqlglot'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True).stdout == "\n"


# Fitting: answers whose log-odds of being right are known.


def validation(n: int, seed: int, foreign: float, bias: float = 1.0) -> list[Judged]:
    """Calls that agree with log-odds bias + the summed log-probability's + `foreign` for each foreign word."""
    chance = random.Random(seed)
    made: list[Judged] = []
    for i in range(n):
        odds, strange = chance.gauss(1.5, 1.5), chance.choice([0, 0, 1, 2])
        total = -math.log1p(math.exp(-odds))
        agreed = chance.random() < 1 / (1 + math.exp(-(bias + odds + foreign * strange)))
        features = {"sum": total, "length": math.log(4), "foreign": math.log1p(strange), "novelty": chance.random()}
        made.append(Judged(f"c{i}", "", "", "", agreed, math.exp(total), True, features=features))
    return made


def auroc_of(scorer: Scorer, calls: list[Judged]) -> float:
    found = auroc(rescored(calls, scorer))
    assert found is not None
    return found


def test_a_feature_that_tells_more_is_found_and_makes_confidence_better_on_other_calls() -> None:
    scorer, others = fit(validation(100, seed=1, foreign=-2.5), Novelty(b"")), validation(3_000, seed=2, foreign=-2.5)
    assert scorer.weights["foreign"] < 0 < scorer.weights["sum"]
    assert auroc_of(scorer, others) > auroc_of(Scorer.plain(), others) + 0.03


def test_confidence_is_calibrated_where_it_was_fitted_well() -> None:
    scorer, others = fit(validation(600, seed=1, foreign=-1.5)), validation(3_000, seed=2, foreign=-1.5)
    assert scorer.weights
    sure = [one for one in rescored(others, scorer) if one.confidence and 0.85 <= one.confidence < 0.95]
    assert sum(one.agreed for one in sure) / len(sure) == pytest.approx(0.9, abs=0.04)


def test_where_nothing_tells_more_it_is_never_worse_by_much_and_mostly_the_plain_one() -> None:
    others = validation(3_000, seed=99, foreign=0.0)
    scorers = [fit(validation(60, seed=seed, foreign=0.0)) for seed in range(20)]
    lost = [auroc_of(Scorer.plain(), others) - auroc_of(scorer, others) for scorer in scorers]
    assert sum(not scorer.weights for scorer in scorers) >= 12
    assert max(lost) < 0.03 and sum(lost) / len(lost) < 0.005


def test_with_too_few_wrong_answers_or_without_features_the_plain_one_stays() -> None:
    calls = validation(100, seed=1, foreign=-2.5)
    wrong = [one for one in calls if not one.agreed]
    few = [one for one in calls if one.agreed] + wrong[:4]
    older = [replace(calls[0], features=None), *calls[1:]]
    assert len(wrong) >= 10
    assert [fit(given) for given in (few, older, [], wrong)] == [Scorer.plain()] * 4


def test_answers_that_are_not_valid_are_no_lesson() -> None:
    calls = validation(100, seed=1, foreign=-2.5)
    invalid = [Judged("x", "", "", "", agreed=False, confidence=None, valid=False)] * 30
    assert fit([*calls, *invalid]) == fit(calls)


def with_novelty(calls: list[Judged], right: float, wrong: float) -> list[Judged]:
    return [replace(j, features={**(j.features or {}), "novelty": right if j.agreed else wrong}) for j in calls]


def test_only_a_scorer_that_weighs_novelty_carries_it() -> None:
    calls, known = validation(100, seed=1, foreign=-2.5), Novelty(b"\x01" * 8)
    weighed = fit(with_novelty(calls, right=0.1, wrong=0.8), known)
    assert weighed.weights["novelty"] < 0 and weighed.novelty == known
    turned = fit(with_novelty(calls, right=0.8, wrong=0.1), known)  # what is new makes no answer surer
    assert "novelty" not in turned.weights and turned.novelty is None
    silent = fit(with_novelty(calls, right=0.3, wrong=0.3), known)
    assert silent.weights and "novelty" not in silent.weights and silent.novelty is None


def test_a_model_that_trusts_unsure_answers_more_is_not_believed() -> None:
    turned = [replace(one, agreed=not one.agreed) for one in validation(200, seed=1, foreign=-2.5)]
    assert fit(turned) == Scorer.plain()


def with_opinion(calls: list[Judged], right: float, wrong: float, seed: int = 0) -> list[Judged]:
    """The head holds right answers `right` likely, and wrong ones `wrong`, more or less; it is asked of all."""
    chance = random.Random(seed)

    def opinion(one: Judged) -> dict[str, float]:
        held = min(0.99, max(0.01, (right if one.agreed else wrong) + chance.gauss(0, 0.2)))
        return {"second": math.log(held), "agrees": float(held > 0.5)}

    return [replace(one, features={**(one.features or {}), **opinion(one)}) for one in calls]


def test_an_opinion_enters_where_it_tells_more_and_never_against_the_head() -> None:
    calls, others = validation(100, seed=1, foreign=0.0), validation(2_000, seed=2, foreign=0.0)
    weighed = fit(with_opinion(calls, right=0.8, wrong=0.3), adviser="F")
    assert weighed.weights["second"] > 0 and weighed.weights.get("agrees", 0.0) >= 0 and weighed.adviser == "F"
    told = with_opinion(others, right=0.8, wrong=0.3, seed=1)
    assert auroc_of(weighed, told) > auroc_of(Scorer.plain(), told) + 0.05
    alone = fit([replace(one, features={**(one.features or {}), "sum": -1.0}) for one in told], adviser="F")
    assert alone.weights.keys() <= {"second", "agrees"} and alone.adviser == "F", "what the model says tells nothing"
    turned = fit(with_opinion(calls, right=0.3, wrong=0.8), adviser="F")
    assert not {"second", "agrees"} & set(turned.weights) and turned.adviser == ""
    one_missing = [*with_opinion(calls[1:], right=0.8, wrong=0.3), calls[0]]
    assert "second" not in fit(one_missing, adviser="F").weights
    idle = [fit(with_opinion(validation(60, seed, 0.0), 0.5, 0.5, seed), adviser="F") for seed in range(20)]
    assert sum(not scorer.adviser for scorer in idle) >= 14
