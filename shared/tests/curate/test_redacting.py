"""What trains holds no personal data and fits the task's wording still; what is held out stays as it was."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from typing import Any

import orjson
import pytest
from protege.call import Call, Request, request_from
from protege.curate import Curated, CurateSettings, curate
from protege.curate import redacting as redacting_module
from protege.redact import RedactionPolicy
from protege.task import Task, Template, TemplatePart

SYSTEM = "You note who wrote.\nOur desk is led by Anna Kowalczyk.\nAnswer as JSON."
TASK = Task(
    id="t1",
    name="who",
    kind="json",
    templates=(
        Template(
            "s1",
            (
                TemplatePart(0, "system", tuple(SYSTEM.split("\n"))),
                TemplatePart(1, "user", ("Kind regards",), "Note:\n", "\nEnd."),
            ),
        ),
    ),
)
SMALL = CurateSettings(min_calibration=1, min_train=1, min_validation=1)
GIVEN = ("Agnieszka", "Bartholomew", "Cassandra", "Dietrich", "Evangeline", "Ferdinand")
SURNAMES = ("Kowalski", "Oyelaran", "Papadopoulos", "Ramakrishnan", "Szymanski", "Vandenberg")


def person(number: int) -> tuple[str, str]:
    draw = random.Random(number)
    return draw.choice(GIVEN), draw.choice(SURNAMES)


def call(number: int, run: str | None = None) -> Call:
    given, surname = person(number)
    phone = f"+44 20 7946 {number:04}"
    text = (
        f"Note:\nMy name is {given} {surname}, call me on {phone} about parcel {number}.\nKind regards\nThank you\nEnd."
    )
    answer = json.dumps({"given_name": given, "surname": surname, "phone": phone, "kind": "parcel"})
    messages = ({"role": "system", "content": SYSTEM}, {"role": "user", "content": text})
    return Call(
        id=f"c{number:05}", request=Request(messages), response={"role": "assistant", "content": answer}, run=run
    )


@pytest.fixture(scope="module")
def curated() -> Curated:
    return curate(TASK, [call(i) for i in range(60)], SMALL, RedactionPolicy(key="k"))


def rows(curated: Curated, part: str) -> list[dict[str, Any]]:
    return curated.parts[part].to_list()


def test_names_and_numbers_are_gone_from_train_in_prompt_and_answer_alike(curated: Curated) -> None:
    for row in rows(curated, "train"):
        given, surname = person(int(row["id"][1:]))
        text = orjson.loads(row["request"])["messages"][1]["content"]
        answer = json.loads(row["answer"])
        assert given not in text + row["answer"] and surname not in text + row["answer"]
        assert f"My name is {answer['given_name']} {answer['surname']}, call me on {answer['phone']} about" in text
        assert answer["kind"] == "parcel"


def test_the_wording_of_the_agent_s_author_stays(curated: Curated) -> None:
    for row in rows(curated, "train"):
        record = orjson.loads(row["request"])
        assert record["messages"][0]["content"] == SYSTEM
        assert TASK.templates[0].slots(request_from(record)) is not None
        assert record["messages"][1]["content"].endswith("\nKind regards\nThank you\nEnd.")


def test_what_is_held_out_is_what_a_route_will_see(curated: Curated) -> None:
    for part in ("validation", "calibration", "test"):
        for row in rows(curated, part):
            given, surname = person(int(row["id"][1:]))
            assert f"{given} {surname}" in row["request"] and json.loads(row["answer"])["surname"] == surname


def test_the_data_set_tells_what_was_replaced_and_by_which_policy(curated: Curated) -> None:
    assert curated.provenance["redacted"]["PERSON"] >= len(curated.train)
    assert curated.provenance["redacted"]["PHONE_NUMBER"] >= len(curated.train)
    assert curated.provenance["policy"]["model"] is True
    assert "k" not in curated.provenance["policy"].values()


def test_a_run_s_calls_name_the_same_people() -> None:
    calls = [call(i, run=f"r{i // 2}") for i in range(60)]
    named: dict[str, set[str]] = {}
    for row in rows(curate(TASK, calls, SMALL, RedactionPolicy(key="k")), "train"):
        given, _ = person(int(row["id"][1:]))
        named.setdefault(f"{row['run']} {given}", set()).add(json.loads(row["answer"])["given_name"])
    assert named and all(len(names) == 1 for names in named.values())


def test_a_row_in_which_something_is_left_does_not_train(monkeypatch: pytest.MonkeyPatch) -> None:
    def overlooked(self: object, texts: list[str]) -> list[str]:
        return ["EMAIL_ADDRESS"] if "0 about" in texts[1] else []

    monkeypatch.setattr(redacting_module.Redactor, "left", overlooked)
    found = curate(TASK, [call(i) for i in range(60)], SMALL, RedactionPolicy(types=frozenset(), model=False))
    left_out = [
        call_id for call_id, reason in found.provenance["rejected"].items() if reason == "personal data is left"
    ]
    assert left_out and all(call_id.endswith("0") for call_id in left_out)
    assert not any(row["id"].endswith("0") for row in rows(found, "train"))


def test_an_answer_with_escapes_names_the_person_of_its_prompt() -> None:
    def named(number: int) -> Call:
        made = call(number)
        text = str(made.request.messages[1]["content"]).replace(person(number)[0], "Zoë")
        answer = json.dumps({**json.loads(str((made.response or {})["content"])), "given_name": "Zoë"})
        messages = (made.request.messages[0], {"role": "user", "content": text})
        return replace(made, request=Request(messages), response={"role": "assistant", "content": answer})

    found = rows(curate(TASK, [named(i) for i in range(60)], SMALL, RedactionPolicy(key="k")), "train")
    assert found
    for row in found:
        given = json.loads(row["answer"])["given_name"]
        assert given != "Zoë" and f"My name is {given} " in orjson.loads(row["request"])["messages"][1]["content"]


def with_tools(number: int) -> Call:
    made = call(number)
    given, surname = person(number)
    parameters = {
        "type": "object",
        "properties": {
            "agent": {"type": "string", "enum": [surname], "description": f"As {given} {surname} is called."}
        },
        "required": ["agent"],
    }
    ask = {"name": f"ask_{number}", "description": f"Ask {given} {surname} about it.", "parameters": parameters}
    tools = ({"type": "function", "function": ask},)
    return replace(made, request=replace(made.request, tools=tools))


def test_what_varying_tools_say_is_redacted_and_what_they_are_called_stays() -> None:
    varying = replace(TASK, templates=(replace(TASK.templates[0], constant_tools=False),))
    found = rows(curate(varying, [with_tools(i) for i in range(60)], SMALL, RedactionPolicy(key="k")), "train")
    assert found
    for row in found:
        given, surname = person(int(row["id"][1:]))
        answer, tool = json.loads(row["answer"]), orjson.loads(row["request"])["tools"][0]["function"]
        assert tool["description"] == f"Ask {answer['given_name']} {answer['surname']} about it."
        assert tool["parameters"]["properties"]["agent"]["enum"] == [answer["surname"]]
        assert tool["name"] == f"ask_{int(row['id'][1:])}" and tool["parameters"]["required"] == ["agent"]
        assert given not in row["request"] and surname not in row["request"]


def test_a_row_too_long_to_be_looked_through_does_not_train_and_says_why() -> None:
    def long(number: int) -> Call:
        made = call(number)
        text = str(made.request.messages[1]["content"]).replace("about", f"about {'x' * 200_000}")
        messages = (made.request.messages[0], {"role": "user", "content": text})
        return replace(made, request=Request(messages))

    calls = [long(i) if i % 10 == 0 else call(i) for i in range(60)]
    found = curate(TASK, calls, SMALL, RedactionPolicy(types=frozenset(), model=False))
    reasons = {i: why for i, why in found.provenance["rejected"].items() if why.startswith("too long")}
    assert reasons and all(call_id.endswith("0") for call_id in reasons)


def test_words_that_many_answers_say_stay() -> None:
    kept = redacting_module.kept_words(TASK, [])
    assert {"anna", "kowalczyk", "regards"} <= kept


def everywhere(number: int) -> Call:
    """A call that names its person in every field that a call may have."""
    made = call(number)
    given, surname = person(number)
    name, mail = f"{given} {surname}", f"{given}.{surname}@firma.pl".lower()
    lookup = {"customer": {"name": name, "tags": [surname, {"mail": mail}]}, "limit": 3}
    uses = [
        {"id": "u1", "type": "function", "function": {"name": "lookup", "arguments": lookup}},
        {"id": "u2", "type": "function", "function": {"name": "lookup", "arguments": json.dumps(lookup)}},
        {"id": "u3", "type": "custom", "custom": {"name": "lookup", "input": f"for {name}"}},
    ]
    messages = (
        *made.request.messages,
        {"role": "assistant", "content": None, "tool_calls": uses, "reasoning_content": f"{name} asks."},
        {"role": "tool", "tool_call_id": "u1", "name": "lookup", "content": f"Found {name}."},
        {"role": "user", "name": f"{given}_{surname}", "content": "And now?", "metadata": {"from": mail}},
    )
    parameters = {"user": mail, "metadata": {"account": [name]}, "temperature": 0}
    asked = Request(messages, parameters=parameters, node=("desk", f"{surname}'s"))
    ids = {"id": f"{mail}-{number}", "run": f"{given}-{surname}-{number}", "parent": f"{mail}/{number}"}
    return replace(made, request=asked, agent=f"{name}'s agent", **ids)


def test_no_field_of_a_row_that_trains_names_anybody() -> None:
    found = curate(TASK, [everywhere(i) for i in range(12)], SMALL, RedactionPolicy(key="k"))
    assert not found.provenance["dropped"]["train"].get("personal data is left")
    for row in rows(found, "train"):
        record = orjson.loads(row["request"])
        given, surname = person(int(re.findall(r"parcel (\d+)", record["messages"][1]["content"])[0]))
        assert not [name for name in (given, surname, "firma") if name.casefold() in json.dumps(row).casefold()]
        asked = [use.get("function", use.get("custom")) for use in record["messages"][2]["tool_calls"]]
        customer = asked[0]["arguments"]["customer"]
        assert asked[0]["arguments"]["limit"] == 3 and json.loads(asked[1]["arguments"])["customer"] == customer
        assert asked[2] == {"name": "lookup", "input": f"for {customer['name']}"}
        assert record["messages"][3]["content"] == f"Found {customer['name']}." and record["node"][0] == "desk"
        assert record["messages"][4]["name"] == customer["name"].replace(" ", "_")
        assert record["parameters"]["metadata"] == {"account": [customer["name"]]}
        assert record["parameters"]["user"] == customer["tags"][1]["mail"] == record["messages"][4]["metadata"]["from"]
        assert re.fullmatch("[0-9a-f]{24}", row["id"]) and row["id"] == record["id"] and row["run"] == record["run"]


def test_ids_that_name_nobody_stay() -> None:
    ids = [{"run": f"f47ac10b-58cc-4372-a567-{i:012}", "parent": f"chatcmpl-{i}"} for i in range(12)]
    calls = [replace(call(i), **ids[i]) for i in range(12)]
    for row in rows(curate(TASK, calls, SMALL, RedactionPolicy(key="k", model=False)), "train"):
        record = orjson.loads(row["request"])
        assert {"run": record["run"], "parent": record["parent"]} == ids[int(row["id"][1:])]
        assert (row["id"], row["run"]) == (record["id"], record["run"])


def test_a_row_in_a_language_whose_names_are_not_found_does_not_train_and_says_so() -> None:
    def in_chinese(number: int) -> Call:
        made = call(number)
        words = random.Random(number).sample("包裹丢失迟到破损发票退款登录密码屏幕充电器订单地址银行卡取消", 16)
        text = f"Note:\n请给李娜女士回电，{''.join(words)}。\nKind regards\nEnd."
        return replace(made, request=Request((made.request.messages[0], {"role": "user", "content": text})))

    calls = [in_chinese(i) if i % 2 == 0 else call(i) for i in range(24)]
    found = curate(TASK, calls, SMALL, RedactionPolicy(key="k"))
    assert found.provenance["dropped"]["train"]["names are not found in its language: Chinese or Japanese"]
    assert all(int(row["id"][1:]) % 2 for row in rows(found, "train"))
    asked = curate(TASK, calls, SMALL, RedactionPolicy(types=frozenset({"EMAIL_ADDRESS"}), key="k"))
    assert any(int(row["id"][1:]) % 2 == 0 for row in rows(asked, "train"))
