"""A conversation with tools is divided into its steps, and they live on."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from protege.call import Call
from protege.cluster import Assigner, discover, merge, split, undivided
from protege.cluster.steps import LEAST, MOST_STATES
from protege.errors import BadInput
from protege.heads import NGRAMS
from protege.loop.tasks import find_tasks, keep_whole, merge_tasks, split_task
from protege.specialist import Specialist
from protege.task import Task
from protege.workspace import Workspace

SYSTEM = "You help the customers of a web shop.\nUse the tools, and never make up an order's number."
TOOLS = [{"type": "function", "function": {"name": n, "parameters": {"type": "object"}}} for n in ("find", "show")]


def asks(name, n):
    function = {"name": name, "arguments": f'{{"id": "W{n}"}}'}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": function}]}


def conversation(agents, n, system=SYSTEM):
    """The four calls of one run: it greets, finds, shows, and tells."""
    user = [{"role": "system", "content": system}, {"role": "user", "content": agents.text()}]
    asked = [*user, {"role": "assistant", "content": "Your number?"}, {"role": "user", "content": f"W{n}"}]
    found = [*asked, asks("find", n), {"role": "tool", "tool_call_id": "c", "content": agents.text(4)}]
    shown = [*found, asks("show", n), {"role": "tool", "tool_call_id": "c", "content": agents.text(6)}]
    answers = ({"role": "assistant", "content": "Your number?"}, asks("find", n), asks("show", n), "It is on its way.")
    for step, (messages, answer) in enumerate(zip((user, asked, found, shown), answers, strict=True)):
        record = {"id": f"{n:03}-{step}", "messages": messages, "tools": TOOLS, "run": str(n), "response": answer}
        if isinstance(answer, str):
            record["response"] = {"role": "assistant", "content": answer}
        yield Call.from_record(record)


@pytest.fixture(scope="module")
def calls(agents):
    return [call for n in range(LEAST + 10) for call in conversation(agents, n)]


@pytest.fixture(scope="module")
def agents():
    from .conftest import Agents

    return Agents(3)


@pytest.fixture(scope="module")
def found(calls):
    return discover(calls)


def states(found):
    return {task.state: task for task in found.tasks}


def test_each_state_with_enough_calls_is_a_task(found, calls):
    steps = states(found)
    assert set(steps) == {"", "opening", "reply", "after find", "after show"}
    assert (
        steps[""].calls == 0 and not steps[""].is_part and {s.split_from for s in steps.values()} == {"", steps[""].id}
    )
    assert {steps[state].calls for state in steps if state} == {LEAST + 10}
    assert steps["after find"].name == f"{steps[''].name}.after_find" and steps["after find"].kind == "tool_calls"
    assert steps["after find"].templates == steps[""].templates
    assert {found.assignment[f"{n:03}-2"] for n in range(LEAST)} == {steps["after find"].id}


def test_steps_keep_their_ids_and_names_through_growth_and_in_any_order(found, calls, agents):
    stored = [Task.from_record(task.to_record()) for task in found.tasks]
    random.Random(1).shuffle(stored)
    again = discover(calls[::-1], stored)
    assert again.assignment == found.assignment and again.tasks == found.tasks
    fewer = discover(calls[: 4 * LEAST // 2], stored)  # each state has fewer calls than a new one needs
    assert {t.id: t.name for t in fewer.tasks} == {t.id: t.name for t in found.tasks}
    reworded = [c for n in range(500, 520) for c in conversation(agents, n, SYSTEM + "\nBe brief.")]
    grown = discover([*calls, *reworded], stored)
    assert states(grown)["after find"].id == states(found)["after find"].id
    assert grown.assignment["505-2"] == states(found)["after find"].id


def test_the_agents_side_tells_the_same_step(found, calls):
    assigner = Assigner([Task.from_record(task.to_record()) for task in found.tasks])
    assert {call.id: task.id for call in calls if (task := assigner.assign(call.request))} == found.assignment


def test_few_calls_single_turns_and_mere_chats_stay_whole(calls, agents):
    few = discover(calls[: 4 * (LEAST - 20)])
    chat = [c for n in range(2 * LEAST) for c in conversation(agents, n) if c.id.endswith(("-0", "-1"))]
    words = {"role": "assistant", "content": "Your number?"}
    chat = [Call.from_record({**c.to_record(), "response": words}) for c in chat]
    for tasks in (few.tasks, discover(chat).tasks, discover(agents.triage(2 * LEAST)).tasks):
        assert [task.state for task in tasks] == [""]
    assert [t.state for t in discover(calls, few.tasks, undivided=[few.tasks[0].id]).tasks] == [""]


def test_merging_a_step_keeps_it_in_the_whole_until_that_is_undone(found, calls):
    whole, step = states(found)[""], states(found)["reply"]
    for pair in ((whole, step), (step, whole)):
        merged = discover(calls, merge(found.tasks, *pair))
        assert "reply" not in states(merged) and states(merged)[""].calls == LEAST + 10
        assert states(discover(calls, merged.tasks))[""].whole == ("reply",)
    undone = discover(calls, split(merged.tasks, states(merged)[""]))
    assert undone.assignment == found.assignment and {t.id for t in undone.tasks} == {t.id for t in found.tasks}
    with pytest.raises(BadInput, match="part of another task"):
        merge(found.tasks, step, states(found)["opening"])
    with pytest.raises(BadInput, match="part of another task"):
        undivided(found.tasks, step)


def test_steps_follow_a_task_that_is_merged_into_another(found, calls, agents):
    other = discover(agents.triage(40))
    both = discover([*calls, *agents.triage(40)], [*found.tasks, *other.tasks])
    whole, triage = (next(t for t in both.tasks if t.id == i) for i in (states(found)[""].id, other.tasks[0].id))
    merged = merge(both.tasks, triage, whole)
    assert {t.split_from for t in merged if t.state} == {triage.id}
    apart = split(merged, next(t for t in merged if t.id == triage.id))
    assert {t.split_from for t in apart if t.state} == {whole.id}


def test_known_steps_are_counted_however_many_states_come_before_them(found, calls, agents):
    odd = [
        Call.from_record(
            {**call.to_record(), "id": f"odd-{n}", "messages": [*call.request.messages[:2], asks(f"t{n}", n)]}
        )
        for n, call in enumerate(calls[: MOST_STATES + 5])
    ]
    again = discover([*odd, *calls], found.tasks)
    assert {again.assignment[call.id] for call in odd} == {states(found)[""].id}
    assert {call.id: again.assignment[call.id] for call in calls} == found.assignment


def test_where_two_divided_tasks_become_one_no_step_is_lost(found, calls, agents):
    prompt = "You write travel plans for families.\nLook at prices first, and book nothing at all."
    told = [c for n in range(500, 500 + LEAST) for c in conversation(agents, n, prompt)]
    mine, theirs = found.tasks, discover(told).tasks
    whole, other = states(found)[""], next(task for task in theirs if not task.is_part)
    for tasks in (
        [*mine, *theirs],
        merge([*mine, *theirs], whole, other),
    ):  # these prompts become one by themselves too
        both = states(discover([*calls, *told], tasks))
        lives_on = mine if both[""].id == whole.id else theirs
        assert {task.id for task in both.values()} == {task.id for task in lives_on}
        assert {i for task in both.values() for i in task.merged} == {t.id for t in (*mine, *theirs)} - {
            task.id for task in lives_on
        }
        assert {task.calls for state, task in both.items() if state} == {2 * LEAST + 10}
    apart = split(list(both.values()), both[""])
    assert not any(task.merged for task in apart) and {t.id for t in apart} == {*(t.id for t in mine), other.id}


def test_a_task_is_not_divided_whatever_part_of_it_is_answered(calls):
    whole = replace(discover(calls[: 4 * (LEAST - 20)]).tasks[0], merged=("t-old",))
    assert [t.state for t in discover(calls, [whole], undivided=["t-old"]).tasks] == [""]


@pytest.mark.parametrize(("state", "divided"), [("shadow", False), ("live", False), ("candidate", True)])
def test_what_is_shown_in_the_shadow_is_not_divided(tmp_path, calls, state, divided):
    workspace = Workspace(tmp_path)
    workspace.add_calls(calls[: 4 * (LEAST - 20)])
    [whole] = find_tasks(workspace)
    workspace.save_specialist(Specialist("s", "s-v1", whole.id, 1, NGRAMS, "slots", state=state))
    workspace.add_calls(calls)
    assert (len(find_tasks(workspace)) > 1) is divided
    workspace.close()


def test_people_keep_a_conversation_whole(tmp_path, calls):
    workspace = Workspace(tmp_path)
    workspace.add_calls(calls)
    whole = next(task for task in find_tasks(workspace) if not task.is_part)
    assert keep_whole(workspace, whole.name).calls == len(calls)
    assert [task.id for task in find_tasks(workspace)] == [whole.id]
    assert {task.state for task in split_task(workspace, whole.name)} == {
        "",
        "opening",
        "reply",
        "after find",
        "after show",
    }
    step = next(task for task in workspace.tasks() if task.state == "reply")
    assert merge_tasks(workspace, step.name, whole.id).id == whole.id
    workspace.close()
