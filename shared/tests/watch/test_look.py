"""Whether those that answer still may: audits compared, changes noticed, states changed, nothing done twice."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest
from protege import Attempt, Workspace
from protege.rollout import lifecycle
from protege.rollout.rules import RULES
from protege.rollout.switching import set_policy
from protege.store.records import Event, Reason
from protege.task import TemplatePart
from protege.watch import look, reason_of
from protege.watch.looking import compare
from protege.watch.reasons import open_reason
from watched import REWORDED, START, call, specialist, terms


def states(workspace: Workspace) -> dict[str, str]:
    return {s.name: s.state for s in workspace.specialists()}


def published(workspace: Workspace) -> dict[str, float]:
    """Share by specialist, as agents read it."""
    routes = orjson.loads((workspace.home / "routes.json").read_bytes())["routes"]
    return {entry["specialist"]["name"]: entry["route"]["share"] for entry in routes}


def told(events: Sequence[Event]) -> list[str]:
    return [event.what for event in events]


def audited(workspace: Workspace, good: int, bad: int, first: int = 0, by: str = "s1") -> None:
    workspace.add_calls(call(first + n, answer="red" if n < good else "blue", by=by) for n in range(good + bad))


def test_audited_answers_are_compared_with_the_teacher_s_once(workspace: Workspace) -> None:
    calls = [call(1), call(2, answer=" red "), call(3, answer="blue"), call(4, said=None)]
    calls += [call(5, reason="invalid structure"), call(6, answer="blue", reason="below threshold")]
    calls.append(replace(call(7), response=None, error="TimeoutError"))
    workspace.add_calls(calls)
    look(workspace)
    found = {row.call_id: row.agreed for row in workspace.history.attempts()}
    assert found == {"c1": True, "c2": True, "c3": False, "c5": None, "c6": False, "c7": None}
    workspace.history.save_agreed({1: False})  # what was compared is not looked at again
    look(workspace)
    assert {row.call_id: row.agreed for row in workspace.history.attempts()}["c1"] is False


def test_what_a_person_says_is_right_is_no_disagreement_with_the_teacher(workspace: Workspace) -> None:
    """Whether it is said before the comparison or after; and what a shadow said is not known any more."""
    calls = [call(1, said="blue"), call(2, said="blue"), call(3, said="red"), call(4, said="green"), call(5)]
    workspace.add_calls(calls)
    blue = {"role": "assistant", "content": "blue"}
    workspace.corrections.save({"c1": blue})
    workspace.history.add_attempts([{
        "call_id": "c5", "specialist_id": "s2", "task_id": "colour", "time": START, "outcome": "shadowed",
        "reason": "kept", "confidence": 0.9, "rate": 1.0, "agreed": False, "latency_ms": 1.0,
    }])  # fmt: skip
    workspace.save_route(terms(2))
    look(workspace)
    assert agreed(workspace) == {"c1": True, "c2": False, "c3": True, "c4": False, "c5": False}
    workspace.corrections.save({f"c{number}": blue for number in range(2, 6)}, by_hand=True)
    look(workspace)
    assert agreed(workspace) == {"c1": True, "c2": True, "c3": True, "c4": False, "c5": None}


def agreed(workspace: Workspace) -> dict[str, bool | None]:
    return {row.call_id: row.agreed for row in workspace.history.attempts()}


def test_people_who_correct_the_teacher_do_not_end_a_specialist(workspace: Workspace) -> None:
    blue = {"role": "assistant", "content": "blue"}
    workspace.add_calls(replace(call(n, answer="red", said="blue"), correction=blue) for n in range(90))
    assert told(look(workspace)) == []


def test_a_breach_rolls_back_at_once_says_why_and_opens_a_retraining(workspace: Workspace) -> None:
    audited(workspace, 60, 30)
    events = look(workspace)
    assert told(events) == ["retraining due", "rolled back"]
    assert events[1].why == "30 of 90 compared answers disagree: more than the 5% allowed."
    assert events[1].figures == {"compared": 90, "disagreed": 30}
    assert states(workspace) == {"colour-v1": "retired"} and published(workspace) == {}
    reason = reason_of(workspace, "colour")
    assert reason is not None and 58 <= reason.since - START <= 62
    assert look(workspace) == []


def test_a_promise_of_all_calls_is_watched_beside_that_of_the_kept(workspace: Workspace) -> None:
    """A tenth of the kept answers may be wrong, and that many are; of all calls that is more than a twentieth."""
    workspace.save_route(replace(terms(1), epsilon=0.10))
    workspace.add_calls(call(n, answer="blue" if n % 10 == 9 else "red") for n in range(800))
    assert "rolled back" not in told(look(workspace))
    workspace.save_route(replace(terms(1), epsilon=0.10, epsilon_all=0.05))
    events = look(workspace)
    assert told(events) == ["retraining due", "rolled back"]
    assert events[1].why.endswith("more than the 10% allowed, or they are more than 5% of all calls.")


def test_where_half_of_the_calls_are_handed_back_fewer_of_all_are_wrong(
    workspace: Workspace,
) -> None:
    workspace.save_route(replace(terms(1), epsilon=0.10, epsilon_all=0.05))
    reasons = ("kept", "below threshold")
    workspace.add_calls(call(n, answer="blue" if n % 22 == 0 else "red", reason=reasons[n % 2]) for n in range(1_600))
    assert "rolled back" not in told(look(workspace))


def test_the_predecessor_takes_over_where_there_is_one(workspace: Workspace) -> None:
    workspace.save_specialist(specialist(2, "candidate"))
    lifecycle.promote(workspace, specialist(2, "candidate"), terms(2))
    audited(workspace, 0, 20, by="s2")
    look(workspace)
    # Not at once: what ended the second may have begun before both.
    assert states(workspace) == {"colour-v1": "canary", "colour-v2": "retired"}
    assert published(workspace) == {"colour-v1": RULES.canary_share}
    audited(workspace, 0, 20, first=100, by="s2")  # late in the journal: it does not answer any more
    assert told(look(workspace)) == []
    audited(workspace, 80, 0, first=200)
    assert told(look(workspace)) == ["live"] and published(workspace) == {"colour-v1": 1.0}


def test_nobody_takes_over_who_was_never_live_or_had_failed(workspace: Workspace) -> None:
    lifecycle.withdraw(workspace, workspace.specialists()[0])
    for version in (2, 3):
        workspace.save_specialist(specialist(version, "candidate"))
    lifecycle.shadow(workspace, specialist(2, "candidate"), terms(2), "certified")
    lifecycle.promote(workspace, specialist(3, "candidate"), terms(3))
    audited(workspace, 0, 20, by="s3")
    look(workspace)
    assert set(states(workspace).values()) == {"retired"} and published(workspace) == {}


def test_what_comes_in_during_a_look_is_compared_by_the_next(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two look at once, or a status drains: the tries that come in between were passed over."""
    whole = workspace.calls

    def calls(**asked: Any) -> Any:
        monkeypatch.undo()
        audited(workspace, 0, 30, first=500)
        return whole(**asked)

    workspace.add_calls([call(1)])
    monkeypatch.setattr(workspace, "calls", calls)
    compare(workspace)
    assert compare(workspace) == 30
    assert "rolled back" in told(look(workspace))


def test_one_task_s_grader_that_fails_does_not_end_the_watching_of_others(workspace: Workspace) -> None:
    (task,) = workspace.tasks()
    workspace.save_tasks([replace(task, id="another", name="another", templates=()), task], {})
    workspace.save_specialist(replace(specialist(9, "live"), task_id="another"))
    workspace.save_route(replace(terms(9, grader="gone.module:Grader"), task_id="another"))
    workspace.add_calls([call(900, by="s9")])
    audited(workspace, 60, 30)
    assert "rolled back" in told(look(workspace))
    assert [row.agreed for row in workspace.history.attempts("another")] == [None]


def test_what_was_pinned_by_hand_is_not_replaced_by_the_rules(workspace: Workspace) -> None:
    (task,) = workspace.tasks()
    set_policy(workspace, task, {"pin": "colour-v1"})
    workspace.save_specialist(specialist(2, "candidate"))
    lifecycle.shadow(workspace, specialist(2, "candidate"), terms(2), "certified")
    rows = [{"call_id": f"x{n}", "specialist_id": "s2", "task_id": "colour", "time": 1.0} for n in range(80)]
    workspace.history.add_attempts({**row, "outcome": "shadowed", "reason": "kept", "agreed": True} for row in rows)
    assert look(workspace) == [] and states(workspace) == {"colour-v1": "live", "colour-v2": "shadow"}


def test_a_suspicion_raises_the_audits_and_goes_by(workspace: Workspace) -> None:
    audited(workspace, 100, 4)
    assert told(look(workspace)) == ["suspicion"]
    assert workspace.routes()["s1"].audit == RULES.suspicious_audit
    audited(workspace, 150, 0, first=200)
    assert told(look(workspace)) == ["calm"]
    assert workspace.routes()["s1"].audit == RULES.audit


def test_from_the_shadow_to_a_share_to_all(workspace: Workspace) -> None:
    workspace.save_specialist(specialist(2, "candidate"))
    lifecycle.shadow(workspace, specialist(2, "candidate"), terms(2), "certified")
    assert states(workspace) == {"colour-v1": "live", "colour-v2": "shadow"}
    assert published(workspace) == {"colour-v1": 1.0}
    rows = [{"call_id": f"x{n}", "specialist_id": "s2", "task_id": "colour", "time": 1.0} for n in range(80)]
    shown = {"outcome": "shadowed", "reason": "kept", "agreed": True}
    workspace.history.add_attempts({**row, **shown} for row in rows)
    assert told(look(workspace)) == ["canary"]
    assert published(workspace) == {"colour-v2": RULES.canary_share, "colour-v1": 1.0}
    assert look(workspace) == []  # what was shown in the shadow does not count for the next state
    audited(workspace, 80, 0, by="s2")
    assert told(look(workspace)) == ["retired", "live"]
    assert states(workspace) == {"colour-v1": "retired", "colour-v2": "live"}
    assert published(workspace) == {"colour-v2": 1.0}


def test_a_bad_canary_ends_and_who_answered_before_goes_on(workspace: Workspace) -> None:
    workspace.save_specialist(specialist(2, "candidate"))
    lifecycle.shadow(workspace, specialist(2, "candidate"), terms(2), "certified")
    lifecycle.canary(workspace, next(s for s in workspace.specialists() if s.version == 2), "shown")
    audited(workspace, 0, 20, by="s2")
    look(workspace)
    assert states(workspace) == {"colour-v1": "live", "colour-v2": "retired"}
    assert published(workspace) == {"colour-v1": 1.0}


def test_another_teacher_is_noticed_once_and_watched(workspace: Workspace) -> None:
    workspace.add_calls(call(n, said=None, model="larger") for n in range(19))
    assert look(workspace) == []
    workspace.add_calls(call(n, said=None, model="larger") for n in range(19, 40))
    assert told(look(workspace)) == ["teacher changed", "retraining due", "suspicion"]
    reason = reason_of(workspace, "colour")
    assert reason is not None and reason.learn_since == reason.since and "larger answers now" in reason.why
    assert states(workspace) == {"colour-v1": "live"}
    workspace.add_calls(call(n, said=None, model="larger") for n in range(40, 60))
    assert look(workspace) == []
    audited(workspace, RULES.watchful, 0, first=100)
    assert told(look(workspace)) == ["calm"]


def test_another_teacher_is_noticed_where_it_answers_one_call_in_fifty(workspace: Workspace) -> None:
    kept = (Attempt("s1", "kept", "kept", 0.9),)
    calls = [call(n, said=None, model="larger") for n in range(1_000)]
    workspace.add_calls(one if n % 50 == 0 else replace(one, attempts=kept) for n, one in enumerate(calls))
    assert "teacher changed" in told(look(workspace))


def test_what_made_it_fail_is_found_out_after_it_was_rolled_back_too(workspace: Workspace) -> None:
    audited(workspace, 60, 30)
    assert "rolled back" in told(look(workspace))
    workspace.add_calls(call(n, said=None, model="larger") for n in range(200, 230))
    assert told(look(workspace)) == ["teacher changed", "retraining due"]
    reason = reason_of(workspace, "colour")
    assert reason is not None and reason.learn_since == START + 200


def test_a_new_wording_is_noticed(workspace: Workspace) -> None:
    workspace.add_calls(call(n, said=None, instruction=REWORDED if n % 2 else None) for n in range(60))
    events = look(workspace)
    assert told(events)[:2] == ["prompt changed", "retraining due"]
    reason = reason_of(workspace, "colour")
    assert reason is not None and reason.since == START + 1 and reason.learn_since == 0.0


def test_what_a_predecessor_s_terms_did_not_know_is_no_news_to_its_successor(workspace: Workspace) -> None:
    workspace.add_calls(call(n, said=None, instruction=REWORDED) for n in range(60))
    assert "prompt changed" in told(look(workspace))
    workspace.save_specialist(specialist(2, "candidate"))
    (task,) = workspace.tasks()
    signatures = ("sig-colour", "sig-reworded")
    reworded = replace(task.templates[0], signature="sig-reworded", parts=(TemplatePart(0, "system", (REWORDED,)),))
    workspace.save_tasks([replace(task, templates=(*task.templates, reworded))], {})
    lifecycle.promote(workspace, specialist(2, "candidate"), terms(2, signatures=signatures))
    workspace.add_calls(call(n, said=None, instruction=REWORDED) for n in range(100, 160))
    assert "prompt changed" not in told(look(workspace))


def test_labels_divided_otherwise_are_drift(workspace: Workspace) -> None:
    workspace.save_route(terms(1, labels={"red": 0.9, "blue": 0.1}))
    workspace.add_calls(call(n, said=None, answer="red" if n % 2 else "blue") for n in range(220))
    assert "drift" in told(look(workspace))


def test_drift_that_follows_from_a_change_takes_no_calls_from_its_successor(workspace: Workspace) -> None:
    """The window begins later than the change: what came in between would not be held out."""
    workspace.save_route(terms(1, labels={"red": 0.9, "blue": 0.1}))
    open_reason(workspace, "colour", Reason("colour-v1 was rolled back", START + 5, START + 5))
    workspace.add_calls(call(n, said=None, answer="red" if n % 2 else "blue") for n in range(20, 240))
    assert "drift" in told(look(workspace))
    reason = reason_of(workspace, "colour")
    assert reason is not None and (reason.since, reason.learn_since) == (START + 5, START + 5)


def test_fewer_kept_than_certified_is_drift(workspace: Workspace) -> None:
    workspace.add_calls(call(n, reason="kept" if n % 3 == 0 else "below threshold") for n in range(220))
    events = look(workspace)
    assert "drift" in told(events) and any("are kept, fewer" in event.why for event in events)


def test_quiet_traffic_is_left_alone(workspace: Workspace) -> None:
    workspace.save_route(terms(1, labels={"red": 1.0}))
    workspace.add_calls(call(n, answer="blue" if n % 70 == 69 else "red") for n in range(223))
    assert look(workspace) == [] and reason_of(workspace, "colour") is None


def test_the_policy_s_budget_limits_the_audits(workspace: Workspace) -> None:
    (task,) = workspace.tasks()
    workspace.save_tasks([replace(task, cost_usd=0.01, calls=1_000)], {})
    workspace.add_calls([call(0, said=None)])
    workspace.save_tasks(workspace.tasks(), {"c0": "colour"})
    set_policy(workspace, task, {"budget_usd": 0.05})  # a day of audits of all calls costs 10 dollars
    look(workspace)
    assert workspace.routes()["s1"].audit == pytest.approx(0.005)


def test_eight_that_look_at_once_do_everything_once(workspace: Workspace) -> None:
    audited(workspace, 60, 30)
    homes = [Workspace(workspace.home) for _ in range(8)]
    threads = [threading.Thread(target=look, args=(home,)) for home in homes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told(workspace.history.events()).count("rolled back") == 1
    assert states(workspace) == {"colour-v1": "retired"} and published(workspace) == {}


def test_what_was_not_shown_is_not_tried_again(workspace: Workspace) -> None:
    workspace.save_specialist(specialist(2, "candidate"))
    lifecycle.shadow(workspace, specialist(2, "candidate"), terms(2), "certified")
    shown = {"specialist_id": "s2", "task_id": "colour", "time": 1.0, "outcome": "shadowed", "reason": "kept"}
    workspace.history.add_attempts({"call_id": f"x{n}", "agreed": n % 21 != 20, **shown} for n in range(RULES.patience))
    assert told(look(workspace)) == ["retired"]
    assert states(workspace) == {"colour-v1": "live", "colour-v2": "retired"}
    assert lifecycle.taken_out(workspace, specialist(2, "retired"))
