"""The second in a cascade: who is retired with whom, what each one's audits do, and what is noticed of the traffic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import orjson
import pytest
from protege import Attempt, Route, Workspace
from protege.errors import BadInput
from protege.rollout import lifecycle
from protege.rollout.rules import RULES
from protege.store.records import Event
from protege.watch import look, reason_of
from watched import call, specialist, terms


def states(workspace: Workspace) -> dict[str, str]:
    return {s.name: s.state for s in workspace.specialists()}


def published(workspace: Workspace) -> set[str]:
    routes = orjson.loads((workspace.home / "routes.json").read_bytes())["routes"]
    return {entry["specialist"]["name"] for entry in routes}


def told(events: Sequence[Event]) -> list[str]:
    return [event.what for event in events]


def after_first(workspace: Workspace, version: int = 2) -> Route:
    first = workspace.routes()["s1"]
    return terms(version, after="s1", below=0.7, rests_on=first.identity)


@pytest.fixture
def both(workspace: Workspace) -> Workspace:
    """colour-v1 is live, and colour-v2 after it."""
    workspace.save_specialist(specialist(2, "candidate"))
    lifecycle.promote(workspace, specialist(2, "candidate"), after_first(workspace))
    assert states(workspace) == {"colour-v1": "live", "colour-v2": "live"}
    assert published(workspace) == {"colour-v1", "colour-v2"}
    return workspace


def named(workspace: Workspace, version: int):
    return next(s for s in workspace.specialists() if s.version == version)


@pytest.mark.parametrize("end", [lifecycle.retire, lifecycle.withdraw, lifecycle.rollback])
def test_who_ends_the_first_ends_the_second(both: Workspace, end: object) -> None:
    assert callable(end)
    end(both, named(both, 1))
    assert states(both) == {"colour-v1": "retired", "colour-v2": "retired"}
    assert published(both) == set()


def test_a_successor_of_the_first_ends_both(both: Workspace) -> None:
    both.save_specialist(specialist(3, "candidate"))
    lifecycle.promote(both, specialist(3, "candidate"), terms(3))
    assert states(both) == {"colour-v1": "retired", "colour-v2": "retired", "colour-v3": "live"}


def test_other_terms_of_the_first_end_the_second_and_the_same_do_not(both: Workspace) -> None:
    lifecycle.promote(both, named(both, 1), terms(1))
    lifecycle.audit(both, named(both, 1), 0.2, "a suspicion")
    assert states(both) == {"colour-v1": "live", "colour-v2": "live"}
    lifecycle.promote(both, named(both, 1), replace(terms(1), threshold=0.9))
    assert states(both) == {"colour-v1": "live", "colour-v2": "retired"}
    with pytest.raises(BadInput, match="only after colour-v1"):
        lifecycle.promote(both, named(both, 2))


def test_a_rollback_of_the_second_leaves_the_first(both: Workspace) -> None:
    assert lifecycle.rollback(both, named(both, 2)) == named(both, 1)
    assert states(both) == {"colour-v1": "live", "colour-v2": "retired"}
    lifecycle.promote(both, named(both, 2))  # by hand it may come back: the first is as it was
    assert published(both) == {"colour-v1", "colour-v2"}


def test_another_second_takes_the_place_of_the_second_alone(both: Workspace) -> None:
    both.save_specialist(specialist(3, "candidate"))
    lifecycle.canary(both, specialist(3, "candidate"), "certified", route=after_first(both, 3))
    assert set(states(both).values()) == {"live", "canary"}
    lifecycle.promote(both, named(both, 3))
    assert states(both) == {"colour-v1": "live", "colour-v2": "retired", "colour-v3": "live"}


def test_a_canary_of_the_first_leaves_both_as_they_are(both: Workspace) -> None:
    both.save_specialist(specialist(3, "candidate"))
    lifecycle.shadow(both, specialist(3, "candidate"), terms(3), "certified")
    lifecycle.canary(both, named(both, 3), "shown")
    assert states(both) == {"colour-v1": "live", "colour-v2": "live", "colour-v3": "canary"}


def test_a_second_is_nobody_s_predecessor(both: Workspace) -> None:
    both.save_specialist(specialist(3, "candidate"))
    lifecycle.promote(both, specialist(3, "candidate"), terms(3))
    assert [s.name for s in lifecycle.predecessors(both, named(both, 3))] == ["colour-v1"]


def drawn(workspace: Workspace, n: int, *, first_right: bool, second_right: bool) -> None:
    """So many audited calls in which the first was not sure, or would have been kept, by n's parity."""

    def said(right: bool) -> str:
        return "red" if right else "blue"

    for number in range(n):
        sure = number % 2 == 0
        tries = [Attempt("s1", "audited", "kept" if sure else "below threshold", 0.9, 5.0, said(first_right), 0.02)]
        if not sure:
            tries.append(Attempt("s2", "audited", "kept", 0.9, 50.0, said(second_right), 0.02))
        workspace.add_calls([replace(call(number), attempts=tuple(tries))])


def test_the_second_s_breach_ends_the_second_alone_and_makes_no_retraining_due(both: Workspace) -> None:
    drawn(both, 60, first_right=True, second_right=False)
    assert told(look(both)) == ["rolled back"]
    assert states(both) == {"colour-v1": "live", "colour-v2": "retired"}
    assert reason_of(both, "colour") is None
    assert lifecycle.taken_out(both, named(both, 2)) and look(both) == []


def test_the_first_s_breach_ends_both(both: Workspace) -> None:
    drawn(both, 60, first_right=False, second_right=True)
    assert told(look(both)) == ["retraining due", "rolled back", "retired"]
    assert states(both) == {"colour-v1": "retired", "colour-v2": "retired"}


def test_a_canary_after_the_first_goes_live_by_its_own_audits(workspace: Workspace) -> None:
    workspace.save_specialist(specialist(2, "candidate"))
    lifecycle.canary(workspace, specialist(2, "candidate"), "certified", route=after_first(workspace))
    drawn(workspace, 170, first_right=True, second_right=True)
    assert "live" in told(look(workspace))
    assert states(workspace) == {"colour-v1": "live", "colour-v2": "live"}
    assert workspace.routes()["s2"].audit == RULES.audit and workspace.routes()["s2"].share == 1.0


def test_what_the_second_keeps_does_not_hide_that_the_first_keeps_less(both: Workspace) -> None:
    handed = (Attempt("s1", "handed_back", "below threshold", 0.4), Attempt("s2", "kept", "kept", 0.9))
    sure = (Attempt("s1", "kept", "kept", 0.9),)
    both.add_calls(replace(call(n), attempts=handed if n % 3 else sure) for n in range(220))
    assert any("are kept, fewer" in event.why for event in look(both))
