"""What a task is worth: what its fit rests on, what it would save, and in which order."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from protege import Attempt, Call, Task, Workspace, cluster
from protege.cluster import discover
from protege.cluster.worth import DAY, HOW, Worth, ranked, weigh
from protege.loop import tasks as finding
from protege.store import ImprovementRow
from protege.task import Template, TemplatePart

SYSTEM = "Sort the entry of the list by what it is."
TASK = Task(
    "t-1",
    "sort",
    "label",
    labels=("a", "b"),
    templates=(Template("s", (TemplatePart(0, "system", prefix=SYSTEM),)),),
    input_tokens=100.0,
    output_tokens=20.0,
)


def call(asked: str, answer, number: int = 0, **fields) -> Call:
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": asked}]
    response = answer if isinstance(answer, dict) else {"role": "assistant", "content": answer}
    return Call.from_record({"id": str(number), "messages": messages, "response": response, **fields})


def calls(answers, asked=lambda n: f"thing {n}", **fields) -> list[Call]:
    return [call(asked(n), answer, n, **fields) for n, answer in enumerate(answers)]


NEW = [f'{{"name": "person {n}"}}' for n in range(40)]


# Fit


@pytest.mark.parametrize(
    ("task", "answers", "fit", "why"),
    [
        (TASK, ["a", "b"] * 20, 0.9, "2 labels"),
        (replace(TASK, labels=tuple("abcdefgh")), list("abcdefgh") * 9, 0.6, "8 labels"),
        (replace(TASK, kind="json", labels=()), ['{"x": 1}', '{"x": 2}'] * 20, 0.9, "about 2 answers, again and again"),
        (replace(TASK, kind="json", labels=()), NEW, 0.4, "mostly new answers of 20 tokens"),
        (replace(TASK, kind="json", labels=(), output_tokens=50.0), NEW, 0.2, "mostly new answers of 50 tokens"),
        (replace(TASK, kind="sql", labels=()), NEW, 0.1, "answers of 20 tokens, new each time"),
        (TASK, [], 0.0, "no answer of the teacher to learn from"),
    ],
)
def test_the_fit_goes_by_the_kind_of_answers_and_says_so(task, answers, fit, why):
    found = weigh(task, calls(answers))
    assert (found.fit, found.why) == (fit, (why,)) and not found.fit_measured


def test_what_no_specialist_may_have_is_worth_nothing_and_what_was_measured_counts():
    barred = weigh(TASK, calls(["a"] * 9), barred="Free text.", measured=0.8)
    assert (barred.fit, barred.why, barred.fit_measured, barred.saving_tokens) == (0, ("Free text.",), False, 0)
    measured = weigh(TASK, calls(["a"] * 9), measured=0.54)
    assert (measured.fit, measured.fit_measured) == (0.54, True) and "certified" in measured.why[0]
    assert weigh(TASK, calls(["a"] * 9), measured=0.0).fit == 0


def test_a_teacher_that_contradicts_itself_is_harder_to_follow():
    again = {"asked": lambda n: f"thing {n % 10}"}
    alike = weigh(TASK, calls(["a", "b"] * 50, **again))
    assert (alike.requests_seen_before, alike.answered_alike, alike.fit) == (0.9, 1.0, 0.9)
    torn = weigh(TASK, calls([f"{n // 10}" for n in range(100)], **again))
    assert torn.answered_alike == 0 and torn.fit == 0
    assert "contradicts itself in 100% of repeats" in torn.why[1]
    few = weigh(TASK, calls(["a", "b"], asked=lambda n: "same"))
    assert few.answered_alike is None, "one repeat tells nothing"


def test_calls_that_a_small_model_cannot_read_do_not_fit():
    found = weigh(TASK, calls(["a", "b"] * 20, asked=lambda n: "word " * (2000 if n < 20 else 2) + str(n)))
    assert found.beyond_window == 0.5 and found.fit == round(0.9 / 2, 1)
    assert "50% of calls exceed 2,048 tokens" in found.why


# What comes again


def test_requests_are_the_same_where_their_slots_are():
    found = weigh(TASK, calls(["a"] * 10, asked=lambda n: "same" if n < 5 else str(n)))
    assert found.requests_seen_before == 0.4 and found.answers_seen_before == 0.9
    assert found.slot_tokens is not None and found.slot_tokens <= 1, "without the constant text"


def test_without_a_wording_whole_requests_are_compared():
    found = weigh(replace(TASK, templates=()), calls(["a"] * 4, asked=lambda n: "same"))
    assert found.requests_seen_before == 0.75
    assert found.slot_tokens is not None and found.slot_tokens > len(SYSTEM) / 4


def test_only_what_the_teacher_answered_counts_as_repeated():
    kept = [Attempt("s", "kept", "k")]
    given = [replace(c, attempts=tuple(kept)) for c in calls(["a"] * 5)] + calls(["a"] * 5, error="timeout")
    found = weigh(TASK, given)
    assert found.requests_seen_before == 0 and found.slot_tokens is None


def test_odd_calls_are_weighed_too():
    broken = {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{"}}]}
    parts = Call.from_record({"id": "p", "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]})
    given = [call("\ud800", broken), call("x", "\ud800"), parts, call("", "")]
    assert weigh(TASK, given).answers_seen_before == 0


# Saving


def test_the_saving_is_the_teachers_cost_less_this_machines_time():
    found = weigh(replace(TASK, cost_usd=0.001), calls(["a", "b"] * 20))
    assert found.saving_usd == pytest.approx(0.9 * 0.001 - (40 + 15 * 20) / 3.6e6 * 0.10)
    assert found.saving_tokens == pytest.approx(0.9 * 120)
    assert weigh(replace(TASK, cost_usd=1e-9), calls(["a", "b"] * 20)).saving_usd == 0, "never less than nothing"


def test_without_a_price_another_models_may_stand_for_it():
    assert weigh(TASK, calls(["a"] * 9)).saving_usd is None
    stand_in = weigh(TASK, calls(["a"] * 9), price_as="gpt-4o")
    assert stand_in.cost_usd == pytest.approx(100 * 2.5e-6 + 20 * 10e-6, rel=0.5)
    assert weigh(TASK, calls(["a"] * 9), price_as="no such model").cost_usd is None


def test_a_month_is_told_from_the_time_that_all_calls_were_watched():
    watched = Worth("a", 200, 0.5, (), timed=100, first=0.0, last=10.0 * DAY, saving_usd=0.01, saving_tokens=10.0)
    rare = Worth("b", 3, 0.5, (), timed=3, first=DAY, last=DAY + 60, saving_usd=0.01, saving_tokens=10.0)
    timeless = Worth("c", 9, 0.5, (), saving_tokens=10.0)
    first, second, third = ranked([rare, timeless, watched])
    assert (first.task_id, first.calls_a_month, first.saving_usd_a_month) == ("a", 300, 3.0)
    assert (second.task_id, second.calls_a_month) == ("b", 9)
    assert (third.calls_a_month, third.saving_tokens_a_month) == (None, None)


def test_less_than_a_day_tells_no_month():
    assert ranked([Worth("a", 9, 0.5, (), timed=9, first=0.0, last=3600.0)])[0].calls_a_month is None
    assert ranked([]) == []


def test_dollars_come_first_then_tokens_then_what_saves_nothing():
    def task_worth(name, usd, tokens):
        return Worth(name, 10, 0.5, (), saving_usd=usd, saving_tokens=tokens)

    given = [
        task_worth("none", 0.0, 0.0),
        task_worth("tokens", None, 90.0),
        task_worth("cheap", 0.1, 50.0),
        task_worth("dear", 0.2, 1.0),
    ]
    assert [w.task_id for w in ranked(given)] == ["dear", "cheap", "tokens", "none"]


def test_figures_are_rounded_and_kept_ones_come_back():
    worth = ranked([weigh(replace(TASK, cost_usd=0.0012345), calls(["a", "b"] * 20, time=1.76e9))])[0]
    assert Worth.from_record(worth.to_record()) == worth
    figures = worth.figures()
    assert figures["cost_usd_per_1000"] == 1.23 and figures["first"] == 1.76e9
    assert figures["saving_usd_a_month"] is None and figures["saving_tokens_per_1000"] == 108_000
    assert {"volume", "tokens", "cost", "latency", "repetition", "fit", "saving"} == set(HOW)


def test_a_task_is_weighed_anew_only_where_it_has_changed(tmp_path, monkeypatch, agents):
    workspace = Workspace(tmp_path)
    workspace.add_calls([*agents.triage(30), *agents.summaries(30)])
    found = discover(workspace.calls)
    workspace.save_tasks(found.tasks, found.assignment)
    first = finding.weigh_tasks(workspace, workspace.tasks())
    by_kind = {task.id: task.kind for task in found.tasks}
    assert [by_kind[w.task_id] for w in first] == ["label", "text"]
    assert (first[0].fit, first[1].fit) == (0.9, 0) and first[1].why[0].startswith("Free text")
    weighed = SimpleNamespace(ids=[])
    monkeypatch.setattr(cluster, "weigh", lambda task, *a, **k: weighed.ids.append(task.id) or first[0])
    assert finding.weigh_tasks(workspace, workspace.tasks()) == first and not weighed.ids
    workspace.findings.save_improvement(ImprovementRow(first[0].task_id, figures={"certified_coverage": 0.5}))
    finding.weigh_tasks(workspace, workspace.tasks())
    assert weighed.ids == [first[0].task_id]
