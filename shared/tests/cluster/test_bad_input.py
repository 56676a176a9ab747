"""Whatever an agent sends, discovery ends soon, in bounded memory, and loses no call."""

from __future__ import annotations

import base64
import random
import time
import tracemalloc

import pytest
from protege import Call
from protege.cluster import Assigner, discover

MB = 1_000_000


def call(number, messages, **fields):
    return Call.from_record({"id": f"c{number}", "messages": messages, **fields})


def user(text):
    return [{"role": "user", "content": text}]


def deep(levels: int):
    schema: dict = {"type": "string"}
    for n in range(levels):
        schema = {"type": "object", "properties": {f"level_{n}": schema}}
    return schema


made = random.Random(4)
BINARY = base64.b64encode(made.randbytes(MB)).decode()
BAD = {
    "5 MB of words": user("Summarise this log. " + "the pump is on again " * 240_000),
    "5 MB without a space": user("x" * 5 * MB),
    "5 MB of system text": [{"role": "system", "content": "Rule: be kind. " * 340_000}, *user("Hello")],
    "binary": user(f"Describe this file: data:application/octet-stream;base64,{BINARY}"),
    "binary in 76 columns": user("\n".join(BINARY[i : i + 76] for i in range(0, len(BINARY), 76))),
    "broken UTF-8": user(b"caf\xe9 \xff\xfe \x00 na\xc3".decode("utf-8", "surrogateescape") * 1000),
    "deep JSON": user('{"a":' * 50_000 + "1" + "}" * 50_000),
    "brackets and quotes": user('["' * 100_000),
    "colons": user("a: " * 100_000 + "\nb:" * 100_000),
}


@pytest.mark.parametrize("name", BAD)
def test_it_is_bounded_and_nothing_is_lost(name, agents):
    calls = agents.triage(20) + [call(n, BAD[name]) for n in range(4)]
    discover(calls[:20])  # the libraries load before the clock runs
    tracemalloc.start()
    start = time.process_time()
    found = discover(calls)
    seconds = time.process_time() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found.assignment) == 24
    assert len({found.assignment[c.id] for c in calls[:20]}) == 1 and found.assignment["triage-00000"]
    assert seconds < 10 and peak < 300 * MB
    assigner = Assigner(found.tasks)
    start = time.process_time()
    assigner.assign(calls[-1].request)
    assert time.process_time() - start < 0.5


def test_deep_schemas_are_read(agents):
    tool = {"type": "function", "function": {"name": "look_up", "parameters": deep(80)}}
    calls = agents.triage(10, tools=[tool], response_format={"type": "json_schema", "json_schema": deep(80)})
    assert [task.calls for task in discover(calls).tasks] == [10]


def test_nothing_but_duplicates_is_one_task():
    found = discover([call(n, user("What is the status of the server?")) for n in range(3_000)])
    assert [task.calls for task in found.tasks] == [3_000]


def test_calls_that_are_all_different_are_told_so_in_bounded_time():
    texts = ["".join(made.choices("abcdefghij klmnopqrst", k=200)) for _ in range(3_000)]
    found = discover([call(n, user(text)) for n, text in enumerate(texts)])
    assert len(found.assignment) == 3_000
    assert len(found.tasks) <= 1 and not any(task.templates for task in found.tasks)


def test_system_texts_that_are_all_different_are_no_task():
    system = [{"role": "system", "content": "".join(made.choices("abcdefg hijkl", k=300))} for _ in range(300)]
    found = discover([call(n, [message, *user("Go")]) for n, message in enumerate(system)])
    assert set(found.assignment.values()) == {None}
