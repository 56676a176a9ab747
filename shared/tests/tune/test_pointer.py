"""A pointer learns which action comes next and what its arguments copy, and leaves all else to the teacher."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from protege.call import Call
from protege.chat.prompt import as_messages, render
from protege.common.checks import MOST_LEVELS
from protege.common.progress import Silent
from protege.curate import Curated, CurateSettings, curate
from protege.errors import BaseModelError, NotClosed
from protege.heads import NGRAMS, read
from protege.heads.conversation import LONGEST, Conversation, leaves, shape
from protege.heads.pointer import MAGIC, to_bytes
from protege.specialist import Base, Specialist
from protege.task import Task, Template, TemplatePart
from protege.testing.tuners import TunerConformance
from protege.tune import TuneSettings, tune
from protege.tune.methods import pointer
from protege.tune.methods.head import Shown

NAMES = ("Anna", "Boris", "Chen", "Dina", "Emil", "Fatima", "Goran", "Hana", "Ivo", "Jana")
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("find_user", "get_order", "think")
]


def call(name: str, **arguments: Any) -> str:
    return json.dumps({"name": name, "arguments": arguments})


def asks(name: str, **arguments: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": function}]}


def turns(n: int) -> tuple[list[dict[str, Any]], str]:
    """A conversation and what comes next: a look at the first order that was not yet looked at, words, or a thought."""
    chance = random.Random(n)
    orders = [f"#W{chance.randrange(10**6, 10**7)}" for _ in range(3)]
    user = {"role": "user", "content": f"Hello, my name is {chance.choice(NAMES)}, I live in {n:05}. Return a lamp."}
    found = {"role": "tool", "tool_call_id": "c", "content": json.dumps({"id": f"u_{n}", "orders": orders})}
    messages = [user, asks("find_user", zip=f"{n:05}"), found]
    if n % 4 == 0:
        return messages, call("get_order", id=orders[0])
    seen = {"role": "tool", "tool_call_id": "c", "content": json.dumps({"id": orders[0], "items": ["chair"]})}
    messages += [asks("get_order", id=orders[0]), seen]
    if n % 4 == 1:
        return messages, call("get_order", id=orders[1])
    if n % 4 == 2:
        messages[-1] = {**seen, "content": json.dumps({"id": orders[0], "items": ["lamp"]})}
        return messages, f"I found your lamp {n}."
    messages += [{"role": "assistant", "content": "Which one?"}, {"role": "user", "content": f"The dear one, {n}"}]
    return messages, call("think", thought=f"It is the dear one of {n} and so on")


def shown(numbers: range) -> list[Shown]:
    told = [(n, *turns(n)) for n in numbers]
    return [Shown(render(NGRAMS, as_messages(messages)), answer, str(n)) for n, messages, answer in told]


def taught(examples: list[Shown], fields: str = "") -> pointer.Pointer:
    rows = [pointer._read(example, fields) for example in examples]
    kinds, labels = pointer._kinds(rows)
    with Silent().step("", 1) as bar:
        return pointer._taught(rows, kinds, labels, bar)[0]


@pytest.fixture(scope="module")
def learnt() -> pointer.Pointer:
    return taught(shown(range(80)))


def test_it_copies_the_order_that_was_not_looked_at_and_leaves_words_to_the_teacher(learnt: pointer.Pointer) -> None:
    new = shown(range(1000, 1040))
    for example in new:
        chosen = learnt.answer(example.prompt)
        expected = json.loads(example.answer) if "get_order" in example.answer else None
        assert (json.loads(chosen.text) if chosen.text else None) == expected
        assert len(chosen.pieces) == len(chosen.logprobs) == len(chosen.runners_up)
        assert all(other <= log <= 0 for log, other in zip(chosen.logprobs, chosen.runners_up, strict=True))
    assert {act.name: bool(act.template) for act in learnt.acts} == {"": False, "get_order": True, "think": False}


def test_an_argument_that_stands_nowhere_is_never_written(learnt: pointer.Pointer) -> None:
    messages = [{"role": "user", "content": "Look at my orders."}]
    for text in ("", "no orders", "Result:\n", "x" * 70_000, "[" * 9_000, "{" * 9_000):
        prompt = render(NGRAMS, as_messages([*messages, {"role": "user", "content": text}]))
        assert learnt.answer(prompt).text == ""
    assert learnt.answer("no template at all").text == ""


def test_what_is_not_compared_is_as_the_assistant_wrote_it_last() -> None:
    def example(n: int) -> Shown:
        memory = {"memory": f"note {n} of {n * n}", "seen": []}
        last = {"state": memory, "actions": [{"goto": {"url": f"https://a.example/{n}"}}]}
        messages = [
            {"role": "user", "content": f"Search for {n}"},
            {"role": "assistant", "content": json.dumps(last)},
            {
                "role": "user",
                "content": f"I1[:]<input>\nB{n}[:]<button>Search</button>\nB{n + 1}[:]<a>Log in</a>",
            },
        ]
        answer = {"state": {"memory": f"more {n} {n}", "seen": [n]}, "actions": [{"click": {"id": f"B{n}", "n": None}}]}
        return Shown(render(NGRAMS, as_messages(messages)), json.dumps(answer), str(n))

    learnt = taught([example(n) for n in range(40)], fields="actions")
    new = example(77)
    answer = json.loads(learnt.answer(new.prompt).text)
    assert answer["actions"] == json.loads(new.answer)["actions"]
    assert answer["state"] == {"memory": "note 77 of 5929", "seen": []} and list(answer) == ["state", "actions"]
    assert learnt.answer(new.prompt.replace("note 77", "\\u0000")).text  # a text that looks like a gap carries nothing


def clicks(n: int, clicked: str = "", memory: str = "none") -> Shown:
    prompt = render(NGRAMS, as_messages([{"role": "user", "content": f"Page {n}: take A{n:03} now"}]))
    return Shown(prompt, json.dumps({"memory": memory, "action": {"click": clicked or f"A{n:03}"}}), str(n))


def test_an_answer_that_holds_what_stands_for_a_gap_is_not_written() -> None:
    learnt = taught([clicks(n, memory="\0") for n in range(40)], fields="action")
    assert [act.template for act in learnt.acts] == [""] and read(to_bytes(learnt)) == learnt


def test_what_cannot_be_pointed_at_counts_as_wrong() -> None:
    rows = [pointer._read(clicks(n, "" if n % 10 else "Z999"), "action") for n in range(40)]
    with Silent().step("", 1) as bar:
        _, figures = pointer._taught(rows, *pointer._kinds(rows), bar)
    assert figures["agreement_left_out"] == 0.9


@pytest.mark.parametrize("levels", [MOST_LEVELS, 300, 900])
def test_json_that_is_nested_too_deeply_is_words(levels: int) -> None:
    deep = '{"memory":' * levels + "1" + "}" * levels
    odd = [Shown(clicks(n).prompt, deep, str(n)) for n in range(40, 46)]
    learnt = taught([*(clicks(n) for n in range(40)), *odd], fields="action")
    assert [bool(act.template) for act in learnt.acts] == [False, True]
    asked = {"role": "user", "content": "Page 7: take A007 now"}
    prompt = render(NGRAMS, as_messages([asked, {"role": "assistant", "content": deep}, asked]))
    assert json.loads(learnt.answer(prompt).text)["action"] == {"click": "A007"}


def test_long_keys_are_read_at_their_end() -> None:
    deep = json.loads('{"name":' * 300 + "[1,2]" + "}" * 300)
    for value in ({"k" * 30_000: {"id": [1, 2]}}, deep):
        told = list(leaves(value))
        assert [text for _, text in told] == ["1", "2"] and {len(path) for path, _ in told} == {LONGEST}
        assert told[0][0].endswith(("k.id[]", "name.name[]"))


def test_the_file_is_the_same_each_time_and_is_checked(learnt: pointer.Pointer) -> None:
    body = to_bytes(learnt)
    assert read(body) == learnt and to_bytes(taught(shown(range(80)))) == body
    assert b"Anna" not in body and b"lamp" not in body
    for broken in (
        *(MAGIC, MAGIC + b"{}", MAGIC + b'{"version":1,"acts":[]}', body[:-9], MAGIC + b'{"version":2,"acts":[]}'),
        body.replace(b'"gaps":[{', b'"gaps":[{"x":1},{', 1),
        body.replace(b'"quoted"', b'"q"', 1),
    ):
        with pytest.raises(ValueError):
            read(broken)


@pytest.mark.parametrize(
    ("text", "sort"),
    [("#W5490111", "#A97"), ("mia_garcia_4516", "a_a_94"), ("Yusuf", "A"), ("a.b@c.de", "@"), ("B3", "A9"), ("", "")],
)
def test_texts_have_shapes(text: str, sort: str) -> None:
    assert shape(text) == sort and shape("https://a.example/b?c=1") == "url"


def test_a_prompt_is_read_as_a_conversation() -> None:
    messages, _ = turns(1)
    conversation = Conversation.of(render(NGRAMS, as_messages(messages)))
    assert [part.who for part in conversation.parts] == ["user", "assistant", "result", "assistant", "result"]
    assert [name for name, _ in conversation.acts] == ["find_user", "get_order"]
    found = {one.text: one.marks for one in conversation.found()}
    assert {"k orders", "in result1"} <= found[json.loads(messages[2]["content"])["orders"][1]]
    assert {"b is", "bb name is", "in user0"} <= found[next(name for name in NAMES if name in messages[0]["content"])]
    assert "used" in found["00001"] and "used" not in found["Return"]


SYSTEM = {"role": "system", "content": "You help the customers of a shop."}
TASK = Task(
    id="t",
    name="shop",
    kind="tool_calls",
    templates=(Template("s", (TemplatePart(0, "system", lines=(SYSTEM["content"],)),)),),
)


def recorded(n: int) -> Call:
    messages, answer = turns(n)
    value = json.loads(answer) if answer.startswith("{") else None
    response = asks(value["name"], **value["arguments"]) if value else {"role": "assistant", "content": answer}
    return Call.from_record(
        {"id": f"{n:03}", "run": str(n), "messages": [SYSTEM, *messages], "tools": TOOLS, "response": response}
    )


@pytest.fixture(scope="module")
def curated() -> Curated:
    settings = CurateSettings(min_calibration=10, min_train=10, min_validation=8)
    return curate(TASK, [recorded(n) for n in range(80)], settings)


class TestPointer(TunerConformance):
    settings = TuneSettings(method="pointer")

    @pytest.fixture
    def curated(self, curated: Curated) -> Curated:
        return curated

    @pytest.fixture
    def task(self) -> Task:
        return TASK

    @pytest.fixture
    def base(self) -> Base:
        return NGRAMS


def test_labels_and_arguments_that_are_made_are_refused(tmp_path: Path, curated: Curated) -> None:
    with pytest.raises(NotClosed, match="tool calls or JSON"):
        tune(curated, replace(TASK, kind="label"), NGRAMS, tmp_path, TuneSettings(method="pointer"))
    said = [Shown(example.prompt, call("say", text=f"made {example.id} up")) for example in shown(range(20))]
    rows = [pointer._read(example, "") for example in said]
    assert not any(kind.template for kind in pointer._kinds(rows)[0])
    with pytest.raises(BaseModelError, match="cannot be used"):
        (tmp_path / "head.bin").write_bytes(MAGIC)
        specialist = Specialist("s", "shop-v1", "t", 1, NGRAMS, "slots", files={"head": "head.bin"})
        pointer.PointerTuner().reference(specialist, tmp_path)
