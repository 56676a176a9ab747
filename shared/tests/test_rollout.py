"""The rules by which a specialist gains, keeps and loses a task."""

from __future__ import annotations

import pytest
from protege.loop.retraining import Standing, due
from protege.rollout.rules import RULES, both, evidence_for, look, step

EPSILON = 0.05
GOOD = [False] * 80
BAD = [True, False, True, False, True] * 8


def test_what_is_shown_goes_on_to_the_next_state_and_starts_anew_there() -> None:
    then = step("shadow", look(GOOD, EPSILON), EPSILON)
    assert (then.what, then.state, then.audit) == ("canary", "canary", RULES.canary_audit)
    assert then.why == "0 of 80 compared answers disagree: at most 5% do."
    then = step("canary", look(GOOD, EPSILON), EPSILON)
    assert (then.what, then.state, then.audit) == ("live", "live", RULES.audit)


def test_a_shadow_that_owes_the_proof_needs_the_evidence_that_delta_asks_for() -> None:
    needed = evidence_for("owed", 0.05)
    assert step("shadow", look([False] * 79, EPSILON), EPSILON, evidence=needed).what == "stays"
    assert step("shadow", look([False] * 80, EPSILON), EPSILON, evidence=needed).what == "canary"


def test_where_two_bounds_are_promised_both_are_shown_and_either_gives_the_alarm() -> None:
    few, kept = look([False] * 100, 0.10), look([False] * 30, 0.10)
    for of_kept, of_all, what in ((few, look(GOOD, EPSILON), "canary"), (kept, look(GOOD, EPSILON), "stays")):
        assert step("shadow", both(of_kept, of_all), 0.10, epsilon_all=EPSILON, evidence=20).what == what
    assert (
        step(
            "shadow",
            both(
                few,
                look([False] * 10, EPSILON),
            ),
            0.10,
            epsilon_all=EPSILON,
        ).what
        == "stays"
    )
    then = step("live", both(look([False] * 100, 0.10), look(BAD, EPSILON)), 0.10, epsilon_all=EPSILON)
    assert then.what == "alarm" and then.why.endswith(
        "more than the 10% allowed, or they are more than 5% of all calls."
    )


@pytest.mark.parametrize("state", ["shadow", "canary", "live"])
def test_too_few_answers_change_nothing(state) -> None:
    then = step(state, look([False] * 10, EPSILON), EPSILON)
    assert (then.what, then.state) == ("stays", state)


@pytest.mark.parametrize("state", ["shadow", "canary", "live"])
def test_what_disagrees_is_ended_in_every_state(state) -> None:
    then = step(state, look(BAD, EPSILON), EPSILON)
    assert (then.what, then.state) == ("alarm", "retired")
    assert "24 of 40" in then.why and "5%" in then.why


def test_an_alarm_goes_before_what_was_shown_and_is_not_forgotten() -> None:
    assert step("canary", look([*BAD, *GOOD * 30], EPSILON), EPSILON).what == "alarm"


@pytest.mark.parametrize("state", ["shadow", "canary"])
def test_what_is_neither_good_enough_nor_bad_enough_ends_some_day(state) -> None:
    middling = look([n % 21 == 20 for n in range(RULES.patience)], EPSILON)
    then = step(state, middling, EPSILON)
    assert (then.what, then.state) == ("not shown", "retired") and "95 of 2000" in then.why
    assert step("live", middling, EPSILON).what == "stays"


def test_a_suspicion_has_ten_times_as_many_calls_audited_until_it_is_gone() -> None:
    suspicious = look([*GOOD * 3, True, True, False, True], EPSILON)
    assert RULES.suspicion <= suspicious.level < RULES.alarm
    then = step("live", suspicious, EPSILON)
    assert (then.what, then.audit) == ("stays", RULES.suspicious_audit) and "suspicion" in then.why
    calm = look([*GOOD * 3, True, True, False, True, *GOOD * 2], EPSILON)
    assert step("live", calm, EPSILON).audit == RULES.audit


def test_changed_traffic_is_watched_closely() -> None:
    then = step("live", look(GOOD, EPSILON), EPSILON, changed=True)
    assert (then.what, then.audit) == ("stays", RULES.suspicious_audit) and "changed" in then.why


def test_where_the_change_began_is_found() -> None:
    seen = look([*GOOD * 2, *BAD], EPSILON)
    assert abs(seen.began - 160) <= 2
    assert look([], EPSILON).began == 0


@pytest.mark.parametrize(
    ("standing", "is_due", "why"),
    [
        (Standing(400, 400, 0.5, 0), False, "200 more"),
        (Standing(600, 400, 0.5, 0), True, "600 calls, 400"),
        (Standing(600, 400, 0.0, 0), True, "600 calls"),
        (Standing(9_000, 400, 0.97, 900), False, "97%"),
        (Standing(410, 400, 0.6, 200), True, "200 calls were handed back"),
        (Standing(410, 400, 0.0, 200), False, "190 more"),
        (Standing(410, 400, 0.97, 0, corrected=20), True, "corrected 20 answers"),
        (Standing(410, 400, 0.6, 0, corrected=19), False, "190 more"),
        (Standing(410, 400, 0.6, 0, corrected=20, shown=True), False, "on its way"),
        (Standing(410, 400, 0.97, 0, "sort-v1 was rolled back", new=True), True, "rolled back"),
        (Standing(900, 400, 0.5, 0, shown=True), False, "on its way"),
        (Standing(900, 400, 0.5, 0, "another wording", new=True, shown=True), True, "another wording"),
        (Standing(470, 400, 0.97, 0, "sort-v1 was rolled back"), False, "10 more"),
        (Standing(480, 400, 0.97, 0, "sort-v1 was rolled back"), True, "480 calls"),
    ],
)
def test_when_a_retraining_is_due(standing: Standing, is_due: bool, why: str) -> None:
    found = due(standing)
    assert found[0] is is_due and why in found[1]
