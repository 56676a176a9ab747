"""What is new in the traffic."""

from __future__ import annotations

from dataclasses import replace

from protege.cluster import changes, discover

DAY = 86_400.0


def on(calls, first: int, last: int):
    """The calls, spread over these days."""
    days = last - first + 1
    return [replace(call, time=(first + n % days) * DAY + n) for n, call in enumerate(calls)]


def found(calls):
    discovery = discover(calls)
    return changes(calls, discovery.tasks, discovery.assignment), {t.id: t for t in discovery.tasks}


def test_a_new_kind_is_told_with_its_share_and_first_day(agents):
    calls = on(agents.triage(280), 1, 7) + on(agents.summaries(40), 6, 7)
    [change], tasks = found(calls)
    assert (change.what, change.since, change.calls) == ("new", 6 * DAY, 40)
    assert tasks[change.task].calls == 40 and abs(change.share - 40 / 120) < 1e-9


def test_a_new_wording_is_told(agents):
    system = "Triage one support ticket of our web shop.\nReply with one of refund, delivery, account or other."
    new = agents.make(
        "new",
        60,
        lambda n: [("system", system), ("user", f"Ticket: {agents.text()}")],
        lambda n: ("refund", "account")[n % 2],
    )
    calls = on(agents.triage(200), 1, 8) + on(new, 5, 8)
    [change], tasks = found(calls)
    assert (change.what, change.since, change.calls) == ("reworded", 5 * DAY, 60)
    assert len(tasks) == 1


def test_more_less_and_gone_are_told_apart_from_chance(agents):
    steady = on(agents.triage(400), 1, 8)
    assert found(steady)[0] == []
    more = on(agents.summaries(40), 1, 8) + on([c.with_id(f"{c.id}-later") for c in agents.summaries(60)], 7, 8)
    [change] = found(steady + more)[0]
    assert (change.what, change.since) == ("more", 7 * DAY) and change.share > 2 * change.before
    gone = on(agents.summaries(120), 1, 3)
    assert [c.what for c in found(steady + gone)[0]] == ["gone"]


def test_calls_that_fit_no_task_are_news(agents):
    odd = agents.make("odd", 30, lambda n: [("system", agents.text(12)), ("user", "Go on.")])
    [change], _ = found(on(agents.triage(200), 1, 4) + on(odd, 4, 4))
    assert (change.what, change.task, change.since) == ("unknown", "", 4 * DAY)


def test_calls_without_a_time_say_nothing(agents):
    assert found(agents.triage(40) + agents.summaries(30))[0] == []
