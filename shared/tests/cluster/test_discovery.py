"""What discovery finds, and that it finds the same again."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from protege import Call
from protege.cluster import Assigner, discover

MIXTURE = ("triage", "summaries", "tracker", "retrieval", "tools")


def mixture(agents, count=40):
    return [call for kind in MIXTURE for call in getattr(agents, kind)(count)]


def kinds_of(discovery) -> dict[str, set[str | None]]:
    """Which tasks the calls of each made-up node went to."""
    found: dict[str, set[str | None]] = {}
    for call_id, task_id in discovery.assignment.items():
        found.setdefault(call_id.rsplit("-", 1)[0], set()).add(task_id)
    return found


def test_every_node_is_one_task(agents):
    kinds = kinds_of(discover(mixture(agents)))
    assert len(kinds) == 5
    assert all(len(tasks) == 1 and None not in tasks for tasks in kinds.values())
    assert len(set.union(*kinds.values())) == 5


def test_order_does_not_matter(agents):
    calls = mixture(agents)
    shuffled = random.Random(3).sample(calls, len(calls))
    first, second = discover(calls), discover(shuffled)
    assert first.tasks == second.tasks
    assert first.assignment == second.assignment


def test_a_generator_and_a_function_give_what_a_list_gives(agents):
    calls = mixture(agents, 12)
    assert discover(iter(calls)) == discover(calls) == discover(lambda: iter(calls))


def test_another_process_finds_the_same_ids(agents):
    """Hashes of strings differ from process to process; ids must not."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from conftest import Agents\n"
        "from protege.cluster import discover\n"
        "print(*[t.id + t.name for t in discover(Agents().triage(12) + Agents().summaries(12)).tasks])"
    )
    folder = str(Path(__file__).parent)
    runs = {
        subprocess.run(
            [sys.executable, "-c", script, folder],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1 and "t-" in runs.pop()


def test_nodes_with_a_system_text_that_says_nothing_are_told_apart_by_what_the_user_is_made_to_say(agents):
    system = ("system", "You are a helpful assistant.")

    def translate(n):
        return [system, ("user", f"Translate the following sentence into formal German.\n\n{agents.text()}")]

    def rate(n):
        return [system, ("user", f"Rate the politeness of this letter from one to five.\n\n{agents.text()}")]

    calls = agents.make("translate", 30, translate) + agents.make("rate", 30, rate)
    kinds = kinds_of(discover(calls))
    assert len(kinds["translate"]) == len(kinds["rate"]) == 1
    assert kinds["translate"] != kinds["rate"]


def test_tools_tell_apart_where_there_is_nothing_else(agents):
    def tools(name):
        return [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}]

    calls = []
    for kind, name in (("weather", "get_weather_forecast"), ("stock", "lookup_share_price")):
        calls += agents.make(kind, 20, lambda n: [("user", agents.text())], tools=tools(name))
    kinds = kinds_of(discover(calls))
    assert len(kinds["weather"]) == len(kinds["stock"]) == 1
    assert kinds["weather"] != kinds["stock"]


def test_prompts_without_constant_text_are_a_kind_only_where_they_are_many(agents):
    def plain(count):
        return agents.make("plain", count, lambda n: [("user", agents.text())])

    assert kinds_of(discover(agents.triage(400) + plain(4)))["plain"] == {None}
    many = kinds_of(discover(agents.triage(20) + plain(20)))
    assert len(many["plain"]) == 1 and many["plain"] != {None} and many["plain"] != many["triage"]


def test_a_shared_node_joins_a_reworded_prompt(agents):
    old = "Decide whether the customer's request is inside the scope of the shop's assistant. Answer yes or no."
    new = "Scope check: is the request of the customer in scope or out of scope for the assistant? Output yes or no."

    def calls(node):
        return [
            call
            for kind, system in (("old", old), ("new", new))
            for call in agents.make(kind, 30, lambda n, s=system: [("system", s), ("user", agents.text())], **node)
        ]

    kinds = kinds_of(discover(calls({"node": ["shop", "scope_guard"]}) + agents.triage(30)))
    assert kinds["old"] == kinds["new"] != kinds["triage"]


def test_what_does_not_repeat_is_no_task(agents):
    calls = agents.triage(40)
    calls += agents.make("odd", 1, [("system", "Compose a sonnet on the Danube in winter."), ("user", "Go on.")])
    found = discover(calls)
    assert found.assignment["odd-00000"] is None
    assert [task.calls for task in found.tasks] == [40]


def test_repeats_count_as_volume_and_change_nothing_else(agents):
    calls = agents.summaries(20) + agents.triage(20)
    once = discover(calls)
    found = discover([call.with_id(f"{call.id}-{n}") for n in range(5) for call in calls])
    assert [(t.id, t.name, t.calls, t.templates) for t in found.tasks] == [
        (t.id, t.name, 5 * t.calls, t.templates) for t in once.tasks
    ]


def test_the_answer_does_not_decide(agents):
    calls = agents.triage(30, answer=lambda n: "SELECT 1 FROM t" if n % 2 else '{"a": 1}')
    assert len(discover(calls).tasks) == 1


# Identity


def test_ids_and_names_outlive_growth(agents):
    calls = mixture(agents, 30)
    before = discover(calls)
    more = calls + agents.make("new", 20, [("system", "Compose a limerick about the weather today."), ("user", "Go")])
    after = discover(more + [call.with_id(f"{call.id}-again") for call in calls], before.tasks)
    names = {task.id: task.name for task in after.tasks}
    assert all(names.get(task.id) == task.name for task in before.tasks)
    assert len(after.tasks) == len(before.tasks) + 1


def test_a_known_wording_keeps_its_signature(agents):
    before = discover(agents.triage(30))
    after = discover(agents.triage(60) + agents.summaries(60), before.tasks)
    [triage] = [task for task in after.tasks if task.id == before.tasks[0].id]
    assert triage.templates[0] == before.tasks[0].templates[0]


def test_a_reworded_prompt_stays_the_task_it_was(agents):
    before = discover(agents.triage(30))
    system = "Triage one support ticket of our web shop.\nReply with one of refund, delivery, account or other."
    new = agents.make("new", 30, lambda n: [("system", system), ("user", f"Ticket: {agents.text()}")])
    after = discover(new, before.tasks)
    assert [task.id for task in after.tasks] == [before.tasks[0].id]
    assert len(after.tasks[0].templates) == 1 and after.tasks[0].templates != before.tasks[0].templates


def test_tasks_that_become_one_are_recorded_as_merged(agents):
    old = "Decide whether the customer's request is inside the scope of the shop's assistant. Answer yes or no."
    new = "Scope check: is the request of the customer in scope or out of scope for the assistant? Output yes or no."

    def calls(node):
        return [
            call
            for kind, system in (("old", old), ("new", new))
            for call in agents.make(kind, 20, lambda n, s=system: [("system", s), ("user", agents.text())], **node)
        ]

    before = discover(calls({}))
    assert len(before.tasks) == 2
    [task] = discover(calls({"node": ["shop", "scope_guard"]}), before.tasks).tasks
    assert {task.id, *task.merged} == {t.id for t in before.tasks}
    [again] = discover(calls({"node": ["shop", "scope_guard"]}), [task]).tasks
    assert (again.id, again.merged, again.templates) == (task.id, task.merged, task.templates)


def test_a_known_task_without_calls_is_gone(agents):
    before = discover(agents.triage(20) + agents.summaries(20))
    after = discover(agents.summaries(20), before.tasks)
    assert [task.calls for task in after.tasks] == [20]
    assert after.tasks[0].id in {task.id for task in before.tasks}


# Odd input


def call(number, messages, **fields):
    return Call.from_record({"id": f"c{number}", "messages": messages, **fields})


def test_no_calls_no_tasks():
    assert discover([]).tasks == () and discover([]).assignment == {}


def test_one_call_is_no_task():
    found = discover([call(1, [{"role": "user", "content": "Hello"}])])
    assert found.tasks == () and found.assignment == {"c1": None}


def test_equal_calls_are_one_task():
    found = discover(
        [call(n, [{"role": "user", "content": "What is the status of the server today?"}]) for n in range(9)]
    )
    assert [task.calls for task in found.tasks] == [9]


def test_calls_that_share_nothing_make_no_templates():
    made = random.Random(1)
    texts = ["".join(made.choices("abcdefghij klmnopqrst", k=60)) for _ in range(50)]
    found = discover([call(n, [{"role": "user", "content": text}]) for n, text in enumerate(texts)])
    assert set(found.assignment) == {f"c{n}" for n in range(50)}
    assert not any(task.templates for task in found.tasks)


ODD = [
    [{"role": "system", "content": "Only a system text, and nobody speaks."}],
    [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}],
    [{"role": "user", "content": [{"type": "text", "text": "What is in this picture?"}, {"type": "image_url"}]}],
    [{"role": "user", "content": None}],
    [{"role": "user", "content": "broken \ud800 surrogate \udfff here"}],
    [{"role": "system", "content": "Übersetze \ud83d den folgenden Satz."}, {"role": "user", "content": "Straße"}],
    [
        {"role": "system", "content": "将下面的句子翻译成英文。只输出译文。"},
        {"role": "user", "content": "今天天气很好"},
    ],
    [{"role": "assistant", "content": "I speak first."}],
    [{"role": "user", "content": ""}],
    [{"role": "user", "content": "\n\n\n"}],
    [{"role": "user", "content": '"' * 3000 + "1a" * 3000 + "@" * 500 + "a." * 3000}],
]


@pytest.mark.parametrize("count", [1, 4, 30])
def test_odd_requests_are_assigned_or_not_but_never_raise(count):
    calls = [call(f"{i}-{n}", messages) for n in range(count) for i, messages in enumerate(ODD)]
    found = discover(calls)
    assert len(found.assignment) == len(calls)
    again = Assigner(found.tasks)
    for one in calls:
        task = again.assign(one.request)
        assert (task.id if task else None) == found.assignment[one.id]


def test_a_very_long_prompt_is_read_at_its_ends_only(agents):
    system = "Summarise the log below in one line for the engineer on duty."
    log = "\n".join(f"{n} ok {agents.text(5)}" for n in range(1000)) * 130
    calls = agents.make("log", 8, lambda n: [("system", system), ("user", agents.text(20))])
    calls += agents.make("long", 2, [("system", system), ("user", log)])
    assert len(log) > 4_000_000
    kinds = kinds_of(discover(calls))
    assert kinds["long"] == kinds["log"] and None not in kinds["log"]


def test_importing_the_assigner_loads_nothing_heavy():
    script = (
        "import sys, protege.cluster; print([m for m in ('numpy', 'sklearn', 'hdbscan', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"


# Recorded calls


@pytest.mark.data
@pytest.mark.parametrize("every", [1, 18])
def test_the_twenty_kinds_of_the_recorded_calls_are_found(recorded, every):
    from sklearn.metrics import adjusted_rand_score, v_measure_score

    calls, kinds = recorded("mixed_train", every)
    found = discover(calls)
    truth = [kinds[one.id] for one in calls]
    given = [found.assignment[one.id] or "none" for one in calls]
    assert v_measure_score(truth, given) >= 0.975
    assert adjusted_rand_score(truth, given) >= 0.93
    assert given.count("none") <= 0.02 * len(calls)


@pytest.mark.data
def test_one_agent_with_one_policy_is_one_task(recorded):
    calls, _ = recorded("tau_retail_gpt4o", 20)
    found = discover(calls)
    assert [(task.kind, task.calls) for task in found.tasks] == [("tool_calls", len(calls))]
