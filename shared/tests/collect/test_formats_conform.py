"""What every form of the registry must do: tell its own documents and no other's, and lose nothing but what is odd."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from protege import Workspace
from protege.call import Call
from protege.collect import collect
from protege.collect.formats import tau2, trajectories
from protege.collect.formats.registry import FORMATS, format_of, formats
from protege.collect.importing import Skipped, _Reading
from written import FORMS, RECORDS

KNOWN = formats()
HISTORY = [
    {"role": "system", "content": "Mend it.", "agent": "main", "message_type": "system_prompt"},
    {"role": "user", "content": "a demonstration", "is_demo": True},
    {"role": "assistant", "content": "as shown", "is_demo": True, "action": "ls"},
    {"role": "user", "content": "The bug is in f.", "message_type": "observation"},
]
LOOK = {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": '{"command":"ls"}'}}
LOOKS = {"role": "assistant", "content": "I look.", "thought": "I look.", "action": "ls", "tool_calls": [LOOK]}
SEEN = {"role": "tool", "content": "f.py", "tool_call_ids": ["c1"], "message_type": "observation"}
DONE = {"role": "assistant", "content": "It is mended.", "action": "submit"}
SWE = {
    "environment": "o__r-1",
    "history": [*HISTORY, LOOKS, SEEN, DONE],
    "trajectory": [
        {"action": "ls", "observation": "f.py", "response": "I look.", "query": HISTORY, "thought": "I look."},
        {"action": "submit", "response": "It is mended.", "query": [*HISTORY, LOOKS, SEEN], "observation": ""},
    ],
    "info": {"exit_status": "submitted"},
}
OLDER = {**SWE, "trajectory": [{k: v for k, v in step.items() if k != "query"} for step in SWE["trajectory"]]}
TAU = {
    "task_id": 3, "trial": 0, "reward": 1.0, "info": {},
    "traj": [*HISTORY[:1], HISTORY[3], LOOKS, {**SEEN, "tool_call_id": "c1", "name": "bash"}, DONE],
}  # fmt: skip
SIMULATION = {
    "id": "sim-1", "task_id": "7", "trial": 0, "termination_reason": "user_stop", "reward_info": {"reward": 1.0},
    "messages": [
        {"role": "assistant", "content": "Hi! How can I help you today?", "turn_idx": 0, "cost": 0.0},
        {"role": "user", "content": "My line is dead.", "turn_idx": 1},
        {"role": "user", "content": None, "turn_idx": 2, "tool_calls": [
            {"id": "u1", "name": "toggle_roaming", "arguments": {}, "requestor": "user"}]},
        {"role": "tool", "id": "u1", "content": "on", "requestor": "user", "turn_idx": 3},
        {"role": "user", "content": "Roaming is on.", "turn_idx": 4},
        {"role": "assistant", "content": None, "turn_idx": 5, "timestamp": "2026-05-01T10:00:02", "cost": 0.25,
         "generation_time_seconds": 2.0, "usage": {"prompt_tokens": 9, "completion_tokens": 1},
         "raw_data": {"model": "gpt-x-2026"},
         "tool_calls": [{"id": "c1", "name": "line", "arguments": {"n": 1}, "requestor": "assistant"},
                        {"id": "c2", "name": "bill", "arguments": {}, "requestor": "assistant"}]},
        {"role": "tool", "tool_messages": [
            {"role": "tool", "id": "c1", "content": "ok", "requestor": "assistant", "error": False},
            {"role": "tool", "id": "c2", "content": "Error: none", "requestor": "assistant", "error": True}]},
        {"role": "assistant", "content": "It works again.", "turn_idx": 7},
    ],
}  # fmt: skip
TAU2 = {
    "timestamp": "2026-05-01T10:00:00", "tasks": [],
    "info": {"agent_info": {"llm": "gpt-x", "llm_args": {"temperature": 0.0}},
             "environment_info": {"domain_name": "telecom", "policy": "Be kind."}},
    "simulations": [SIMULATION, {**SIMULATION, "id": "sim-2", "messages": None, "ticks": [{}]}, 7],
}  # fmt: skip
DOCUMENTS: dict[str, list[Any]] = {
    **{form.name: [document for file in form.files(RECORDS[:8]) for document in file] for form in FORMS.values()},
    "swe-agent": [SWE, OLDER],
    "tau-bench": [TAU],
    "tau2-bench": [TAU2, SIMULATION],
    "corrections": [{"id": "c1", "correction": "support"}],
}
"""Documents of each form, by its name in the registry. Of several flavours of one, those of the last."""


def read(path: Path, lines: Sequence[bytes], form: str | None = None) -> tuple[list[Call], list[str]]:
    path.write_bytes(b"\n".join(lines))
    items = list(_Reading(None if form is None else FORMATS.get(form)).of([path]))
    calls = [item for item in items if isinstance(item, Call)]
    return calls, [item.reason for item in items if isinstance(item, Skipped)]


def lines_of(name: str) -> list[bytes]:
    return [json.dumps(document).encode() for document in DOCUMENTS[name]]


def test_every_form_has_documents_here() -> None:
    assert set(FORMATS.names()) == set(DOCUMENTS)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_form_tells_its_own_documents_and_no_other_s(name: str) -> None:
    for document in DOCUMENTS[name]:
        assert format_of(document, KNOWN) is FORMATS.get(name)
    strangers: list[Any] = [{}, {"id": 1}, {"text": "plain"}, {"data": None}, {"info": 5, "data": {}}, {"traj": 5}]
    assert not any(FORMATS.get(name).tells(stranger) for stranger in strangers)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_an_odd_line_costs_itself_only_and_json_of_python_is_kept(tmp_path: Path, name: str) -> None:
    good = lines_of(name)
    calls, _ = read(tmp_path / "good.jsonl", good)
    odd = [b"{", b"[5, null]", b'"text"', b"nul", b"\xff\xfe", b'{"a":' * 300 + b"1" + b"}" * 300, b"5"]
    broken = [line[: len(line) // 2] for line in good]
    more, skipped = read(tmp_path / "odd.jsonl", [part for pair in zip(odd * 9, good, strict=False) for part in pair])
    assert len(more) == len(calls) and len(skipped) >= len(good)
    assert read(tmp_path / "broken.jsonl", [*broken, *good])[0] == calls
    strange = [
        line.replace(b"{", b'{"odd": [NaN, -Infinity, 123456789012345678901234567890, "\\ud800"], "odd": 1e999, ', 1)
        for line in good
    ]
    assert [call.response for call in read(tmp_path / "strange.jsonl", strange)[0]] == [c.response for c in calls]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_whatever_stands_in_a_field_costs_that_document_alone(tmp_path: Path, name: str) -> None:
    """Each value of the first document, down to the fourth level, in place of others."""
    first = DOCUMENTS[name][0]
    good = lines_of(name)[1:]
    hurt: list[bytes] = []
    for path in paths(first):
        for value in (None, 5, "x", [], {}, [[]], [None], {"x": {}}, True, -1e300):
            hurt.append(json.dumps(changed(first, path, value)).encode())
    calls, _ = read(tmp_path / "hurt.jsonl", hurt, name)
    assert all(call.request.messages for call in calls)
    after, _ = read(tmp_path / "mixed.jsonl", [*hurt[:200], *good], None)
    assert {call.id for call in read(tmp_path / "good.jsonl", good)[0]} <= {call.id for call in after} or name in (
        "batch",
        "openai",
        "sharegpt",
        "requests",
    )


def paths(value: Any, depth: int = 4) -> list[tuple[Any, ...]]:
    if not depth or not isinstance(value, dict | list):
        return []
    keys = value.keys() if isinstance(value, dict) else range(min(2, len(value)))
    return [path for key in keys for path in ((key,), *((key, *rest) for rest in paths(value[key], depth - 1)))]


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


def test_a_trajectory_without_an_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trajectories, "MOST_TOLD", 100_000)
    turns = [{"role": ("user", "assistant")[i % 2], "content": "x" * 50} for i in range(1000)]
    calls, skipped = read(tmp_path / "t.jsonl", [json.dumps({"traj": turns, "reward": 0}).encode(), *lines_of("calls")])
    assert 20 <= len(calls) - 8 <= 50 and "too long to be told" in skipped[0]


@pytest.mark.parametrize("form", ["tau", "tau2"])
def test_a_trajectory_of_large_tool_calls_is_given_up_too(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trajectories, "MOST_TOLD", 100_000)
    monkeypatch.setattr(tau2, "MOST_TOLD", 100_000)
    called = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "name": "f", "arguments": {"a": "x" * 900}}],
    }
    turns = [{"role": "user", "content": "go"}, *[called, {"role": "tool", "id": "c", "content": "ok"}] * 100]
    document = (
        {"traj": turns, "reward": 0}
        if form == "tau"
        else {"id": "s", "task_id": "1", "termination_reason": "user_stop", "messages": turns}
    )
    calls, skipped = read(tmp_path / "t.jsonl", [json.dumps(document).encode()])
    assert 10 <= len(calls) <= 20 and "too long to be told" in skipped[0]


def test_a_trace_of_mlflow_s_second_schema_is_read_and_what_it_expects_corrects_its_call(tmp_path: Path) -> None:
    context = {"trace_id": "0x01", "span_id": "0x0a"}
    inner = {
        "name": "ChatOpenAI", "context": context, "parent_id": "0x0b", "start_time": 1_760_000_000_000_000_000,
        "end_time": 1_760_000_001_000_000_000, "status_code": "OK", "status_message": "",
        "attributes": {
            "mlflow.spanType": '"CHAT_MODEL"', "model": '"gpt-x"',
            "mlflow.spanInputs": json.dumps([[{"type": "human", "content": "which queue?"}]]),
            "mlflow.spanOutputs": json.dumps({"generations": [[{"message": {"type": "ai", "content": "sales"}}]]}),
            "mlflow.chat.tokenUsage": json.dumps({"input_tokens": 9, "output_tokens": 1}),
        },
    }  # fmt: skip
    outer = {
        **inner,
        "context": {**context, "span_id": "0x0b"},
        "parent_id": None,
        "attributes": {"mlflow.spanType": '"CHAIN"'},
    }
    said = {
        "assessment_name": "expected_response",
        "expectation": {"value": "support"},
        "source": {"source_type": "HUMAN"},
    }
    trace = {"info": {"request_id": "tr-1", "assessments": [said]}, "data": {"spans": [outer, inner]}}
    path = tmp_path / "trace.json"
    path.write_text(json.dumps(trace, indent=1))
    workspace = Workspace(tmp_path / "home")
    collected = collect(workspace, [path])
    (call,) = workspace.calls()
    assert collected.passed == {"chain step": 1} and not collected.skipped and collected.corrections == 1
    assert (call.id, call.run, call.model, call.input_tokens, call.latency_ms) == ("0a", "tr-1", "gpt-x", 9, 1000.0)
    assert call.response == {"role": "assistant", "content": "sales"}
    assert call.correction == {"role": "assistant", "content": "support"}


@pytest.mark.parametrize("box", ["released", "first", "row", "row of texts", "row with the trace"])
def test_a_trace_of_mlflow_is_read_whichever_way_it_was_exported(tmp_path: Path, box: str) -> None:
    (trace,) = [document for file in FORMS["mlflow"].files(RECORDS[:1]) for document in file]
    info, spans = trace["info"], trace["data"]["spans"]
    row = {"request_id": "tr-1", "trace_metadata": {}, "execution_time_ms": 3, "request": "{}", "response": "{}"}
    documents = {
        "released": trace,
        "first": {"trace_info": info, "trace_data": trace["data"]},
        "row": {**info, **row, "spans": spans},
        "row of texts": {**info, **row, "spans": json.dumps(spans), "assessments": "[]"},
        "row with the trace": {**row, "trace": json.dumps(trace)},
    }
    calls, skipped = read(tmp_path / "t.json", [json.dumps(documents[box]).encode()])
    expected, _ = read(tmp_path / "e.json", [json.dumps(trace).encode()])
    assert not skipped and [call.id for call in calls] == [call.id for call in expected]
    assert calls[0].request == expected[0].request and calls[0].response == expected[0].response


def test_a_simulation_is_told_as_its_agent_saw_it(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(TAU2, indent=1))
    reading = _Reading(None)
    items = list(reading.of([path]))
    calls = [item for item in items if isinstance(item, Call)]
    skipped = [item.reason for item in items if isinstance(item, Skipped)]
    assert skipped == ["a simulation that is no object"]
    assert reading.passed == {"greeting of an agent": 1, "spoken simulation": 1}
    first, last = calls
    said = [(message["role"], message["content"]) for message in first.request.messages]
    assert said == [
        ("system", "Be kind."), ("assistant", "Hi! How can I help you today?"), ("user", "My line is dead."),
        ("user", "Roaming is on."),
    ]  # fmt: skip
    assert (first.id, first.run, first.model, first.answered_by) == ("sim-1-5", "sim-1", "gpt-x", "gpt-x-2026")
    assert (first.input_tokens, first.cost_usd, first.latency_ms, first.time) == (9, 0.25, 2000.0, 1777629600.0)
    assert first.response is not None
    assert [use["function"]["name"] for use in first.response["tool_calls"]] == ["line", "bill"]
    results = last.request.messages[-2:]
    assert [(r["tool_call_id"], r.get("is_error")) for r in results] == [("c1", None), ("c2", True)]
    assert last.response == {"role": "assistant", "content": "It works again."}


def test_chatml_has_calls_of_tools_and_the_tools_of_its_system_text(tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "track", "parameters": {"type": "object"}}}
    turns = [
        ("system", f"Help.\n<tools>\n{json.dumps(tool)}\n</tools>"), ("user", "Where?"),
        ("assistant", 'I look.\n<tool_call>\n{"name": "track", "arguments": {"order": 1}}\n</tool_call>'),
        ("user", "<tool_response>\nlost\n</tool_response>"), ("assistant", "It is lost."),
    ]  # fmt: skip
    text = "".join(f"<|im_start|>{role}\n{said}<|im_end|>\n" for role, said in turns)
    (call,), _ = read(tmp_path / "c.jsonl", [json.dumps({"text": f"{text}<|im_start|>assistant\n"}).encode()])
    assert call.request.tools == (tool,) and call.response == {"role": "assistant", "content": "It is lost."}
    asked, result = call.request.messages[2:]
    assert asked["content"] == "I look." and asked["tool_calls"][0]["function"]["arguments"] == '{"order":1}'
    assert result == {"role": "tool", "content": "lost"}


def test_a_trajectory_is_a_call_for_each_answer(tmp_path: Path) -> None:
    for document, before in ((SWE, 4), (OLDER, 4), (TAU, 2)):
        calls, skipped = read(tmp_path / "t.traj", [json.dumps(document, indent=1).encode()])
        assert not skipped and [len(call.request.messages) for call in calls] == [before, before + 2]
        assert calls[0].response is not None and calls[0].response["tool_calls"] == [LOOK]
        assert calls[1].response == {"role": "assistant", "content": "It is mended."}
        assert calls[1].request.messages[-1]["tool_call_id"] == "c1"
        assert {call.run for call in calls} <= {"o__r-1", "task 3-0"}
