"""Which calls become rows of which part."""

from __future__ import annotations

import functools
import random
from collections import Counter
from dataclasses import replace

import orjson
import pytest
from protege.call import Attempt, Call, Request
from protege.chat.prompt import as_messages
from protege.curate import PARTS, Curated, CurateSettings
from protege.curate import curate as curate_with
from protege.errors import BadInput, NotEnoughCalls
from protege.redact import RedactionPolicy
from protege.task import Task, Template, TemplatePart

curate = functools.partial(curate_with, policy=RedactionPolicy(types=frozenset(), model=False))
"""Without the search for personal data, which takes most of the time and finds names in words made by chance."""

SYSTEM = "Say whether the ticket is about an order, a refund or an account."
LABELS = ("order", "refund", "account")
TASK = Task(
    id="t1",
    name="ticket",
    kind="label",
    labels=LABELS,
    templates=(Template("s1", (TemplatePart(0, "system", (SYSTEM,)), TemplatePart(1, "user", prefix="Ticket: "))),),
)
SMALL = CurateSettings(min_calibration=1, min_train=1, min_validation=1)
WORDS = tuple(
    f"{a}{b}" for a in ("ba", "do", "ke", "li", "mu", "no", "pa") for b in ("ra", "so", "ti", "vu", "we", "x")
)


def call(number: int, text: str, answer: str | None = "order", **fields: object) -> Call:
    messages = ({"role": "system", "content": SYSTEM}, {"role": "user", "content": f"Ticket: {text}"})
    response = None if answer is None else {"role": "assistant", "content": answer}
    return Call(**{"id": f"c{number:05}", "request": Request(messages), "response": response, **fields})


def words(number: int) -> str:
    """A text that no other number gives, digits folded or not."""
    return " ".join(random.Random(number).choices(WORDS, k=6)) + f" {WORDS[number % 42]} {WORDS[number // 42 % 42]}"


def calls(count: int, start: int = 0) -> list[Call]:
    return [call(i, words(i), LABELS[i % 3]) for i in range(start, start + count)]


def reasons(curated: Curated, part: str = "all") -> dict[str, int]:
    return curated.provenance["dropped"][part]


def ids(curated: Curated, *parts: str) -> set[str]:
    return {i for part in parts or PARTS for i in curated.parts[part]["id"]}


def slot(request: str) -> str:
    return orjson.loads(request)["messages"][1]["content"]


def test_a_thousand_calls_give_at_least_250_to_calibrate_on():
    curated = curate(TASK, calls(1000))
    assert {name: len(part) for name, part in curated.parts.items()} == {
        "train": 560,
        "validation": 50,
        "calibration": 270,
        "test": 120,
    }


def test_a_row_holds_the_request_without_answers_the_answer_and_the_wording():
    tried = Attempt("s-1", "handed_back", "not sure", content="a specialist's own words")
    curated = curate(TASK, [*calls(50), call(99, "one more", "refund", attempts=(tried,), run="r9")], SMALL)
    row = next(row for row in curated.train.to_list() if row["id"] == "c00099")
    assert (row["run"], row["answer"], row["signature"]) == ("r9", "refund", "s1/0")
    record = orjson.loads(row["request"])
    assert "response" not in record and "attempts" not in record
    assert Call.from_record(record).request.messages == call(99, "one more").request.messages


def test_what_is_from_before_a_time_need_not_be_learnt_from() -> None:
    curated = curate(TASK, [replace(one, time=float(n)) for n, one in enumerate(calls(400))])
    later = curated.since(300.0)
    assert ids(later, "train") == {i for i in ids(curated, "train") if i >= "c00300"} != set()
    assert all(later.parts[name].to_list() == curated.parts[name].to_list() for name in PARTS[1:])
    assert later.provenance["counts"]["train"] == len(later.train) and later.hash != curated.hash
    assert curated.since(0.0).hash == curated.hash


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (call(900, "a", error="TimeoutError"), "failed"),
        (call(900, "a", None), "no response"),
        (call(900, "a", "  \n"), "empty answer"),
        (call(900, "broken \ud800 text"), "content that no file can hold"),
        (call(900, "a", attempts=(Attempt("s-1", "kept", "sure"),)), "answered by a specialist"),
        (replace(call(900, "a"), request=Request(({"role": "user", "content": "hello"},))), "other wording"),
        (
            replace(call(900, "a"), request=Request(({"role": "user", "content": [{"type": "image_url"}]},))),
            "content that is not text",
        ),
    ],
)
def test_a_call_that_can_be_neither_learnt_from_nor_compared_with_is_left_out_and_counted(bad: Call, reason: str):
    curated = curate(TASK, [*calls(50), bad], SMALL)
    assert reasons(curated) == {reason: 1}
    assert curated.provenance["rejected"] == {"c00900": reason}
    assert "c00900" not in ids(curated)


def test_a_history_with_broken_tool_arguments_is_shown_as_it_was_written():
    task = replace(TASK, templates=(Template("open"),))
    broken = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}
    bad = replace(call(900, "a"), request=Request(({"role": "user", "content": "a"}, broken)))
    assert reasons(curate(task, [*calls(50), bad], SMALL)) == {}
    assert as_messages(bad.request.messages)[-1]["content"] == '{"name":"f","arguments":"{"}'


def test_unlike_answers_are_taken_from_train_alone():
    given = [replace(c, response={"role": "assistant", "content": "never seen"}) for c in calls(300)[::10]]
    others = [c for i, c in enumerate(calls(300)) if i % 10]
    curated = curate(TASK, [*given, *others], SMALL)
    assert reasons(curated, "train") == {"answer without the task's structure": 30 - _held(curated, "never seen")}
    assert "never seen" not in curated.train["answer"]
    assert _held(curated, "never seen") > 0
    judged = [*curated.calibration["answer"], *curated.test["answer"]]
    assert curated.provenance["structure"] == 1 - judged.count("never seen") / len(judged) < 1


def _held(curated: Curated, answer: str) -> int:
    return sum(part["answer"].count(answer) for name, part in curated.parts.items() if name != "train")


def test_tool_arguments_that_are_no_json_stay_to_be_compared_with():
    task = replace(TASK, kind="tool_calls", labels=())
    broken = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}
    curated = curate(task, [replace(c, response=broken) if i % 2 else c for i, c in enumerate(calls(200))], SMALL)
    held = [a for name in ("calibration", "test") for a in curated.parts[name]["answer"]]
    assert any("arguments" in answer for answer in held)
    assert not any("arguments" in answer for answer in curated.train["answer"])


def test_train_keeps_one_row_a_prompt_and_the_other_parts_keep_repeats():
    repeated = [call(1000 * k + i, words(i), LABELS[i % 3]) for i in range(100) for k in range(3)]
    curated = curate(TASK, repeated, SMALL)
    assert max(Counter(map(slot, curated.train["request"])).values()) == 1
    assert set(Counter(map(slot, curated.calibration["request"])).values()) == {3}
    assert reasons(curated, "train") == {"repeat": 2 * len(curated.train)}


def test_of_contradicting_answers_train_keeps_the_most_frequent_and_none_of_a_tie():
    triples = [call(1000 * k + i, words(i), "refund" if k == 2 else "order") for i in range(60) for k in range(3)]
    ties = [call(5000 + 1000 * k + i, words(i), LABELS[k]) for i in range(60, 120) for k in range(2)]
    curated = curate(TASK, [*triples, *ties], SMALL)
    learnt = {slot(r): a for r, a in zip(curated.train["request"], curated.train["answer"], strict=True)}
    assert set(learnt.values()) == {"order"}
    assert set(learnt) <= {f"Ticket: {words(i)}" for i in range(60)}
    assert "refund" in curated.calibration["answer"]


def test_free_text_answers_do_not_contradict_each_other():
    task = replace(TASK, kind="text", labels=())
    curated = curate(task, [call(1000 * k + i, words(i), f"answer {k}") for i in range(60) for k in range(2)], SMALL)
    assert set(reasons(curated, "train")) == {"repeat"}


def test_json_answers_that_differ_in_the_order_of_keys_are_the_same():
    task = replace(TASK, kind="json", labels=())
    spelt = ('{"a": 1, "b": 2}', '{"b":2,"a":1}')
    curated = curate(task, [call(1000 * k + i, words(i), spelt[k]) for i in range(60) for k in range(2)], SMALL)
    assert set(reasons(curated, "train")) == {"repeat"}


def test_calls_that_a_specialist_handed_back_train_and_never_calibrate():
    tried = (Attempt("s-1", "handed_back", "not sure"),)
    hard = [replace(c, attempts=tried) for c in calls(200, start=500)]
    curated = curate(TASK, [*calls(200), *hard], SMALL)
    assert {c.id for c in hard} <= ids(curated, "train")
    assert len(curated.calibration) == 54


def test_a_handed_back_call_whose_prompt_is_held_out_stands_nowhere():
    tried = (Attempt("s-1", "handed_back", "not sure"),)
    again = [replace(c, id=f"again-{c.id}", attempts=tried) for c in calls(200)]
    curated = curate(TASK, [*calls(200), *again], SMALL)
    withheld = reasons(curated, "train")["handed back, and its like is held out"]
    assert withheld == 200 - curated.provenance["groups"]["train"]


def test_train_is_cut_to_its_cap():
    curated = curate(TASK, calls(400), replace(SMALL, max_train=50))
    assert len(curated.train) == 50
    assert reasons(curated, "train") == {"above the size cap": 400 - len(ids(curated))}


def test_secrets_are_masked_in_request_and_answer():
    secret = "sk-proj-" + "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zAb3dEf6h"
    task = replace(TASK, kind="text", labels=())
    curated = curate(task, [call(i, f"{words(i)} with key {secret}", f"key {secret}") for i in range(60)], SMALL)
    for part in curated.parts.values():
        assert secret not in str(part.to_list())


def test_the_same_calls_in_another_order_give_the_same_data_set():
    given = calls(300)
    mixed = random.Random(1).sample(given, len(given))
    first, second = curate(TASK, given), curate(TASK, mixed)
    assert first.hash == second.hash
    assert first.provenance == second.provenance


def test_another_seed_or_task_divides_otherwise():
    given = calls(300)
    first = ids(curate(TASK, given), "calibration")
    assert first != ids(curate(TASK, given, CurateSettings(seed=1)), "calibration")
    assert first != ids(curate(replace(TASK, id="t2"), given), "calibration")


def test_more_calls_leave_most_of_the_test_part_where_it_was():
    before = ids(curate(TASK, calls(1000)), "calibration")
    after = ids(curate(TASK, calls(1050)), "calibration")
    assert len(before & after) > 0.9 * len(before)


@pytest.mark.parametrize("count", [0, 1, 30, 200])
def test_too_few_calls_name_the_number_that_is_missing(count: int):
    with pytest.raises(NotEnoughCalls) as raised:
        curate(TASK, calls(count))
    assert raised.value.missing > 0
    curate(TASK, calls(count + raised.value.missing))


def test_where_all_answers_are_invalid_the_reasons_are_counted():
    with pytest.raises(NotEnoughCalls, match="answer without the task's structure"):
        curate(TASK, [call(i, words(i), "nonsense") for i in range(400)])


def test_one_prompt_asked_over_and_over_cannot_be_divided():
    with pytest.raises(NotEnoughCalls, match="too large to divide"):
        curate(TASK, [call(i, "the same") for i in range(1000)])


def test_one_giant_run_cannot_be_divided():
    with pytest.raises(NotEnoughCalls, match="runs"):
        curate(TASK, [replace(c, run="r1") for c in calls(1000)])


def test_a_large_run_beside_small_ones_trains_and_is_counted():
    curated = curate(TASK, [replace(c, run="r1" if i < 300 else None) for i, c in enumerate(calls(1000))])
    assert curated.provenance["counts"]["oversized"] == 300
    assert {f"c{i:05}" for i in range(300)} <= ids(curated, "train")


def test_prompts_that_differ_in_digits_alone_are_divided_where_folding_would_make_them_one():
    curated = curate(TASK, [call(i, f"{i} + {i * 7}") for i in range(1000)])
    assert len(curated.calibration) == 270


def test_shares_that_leave_nothing_are_refused():
    with pytest.raises(BadInput):
        CurateSettings(calibration=0.9, test=0.2)


def test_calls_whose_tools_differ_from_call_to_call_can_be_used():
    wording = replace(TASK.templates[0], constant_tools=False, offered="")
    task = replace(TASK, kind="tool_calls", labels=(), templates=(wording,))
    given = []
    for number in range(30):
        tool = {"type": "function", "function": {"name": f"find_{number}", "parameters": {"type": "object"}}}
        answered = {"function": {"name": f"find_{number}", "arguments": "{}"}}
        plain = call(number, words(number))
        request = replace(plain.request, tools=(tool,))
        given.append(replace(plain, request=request, response={"role": "assistant", "tool_calls": [answered]}))
    curated = curate(task, given, SMALL)
    assert curated.provenance["counts"]["usable"] == 30
    assert not curated.provenance["rejected"]
