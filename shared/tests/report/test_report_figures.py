"""What the report works out from the figures it is given."""

from __future__ import annotations

import pytest
from protege.report import Certified, Doubted, Realised, ReportData, TaskReport, formatting
from protege.report.plots import plots, risk_curve


def task(**known: object) -> TaskReport:
    return TaskReport(**{"name": "a", "kind": "label", "calls": 100, "state": "live", **known})


def test_the_share_kept_is_what_came_true_and_else_what_is_certified():
    certified = Certified(0.05, 0.05, 200, 0.9, 150, 2)
    assert task(certified=certified).share_kept == 0.75
    assert task(certified=certified, realised=Realised(10, 8)).share_kept == 0.8
    assert task(certified=certified, state="teacher").share_kept == 0
    canary = task(certified=certified, state="canary", share=0.1, realised=Realised(10, 8))
    assert canary.share_kept == pytest.approx(0.075) and formatting.state(canary) == "canary: 10% of its runs"
    assert task(certified=certified, state="shadow", share=0.0).share_kept == 0


def test_savings_are_of_all_calls_and_of_live_tasks_alone():
    cheaper = {"cost_before_usd": 2.0, "cost_after_usd": 0.5}
    data = ReportData((task(**cheaper), task(**cheaper, state="teacher"), task()), calls=300, created=0)
    assert data.saved_usd == pytest.approx(0.5)


def test_the_risk_curve_moves_only_where_confidence_changes():
    assert risk_curve(((0.9, True), (0.9, False), (0.5, True), (0.1, True))) == [(0.5, 0.5), (0.75, 1 / 3), (1, 0.25)]
    assert risk_curve(()) == []


def test_plots_are_drawn_only_of_what_is_known():
    assert plots(ReportData((task(),), 100, 0)) == {}
    assert set(plots(ReportData((task(judged=((0.9, True),)),), 100, 0))) == {"risk-0", "confidence-0"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not measured"),
        (0.0, "$0.00"),
        (1234.5, "$1,234.50"),
        (0.42, "$0.42"),
        (0.0121, "$0.012"),
        (1e-5, "$0.000010"),
    ],
)
def test_money_keeps_two_digits_that_say_something(value: float | None, text: str):
    assert formatting.money(value) == text


@pytest.mark.parametrize(
    ("known", "text"),
    [
        (None, "not measured"),
        (Doubted(0, 450, ()), "none of 450 training answers"),
        (Doubted(12, 1450, tuple("abcdefg")), "12 of 1,450 training answers, most of all: a, b, c, d, e"),
    ],
)
def test_answers_that_look_wrong_are_counted_and_a_few_named(known: Doubted | None, text: str):
    assert formatting.doubted(known) == text
