"""What a task's calls amount to, and what it is called."""

from __future__ import annotations

import pytest
from protege import Attempt, Call
from protege.cluster import discover
from protege.cluster import tally as tallies
from protege.cluster.naming import names_for
from protege.cluster.tally import Repeats, Tally


def call(answer, number=0, **fields):
    response = answer if isinstance(answer, dict) else {"role": "assistant", "content": answer}
    messages = [{"role": "user", "content": "x" * 40}]
    return Call.from_record({"id": str(number), "messages": messages, "response": response, **fields})


def tally(answers, **fields):
    found = Tally()
    for n, answer in enumerate(answers):
        found.add(call(answer, n, **fields))
    return found


TOOL_CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        (["yes", "no"] * 10, "label"),
        (["spam"] * 6, "label"),
        (["yes", "no"], "text"),
        ([f"Sentence number {n} stands alone." for n in range(20)], "text"),
        (['{"a": 1}', "[1, 2]", '```json\n{"a": 2}\n```'] * 3, "json"),
        ([TOOL_CALL] * 6 + ["Which day?"] * 4, "tool_calls"),
        (["SELECT a FROM t", "WITH x AS (SELECT 1) SELECT * FROM x", "```sql\nselect 1\n```"] * 3, "sql"),
        (["def f():\n    return 1", "```python\nx = 1\n```"] * 3, "code"),
        (["Select the best offer and enjoy.", "With best regards, your shop", "Update: it rains again"] * 1, "text"),
        (["{not json"] * 6, "label"),
        ([], "text"),
    ],
)
def test_the_kind_of_output_is_read_from_the_answers(answers, kind):
    assert tally(answers).kind == kind


def test_labels_come_most_frequent_first():
    assert tally(["no"] * 3 + ["yes"] * 7 + ["a\nb"] * 0).label_texts() == ("yes", "no")
    assert tally(['{"a": 1}'] * 9).label_texts() == ()


def test_many_labels_are_labels_where_they_come_again():
    assert tally([f"intent_{n % 77}" for n in range(1000)]).kind == "label"
    assert tally([f"name {n % 600}" for n in range(1000)]).kind == "text"


def test_what_is_not_told_is_estimated_and_what_is_told_is_kept():
    assert tally(["four"] * 2).input_tokens.value == 10
    told = tally(["four"] * 2, usage={"input_tokens": 3, "output_tokens": 2}, latency_ms=5, cost_usd=0.5)
    assert (told.input_tokens.value, told.output_tokens.value) == (3, 2)
    assert (told.latency_ms.value, told.cost_usd.value) == (5, 0.5)
    assert tally(["four"]).latency_ms.value is None and tally(["four"]).cost_usd.value is None


def test_a_cost_that_is_not_told_is_the_list_price():
    cost = tally(["four"], model="gpt-4o", usage={"input_tokens": 1000, "output_tokens": 1000}).cost_usd.value
    assert cost is not None and 0.001 < cost < 0.1


def test_a_specialists_answers_say_nothing_of_the_kind():
    found = Tally()
    kept = call("yes")
    for n in range(9):
        found.add(Call(id=str(n), request=kept.request, response=kept.response, attempts=(Attempt("s", "kept", "k"),)))
    assert found.calls == 9 and not found.kinds


def test_failed_calls_count_as_volume_only():
    found = Tally()
    found.add(call("", error="timeout"))
    assert found.calls == 1 and not found.kinds and found.output_tokens.value is None


def test_figures_reach_the_task(agents):
    [task] = discover(agents.triage(30, node=["shop", "triage_ticket"], latency_ms=7)).tasks
    assert (task.calls, task.kind, task.latency_ms, task.node) == (30, "label", 7, ("shop", "triage_ticket"))
    assert set(task.labels) == {"refund", "delivery", "account"}
    assert task.name == "triage_ticket"


# What comes again


def repeats(texts):
    found = Repeats()
    for text in texts:
        found.add(text.encode())
    return found


def test_what_comes_again_is_counted():
    found = repeats(["a", "b", "a", "a"])
    assert (found.total, found.distinct, found.seen_before) == (4, 2, 0.5)
    assert found.entropy_bits == pytest.approx(0.811, abs=0.001)


def test_entropy_is_none_of_one_text_and_the_logarithm_of_all_different_ones():
    assert repeats(["same"] * 9).entropy_bits == 0
    assert repeats([str(n) for n in range(64)]).entropy_bits == pytest.approx(6)


def test_nothing_counted_says_nothing():
    assert (Repeats().distinct, Repeats().seen_before, Repeats().entropy_bits) == (0, 0, 0)


def test_beyond_what_memory_may_hold_repeats_are_estimated(monkeypatch):
    monkeypatch.setattr(tallies, "MAX_DISTINCT", 500)
    found = repeats([str(n % 4000) for n in range(8000)])
    assert len(found.counts) <= 500 and set(found.counts.values()) == {2}
    assert found.distinct == pytest.approx(4000, rel=0.15)
    assert found.seen_before == pytest.approx(0.5, abs=0.08)
    assert found.entropy_bits == pytest.approx(11.97, rel=0.15)


# Names


def named(*texts, nodes=None, tools=None, taken=()):
    count = len(texts)
    return names_for(
        [[t] if isinstance(t, str) else t for t in texts], nodes or [()] * count, tools or [()] * count, taken
    )


def test_a_name_says_what_the_prompt_says():
    assert named("Triage an e-commerce support ticket.") == ["triage_commerce_support_ticket"]
    assert named(["You are a guardrail.", "Check the scope of requests."]) == ["guardrail_check_scope_requests"]


def test_the_node_comes_first_unless_every_agent_has_it():
    text = "Triage a support ticket."
    assert named(text, nodes=[("shop", "classify_intent")]) == ["classify_intent"]
    assert named(text, nodes=[("shop", "agent", "model")]) == ["shop"]
    assert named(text, nodes=[("model",)]) == ["triage_support_ticket"]


def test_names_differ():
    text = "Triage a support ticket."
    names = named(text, text, text, nodes=[("sort",), ("sort",), ("sort",)], taken=["sort_triage_support_ticket"])
    assert len({*names, "sort_triage_support_ticket"}) == 4


def test_other_languages_have_names_too():
    assert named("Übersetze den folgenden Satz ins Englische") == ["übersetze_den_folgenden_satz"]
    assert named("将下面的句子翻译成英文。")[0].startswith("将下面的")


def test_without_words_the_tools_name_the_task():
    assert named("", tools=[("SearchFlights", "book")]) == ["search_flights"]
    assert named("") == ["free_form"]
