from __future__ import annotations

import json

import pytest
from protege.evaluate import Judged, evaluate
from protege.evaluate.figures import auroc, risk_coverage
from protege.evaluate.graders import Exact


def judged(confidence: float | None, agreed: bool, latency_ms: float | None = 10.0, **other: object) -> Judged:
    valid = confidence is not None
    fields: dict[str, object] = {
        "call_id": "c",
        "prompt_preview": "p",
        "answer": "yes" if agreed else "no",
        "teacher": "yes",
        "input_tokens": 10,
        "output_tokens": 1,
        **other,
    }
    return Judged(agreed=agreed, confidence=confidence, valid=valid, latency_ms=latency_ms, **fields)  # pyright: ignore


SPLIT = [judged(0.9, True), judged(0.8, True), judged(0.7, False), judged(0.6, True), judged(None, False, None)]


def test_a_call_that_could_not_be_answered_counts_as_not_agreed() -> None:
    evaluation = evaluate(SPLIT, Exact())
    assert (evaluation.n, evaluation.agreed, evaluation.agreement) == (5, 3, 0.6)
    assert evaluation.valid == 0.8
    assert evaluation.score == 0.6
    assert evaluation.interval[0] < 0.6 < evaluation.interval[1]


def test_latency_and_tokens_are_of_the_calls_that_were_answered() -> None:
    split = [judged(0.9, True, float(i)) for i in range(1, 101)] + [judged(None, False, None, input_tokens=None)]
    evaluation = evaluate(split, Exact())
    assert evaluation.latency_p50_ms == 50.5
    assert evaluation.latency_p95_ms == 95
    assert evaluation.input_tokens == 10


def test_nothing_to_evaluate_gives_figures_that_say_so() -> None:
    evaluation = evaluate([], Exact(), threshold=0.5)
    assert (evaluation.n, evaluation.agreement, evaluation.interval) == (0, 0.0, (0.0, 1.0))
    assert evaluation.auroc is None and evaluation.latency_p50_ms is None and evaluation.curve == ()
    assert evaluation.kept is not None and evaluation.kept.n == 0


def test_auroc_is_the_share_of_pairs_in_the_right_order() -> None:
    assert auroc(SPLIT) == pytest.approx(2 / 3)
    assert auroc([judged(0.9, True), judged(0.1, False)]) == 1
    assert auroc([judged(0.5, True), judged(0.5, False)]) == 0.5
    assert auroc([judged(0.5, True)]) is None


def test_the_curve_gives_the_risk_at_each_coverage_and_keeps_ties_together() -> None:
    points = [(p.coverage, p.risk) for p in risk_coverage(SPLIT)]
    assert points == [(0.2, 0.0), (0.4, 0.0), (0.6, pytest.approx(1 / 3)), (0.8, 0.25)]
    tied = [judged(0.5, True), judged(0.5, False), judged(0.4, True)]
    assert [(p.threshold, p.coverage) for p in risk_coverage(tied)] == [(0.5, pytest.approx(2 / 3)), (0.4, 1.0)]


def test_a_long_curve_is_thinned_and_keeps_its_end() -> None:
    points = risk_coverage([judged(i / 1000, True) for i in range(1000)])
    assert len(points) <= 100
    assert points[-1].coverage == 1.0


def test_a_threshold_adds_what_it_keeps_and_what_it_hands_back() -> None:
    evaluation = evaluate(SPLIT, Exact(), threshold=0.7)
    kept = evaluation.kept
    assert kept is not None
    assert (kept.n, kept.disagreed, kept.coverage) == (3, 1, 0.6)
    assert [e.outcome for e in evaluation.examples] == ["right", "right", "wrong", "handed back", "handed back"]


def test_the_record_is_json() -> None:
    record = json.loads(json.dumps(evaluate(SPLIT, Exact(), threshold=0.7).to_record()))
    assert record["n"] == 5
    assert record["kept"]["n"] == 3
