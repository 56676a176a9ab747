"""Merges and splits by hand, and that discovery then respects them."""

from __future__ import annotations

import pytest
from protege.cluster import Assigner, discover, merge, split
from protege.errors import BadInput
from protege.loop.tasks import find_tasks, merge_tasks, split_task
from protege.task import Task
from protege.workspace import Workspace


@pytest.fixture
def calls(agents):
    return agents.triage(30) + agents.summaries(24) + agents.tracker(18)


def named(found, calls):
    """The tasks by the made-up node that most of their calls come from."""
    return {
        call.id.rsplit("-", 1)[0]: next(t for t in found.tasks if t.id == found.assignment[call.id]) for call in calls
    }


def test_merged_tasks_stay_one_also_with_more_calls(agents, calls):
    before = discover(calls)
    tasks = named(before, calls)
    more = calls + type(agents)(seed=5).make("more", 9, lambda n: [("user", f"Say hello to number {n}, please!")])
    after = discover(more, merge(before.tasks, tasks["triage"], tasks["summary"]))
    given = {after.assignment[c.id] for c in calls if not c.id.startswith("tracker")}
    assert given == {tasks["triage"].id}
    again = discover(more, after.tasks)
    assert again.assignment == after.assignment
    [both] = [task for task in again.tasks if task.id == tasks["triage"].id]
    assert (
        [t.id for t in both.joined] == [tasks["summary"].id] and tasks["summary"].id in both.merged and both.calls == 54
    )


@pytest.mark.parametrize("pair", [("triage", "summary"), ("tracker", "triage")])
def test_undoing_a_merge_brings_the_old_ids_and_names_back(calls, pair):
    before = discover(calls)
    tasks = named(before, calls)
    merged = discover(calls, merge(before.tasks, *(tasks[kind] for kind in pair)))
    kept = [Task.from_record(task.to_record()) for task in merged.tasks]
    undone = discover(calls, split(kept, next(task for task in kept if task.joined)))
    assert undone.assignment == before.assignment
    assert {(t.id, t.name, t.merged) for t in undone.tasks} == {(t.id, t.name, t.merged) for t in before.tasks}


def test_a_part_is_told_by_a_text_of_its_requests(agents, calls):
    before = discover(calls)
    triage = named(before, calls)["triage"]
    after = discover(calls, split(before.tasks, triage, "piano"))
    with_piano = {c.id for c in calls if c.id.startswith("triage") and "piano" in c.request.messages[1]["content"]}
    [part] = [task for task in after.tasks if task.phrase]
    assert with_piano and part.split_from == triage.id and part.name
    assert {i for i, task in after.assignment.items() if task == part.id} == with_piano
    again = discover(agents.triage(40, kind="later"), after.tasks)
    assert part.id in {task.id for task in again.tasks}
    assert Assigner([Task.from_record(t.to_record()) for t in after.tasks]).assign(calls[0].request) is not None


def test_a_part_stays_where_no_call_is_left_for_it(agents, calls):
    before = discover(calls)
    parted = split(before.tasks, named(before, calls)["triage"], "no such text")
    after = discover(calls, parted)
    assert [task.calls for task in after.tasks if task.phrase] == [0]


def test_a_part_goes_back_by_a_merge(calls):
    before = discover(calls)
    triage = named(before, calls)["triage"]
    after = discover(calls, split(before.tasks, triage, "piano"))
    [part] = [task for task in after.tasks if task.phrase]
    for pair in ((part, triage), (triage, part)):
        assert discover(calls, merge(after.tasks, *pair)).assignment == before.assignment


def test_what_makes_no_sense_is_refused(calls):
    found = discover(calls)
    first, second, third = found.tasks
    tasks = split(found.tasks, first, "piano")
    part = tasks[-1]
    for wrong in (
        lambda: merge(tasks, first, first),
        lambda: merge(tasks, part, second),
        lambda: merge(tasks, third, part),
        lambda: split(tasks, second),
        lambda: split(tasks, part, "tea"),
        lambda: split(tasks, first, "piano"),
    ):
        with pytest.raises(BadInput):
            wrong()


def test_corrections_are_kept_in_the_workspace(tmp_path, agents, calls):
    workspace = Workspace(tmp_path)
    workspace.add_calls(calls)
    first, second, _ = find_tasks(workspace)
    one = merge_tasks(workspace, first.name, second.id)
    assert (one.id, one.calls) == (first.id, first.calls + second.calls)
    workspace.add_calls(agents.triage(5, kind="later"))
    assert len(find_tasks(Workspace(tmp_path))) == 2
    assert {task.id for task in split_task(workspace, one.id)} == {first.id, second.id}
    parts = split_task(workspace, first.id, "piano")
    assert {bool(task.phrase) for task in parts} == {True, False}
    with pytest.raises(BadInput):
        merge_tasks(workspace, first.name, "nobody")
