"""What an answer is rejected for, from train alone."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from protege.call import Call, Request
from protege.curate import Curated, CurateSettings
from protege.curate import curate as curate_with
from protege.curate.noise import failed_tools, noise_of, verdict
from protege.redact import RedactionPolicy
from protege.task import Kind, Task, Template

curate = functools.partial(curate_with, policy=RedactionPolicy(types=frozenset(), model=False))
SMALL = CurateSettings(min_calibration=1, min_train=1, min_validation=1)
NONE: frozenset[str] = frozenset()


def task(kind: Kind, **fields: Any) -> Task:
    return Task(id="t1", name="open", kind=kind, templates=(Template("s1"),), **fields)


def text(number: int) -> str:
    return "".join(random.Random(number).choices("abcdefghijklmnop ", k=40))


def call(number: int, said: Any = "yes", **fields: Any) -> Call:
    response = said if isinstance(said, dict) else {"role": "assistant", "content": said}
    request = Request(({"role": "user", "content": fields.pop("asked", text(number))},), **fields.pop("request", {}))
    return Call(id=f"c{number:04}", request=request, response=response, **fields)


def tool_call(identity: str = "call_1", **arguments: Any) -> dict[str, Any]:
    function = {"name": "find", "arguments": orjson.dumps(arguments).decode()}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": identity, "function": function}]}


def counts(curated: Curated) -> dict[str, int]:
    return curated.provenance["dropped"]["train"]


def held(curated: Curated) -> list[str]:
    return [answer for name, part in curated.parts.items() if name != "train" for answer in part["answer"]]


REFUSALS = (
    "I'm sorry, but I can't assist with that.",
    "I’m sorry, I cannot help with this request.",
    "Sorry, but I am unable to comply with that.",
    "I cannot fulfill this request.",
    "As an AI language model, I do not have opinions.",
)
NO_REFUSALS = (
    "I'm sorry, but the ticket is not refundable. The flight arrives at 6:05 pm.",
    "Unfortunately, I cannot cancel individual items from an order.",
    "Sorry they are all booked up at 11 am.",
    "I can't wait to see it! Positive.",
    "I will not be there.",
    '{"apology": "I\'m sorry, but I can\'t assist with that"}',
)


@pytest.mark.parametrize("said", REFUSALS)
def test_a_refusal_is_recognised_by_its_opening(said: str):
    assert noise_of(call(1, said), NONE) == "refusal"


@pytest.mark.parametrize("said", NO_REFUSALS)
def test_an_apology_is_no_refusal(said: str):
    assert noise_of(call(1, said), NONE) is None


def test_a_refusal_that_the_provider_names_is_one_whatever_its_words():
    field = {"role": "assistant", "content": None, "refusal": "No."}
    part = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    assert noise_of(call(1, field), NONE) == noise_of(call(1, part), NONE) == "refusal"
    assert noise_of(call(1, finish_reason="refusal"), NONE) == "refusal"
    assert noise_of(call(1, finish_reason="content_filter"), NONE) == "stopped by a content filter"
    assert noise_of(call(1, finish_reason="RECITATION"), NONE) == "stopped by a content filter"
    assert noise_of(call(1, finish_reason="error"), NONE) == "stopped by an error"


def test_what_was_refused_is_held_out_all_the_same_and_its_words_are_the_answer():
    refused = {"role": "assistant", "content": None, "refusal": "No."}
    curated = curate(task("text"), [call(i, refused if i % 2 else "yes") for i in range(200)], SMALL)
    assert set(curated.train["answer"]) == {"yes"}
    assert 20 < held(curated).count("No.") < 100
    assert counts(curated)["refusal"] == 100 - held(curated).count("No.")


@pytest.mark.parametrize(
    ("feedback", "said"),
    [
        (False, False),
        (True, True),
        (0, False),
        (-1, False),
        (1.0, True),
        (4, None),
        ("Thumbs down", False),
        ("👍", True),
        ("I like the colour", None),
        ({"score": 0, "comment": "no"}, False),
        ({"comment": "wrong"}, None),
        ([{"key": "a", "score": 1}, {"key": "b", "score": 0}], False),
        ({"value": {"label": "correct"}}, True),
        ([[[[[False]]]]], None),
        (None, None),
        (float("nan"), None),
    ],
)
def test_what_feedback_says(feedback: Any, said: bool | None):
    assert verdict(feedback) is said


def test_an_answer_that_was_marked_wrong_is_held_out_but_not_learnt_from():
    given = [call(i, "bad" if i % 4 == 0 else "yes", feedback={"score": int(i % 4 != 0)}) for i in range(200)]
    curated = curate(task("text"), given, SMALL)
    assert "bad" not in curated.train["answer"] and "bad" in held(curated)
    assert counts(curated) == {"marked wrong": 50 - held(curated).count("bad")}


ERRORS = (
    {"content": "Error: order not found"},
    {"content": "ValueError: no such id"},
    {"content": "Traceback (most recent call last):\n  File …"},
    {"content": '{"error": "not found"}'},
    {"content": '{"isError": true}'},
    {"content": '{"status": "error"}'},
    {"content": "no such id", "status": "error"},
)
RESULTS = (
    {"content": "Error rates fell last year"},
    {"content": '{"error": null, "items": []}'},
    {"content": '{"error": 0.05}'},
    {"content": '{"status": "failed", "payment": 3}'},
    {"content": "[1, 2]"},
    {"content": '{"error"'},
    {"content": None},
)


def later(answered: dict[str, Any], result: dict[str, Any], run: str | None = None, identity: str = "call_1") -> Call:
    told = {"role": "tool", "tool_call_id": identity, **result}
    request = Request(({"role": "user", "content": "find it"}, answered, told))
    return Call(id="later", request=request, response={"role": "assistant", "content": "ok"}, run=run)


@pytest.mark.parametrize("result", ERRORS)
def test_a_tool_call_that_a_later_call_shows_an_error_for_is_noise(result: dict[str, Any]):
    asked = tool_call(place="Rome")
    assert noise_of(call(1, asked), failed_tools([later(asked, result)])) == "tool call then failed"


@pytest.mark.parametrize("result", RESULTS)
def test_a_result_is_no_error(result: dict[str, Any]):
    asked = tool_call(place="Rome")
    assert noise_of(call(1, asked), failed_tools([later(asked, result)])) is None


def test_the_error_of_another_run_another_call_or_other_arguments_says_nothing():
    asked, error = tool_call(place="Rome"), ERRORS[0]
    assert noise_of(call(1, asked, run="r1"), failed_tools([later(asked, error, run="r1")])) is not None
    assert noise_of(call(1, asked, run="r1"), failed_tools([later(asked, error, run="r2")])) is None
    assert noise_of(call(1, tool_call("call_2", place="Rome")), failed_tools([later(asked, error)])) is None
    assert noise_of(call(1, tool_call(place="Bonn")), failed_tools([later(asked, error)])) is None


def test_of_two_tool_calls_only_the_one_that_failed_is_meant():
    two = {"role": "assistant", "tool_calls": [tool_call("a")["tool_calls"][0], tool_call("b")["tool_calls"][0]]}
    failed = failed_tools([later(two, ERRORS[0], identity="b")])
    assert noise_of(call(1, tool_call("a")), failed) is None
    assert noise_of(call(1, tool_call("b")), failed) is not None


def test_arguments_that_are_written_otherwise_or_nested_deep_are_compared():
    asked = tool_call(a=1, b=2)
    spelt = {"role": "assistant", "tool_calls": [{"id": "call_1", "name": "find", "arguments": {"b": 2, "a": 1}}]}
    assert noise_of(call(1, asked), failed_tools([later(spelt, ERRORS[0])])) is not None
    deep = tool_call()
    deep["tool_calls"][0]["function"]["arguments"] = '{"a":' + "[" * 900 + "]" * 900 + "}"
    assert noise_of(call(1, deep), failed_tools([later(deep, ERRORS[0])])) is not None


def attempt(number: int, said: str, start: float, latency_ms: float | None = 500, run: str | None = "r") -> Call:
    run = None if run is None else f"{run}{number // 10}"
    return call(number, said, asked=text(number // 10), run=run, time=start, latency_ms=latency_ms)


def test_of_a_retry_chain_the_last_answer_is_learnt():
    given = [attempt(10 * i + k, said, 100 * i + k) for i in range(80) for k, said in enumerate(("a", "a", "b"))]
    curated = curate(task("label"), given, SMALL)
    assert set(curated.train["answer"]) == {"b"}
    assert counts(curated) == {"replaced by a retry": 2 * len(curated.train)}


@pytest.mark.parametrize(
    "fields",
    [{"latency_ms": 5_000}, {"latency_ms": None}, {"run": None}],
    ids=["at the same time", "latency unknown", "run unknown"],
)
def test_samples_of_one_prompt_vote_instead(fields: dict[str, Any]):
    given = [
        attempt(10 * i + k, said, 100 * i + k, **fields) for i in range(80) for k, said in enumerate(("a", "a", "b"))
    ]
    curated = curate(task("label"), given, SMALL)
    assert set(curated.train["answer"]) == {"a"}
    assert curated.provenance["agreement"] == {"prompts": 80, "calls": 240, "share": pytest.approx(1 / 3)}


WHOLE = '[CONTENT]\n{"plan": "go", "reason": "time"}\n[/CONTENT]'
LACKING = ('[CONTENT]\n{"plan": "go"}\n[/CONTENT]', '[CONTENT]\n{"plan": \n[/CONTENT]')


def tried(said: Sequence[str], apart_s: float) -> list[Call]:
    """Eighty prompts, each asked as often as there are answers, by an agent that names no run."""
    times = ((10 * i + k, answer, 2000 * i + apart_s * k) for i in range(80) for k, answer in enumerate(said))
    return [attempt(number, answer, start, run=None) for number, answer, start in times]


@pytest.mark.parametrize("failed", LACKING)
def test_tries_that_an_agent_without_runs_could_not_parse_teach_nothing(failed: str):
    curated = curate(task("json"), tried((failed, failed, WHOLE), 30), SMALL)
    assert set(curated.train["answer"]) == {'{"plan": "go", "reason": "time"}'}
    assert sum(counts(curated).values()) == 2 * len(curated.train)


def test_without_runs_what_was_asked_again_much_later_was_asked_by_another():
    curated = curate(task("json"), tried((LACKING[0], LACKING[0], WHOLE), 400), SMALL)
    assert set(curated.train["answer"]) == {'{"plan": "go"}'}


def test_of_tries_at_code_the_last_is_learnt():
    tries = ("I would add them.", "```python\ndef add(a, b): ...\n```")
    assert set(curate(task("code"), tried(tries, 5), SMALL).train["answer"]) == {tries[1]}


def test_an_answer_that_is_cut_off_is_held_out_but_not_learnt():
    given = [call(i, f"text {i}", finish_reason="length" if i % 5 == 0 else "stop") for i in range(200)]
    curated = curate(task("text"), given, SMALL)
    assert not any(int(i[1:]) % 5 == 0 for i in curated.train["id"])
    assert sum(int(answer.split()[1]) % 5 == 0 for answer in held(curated)) == 40 - counts(curated)["cut off"]


def test_a_label_or_json_that_is_whole_at_its_limit_is_learnt():
    """A call that allows one token for a label always ends at its limit."""
    curated = curate(task("label", labels=("yes",)), [call(i, finish_reason="length") for i in range(100)], SMALL)
    assert not counts(curated)
    answers = ('{"a": 1}', '{"a": ')
    given = [call(i, answers[i % 2], finish_reason="length") for i in range(100)]
    curated = curate(task("json"), given, SMALL)
    assert set(curated.train["answer"]) == {'{"a": 1}'} and set(counts(curated)) == {"cut off"}


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@pytest.mark.parametrize("kind", ["json", "text", "label"])
def test_an_answer_that_breaks_the_response_format_is_not_learnt(kind: Kind):
    asked = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}}
    answers = ('{"a": 1}', '{"a": "one"}', "no JSON")
    curated = curate(task(kind), [call(i, answers[i % 3], request=asked) for i in range(210)], SMALL)
    assert set(curated.train["answer"]) == {'{"a": 1}'}
    assert set(counts(curated)) == {"answer without the task's structure"}


def test_a_tool_call_that_breaks_the_tool_s_schema_is_not_learnt():
    tools = ({"type": "function", "function": {"name": "find", "parameters": SCHEMA}},)
    answers = (tool_call(a=1), tool_call(a="one"), tool_call())
    given = [call(i, answers[i % 3], request={"tools": tools}) for i in range(210)]
    curated = curate(task("tool_calls"), given, SMALL)
    assert {orjson.loads(answer)["arguments"]["a"] for answer in curated.train["answer"]} == {1}


@pytest.mark.parametrize("schema", [{"$ref": "#/$defs/none"}, {"type": 7}])
def test_a_schema_that_cannot_be_followed_rejects_nothing(schema: dict[str, Any]):
    asked = {"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}
    curated = curate(task("json"), [call(i, '{"a": 1}', request=asked) for i in range(60)], SMALL)
    assert not counts(curated)
