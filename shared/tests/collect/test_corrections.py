"""What people say is right: from files of several forms and by hand; the last word is a person's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from protege import Workspace
from protege.call import Call
from protege.collect import collect, correct
from protege.collect.correcting import correction_in
from protege.collect.draining import read_call
from protege.common.messages import correction_from
from protege.errors import BadCall, BadInput
from protege.store import Corrections
from protege.task import Task

ASKED = [{"role": "user", "content": "which queue?"}]
SECRET = "sk-proj-" + "A1b2C3d4" * 6


def call(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": f"c{number}", "messages": ASKED, "response": {"role": "assistant", "content": "sales"}, **fields}


@pytest.fixture
def take(tmp_path: Path) -> Callable[..., Any]:
    """Imports documents as one file."""

    def taken(workspace: Workspace, *documents: Any, **options: Any) -> Any:
        path = tmp_path / "file.jsonl"
        path.write_bytes(b"\n".join(orjson.dumps(document) for document in documents))
        return collect(workspace, [path], **options)

    return taken


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "home")


def said(workspace: Workspace, call_id: str = "c1") -> Any:
    (found,) = workspace.calls(ids=[call_id])
    return None if found.correction is None else found.correction.get("content") or found.correction.get("tool_calls")


TOOL = {"id": "t", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("support", "support"),
        ({"role": "assistant", "content": "support"}, "support"),
        ({"content": [{"type": "text", "text": "sup"}, {"type": "text", "text": "port"}]}, "support"),
        ({"type": "ai", "content": "support"}, "support"),
        ({"role": "model", "parts": [{"text": "support"}]}, "support"),
        ({"queue": "support", "content": 5}, '{"queue":"support","content":5}'),
        ({"content": "x", "priority": 2}, '{"content":"x","priority":2}'),
        (["a", "b"], '["a","b"]'),
        (7, "7"),
    ],
)
def test_an_answer_of_any_form_is_a_message(given: Any, text: str) -> None:
    assert correction_from(given) == {"role": "assistant", "content": text}


def test_a_tool_call_may_be_the_right_answer() -> None:
    assert correction_from({"role": "assistant", "content": None, "tool_calls": [TOOL]})["tool_calls"] == [TOOL]


@pytest.mark.parametrize(
    "given", [True, False, "", "  ", {}, [], {"role": "assistant", "content": ""}, {"role": "user"}]
)
def test_what_is_no_answer_is_refused(given: Any) -> None:
    with pytest.raises(BadCall):
        correction_from(given)


SAID = {"role": "assistant", "content": "support"}
EXAMPLE = {"outputs": {"output": "support"}}
LANGSMITH_RUN = {
    "id": "c1",
    "run_type": "llm",
    "inputs": {"messages": ASKED},
    "outputs": {"generations": [[{"text": "sales", "message": {"role": "assistant", "content": "sales"}}]]},
}
LANGFUSE = {"id": "c1", "type": "GENERATION", "traceId": "t", "modelParameters": {}, "input": ASKED, "output": "sales"}
SCORE = {"id": "s", "name": "output", "source": "ANNOTATION", "dataType": "CORRECTION", "value": 0}

SOURCES = {
    "a field of the call": [call(1, correction="support")],
    "feedback with a correction": [call(1, feedback={"score": 0, "correction": "support"})],
    "several of them": [call(1, feedback=[{"correction": "billing"}, {"score": 1}, {"correction": SAID}])],
    "a line after the call": [call(1), {"id": "c1", "correction": "support"}],
    "a line before it": [{"id": "c1", "correction": {"role": "assistant", "content": "support"}}, call(1)],
    "the last of two": [call(1), {"call_id": "c1", "correction": "billing"}, {"call": "c1", "correction": "support"}],
    "LangSmith's feedback": [
        LANGSMITH_RUN,
        {"id": "f1", "run_id": "c1", "key": "right", "score": 0, "correction": {"output": "support"}},
        {"id": "f2", "run_id": "c1", "key": "user_score", "score": 0.4, "correction": None},
    ],
    "LangSmith's text": [LANGSMITH_RUN, {"run_id": "c1", "key": "k", "value": None, "correction": "support"}],
    "LangSmith's example": [
        LANGSMITH_RUN,
        {"dataset_id": "d", "source_run_id": "c1", "inputs": {}, "outputs": {"messages": [SAID]}},
    ],
    "LangSmith's experiment": [{**LANGSMITH_RUN, "reference_outputs": {"output": "support"}}],
    "LangSmith's experiment with its example": [{**LANGSMITH_RUN, "reference_example": EXAMPLE}],
    "Langfuse's score": [LANGFUSE, {**SCORE, "observationId": "c1", "traceId": "t", "stringValue": "support"}],
    "Langfuse's score, third version": [
        LANGFUSE,
        {**SCORE, "subject": {"kind": "observation", "id": "c1"}, "value": "support"},
    ],
    "a trace with scores": [
        {"id": "t", "observations": [LANGFUSE], "scores": [{**SCORE, "observationId": "c1", "stringValue": "support"}]}
    ],
    "Langfuse's item": [
        LANGFUSE,
        {"id": "i", "datasetId": "d", "sourceObservationId": "c1", "input": ASKED, "expectedOutput": "support"},
    ],
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_is_read_and_stays_through_an_export(
    workspace: Workspace, take: Callable[..., Any], tmp_path: Path, source: str
) -> None:
    collected = take(workspace, *SOURCES[source])
    assert said(workspace) == "support" and (collected.read, collected.unusable) == (1, 0)
    take(workspace, *SOURCES[source])
    assert said(workspace) == "support"
    (stored,) = workspace.calls()
    again = Workspace(tmp_path / "other")
    take(again, stored.to_record())
    assert list(again.calls()) == [stored]


def test_what_holds_no_answer_is_passed_over_or_named(workspace: Workspace, take: Callable[..., Any]) -> None:
    collected = take(
        workspace,
        call(1, correction=False),
        {"id": "c1", "correction": True},
        {"id": "gone", "correction": "support"},
        {**SCORE, "traceId": "t", "observationId": None, "stringValue": "support"},
        {"id": "s", "name": "helpful", "value": 1, "dataType": "NUMERIC", "traceId": "t"},
        {"run_id": "c1", "key": "thumb", "score": 1},
    )
    assert (collected.read, collected.corrections, collected.unusable) == (1, 0, 3) and said(workspace) is None
    assert collected.passed == {"score": 1, "feedback without a correction": 1}
    assert [line.reason for line in collected.skipped] == [
        "correction is no answer",
        "a correction of a whole trace; correct the generation in it",
        "a correction of a call that is neither in these files nor in this home",
    ]


def test_a_person_s_word_is_not_replaced_by_a_file_nor_is_its_withdrawal(
    workspace: Workspace, take: Callable[..., Any]
) -> None:
    take(workspace, call(1, correction="billing"))
    correct(workspace, "c1", "support")
    take(workspace, call(1, correction="billing"), {"id": "c1", "correction": "billing"})
    assert said(workspace) == "support"
    correct(workspace, "c1", None)
    take(workspace, {"id": "c1", "correction": "billing"})
    assert said(workspace) is None and workspace.corrections.of_calls({"c1"}) == {}
    with pytest.raises(BadInput, match="no call 'c9'"):
        correct(workspace, "c9", "support")


def test_an_answer_by_hand_is_of_the_kind_of_its_task(workspace: Workspace, take: Callable[..., Any]) -> None:
    take(workspace, *(call(number) for number in range(4)))
    tools = Task("t", "t", "tool_calls")
    workspace.save_tasks(
        [Task("l", "l", "label", labels=("sales", "support")), Task("j", "j", "json"), tools],
        {"c0": "l", "c1": "j", "c2": "t", "c3": None},
    )
    for call_id, answer in (("c0", "a word never given"), ("c1", "no JSON"), ("c2", '{"name": "f", "arguments": {}}')):
        with pytest.raises(BadInput, match="no answer to this call"):
            correct(workspace, call_id, answer)
    task = correct(workspace, "c0", '{"role": "assistant", "content": "support"}')
    assert task is not None and task.id == "l" and said(workspace, "c0") == "support"
    assert correct(workspace, "c3", "anything") is None and said(workspace, "c3") == "anything"
    assert workspace.corrections.count(task) == 1 and workspace.corrections.count(task, since=4e9) == 0


def test_secrets_are_masked_and_the_answer_stays_out_of_ids_and_hashes(
    workspace: Workspace, take: Callable[..., Any]
) -> None:
    plain, corrected = ({k: v for k, v in call(1, **more).items() if k != "id"} for more in ({}, {"correction": "x"}))
    take(workspace, plain)
    take(workspace, corrected)
    (stored,) = workspace.calls()
    assert workspace.count_calls() == 1 and said(workspace, stored.id) == "x"
    take(workspace, {"id": stored.id, "correction": f"the key is {SECRET}"})
    assert SECRET not in str(said(workspace, stored.id))
    correct(workspace, stored.id, f"the key is {SECRET}")
    assert SECRET not in str(said(workspace, stored.id))
    assert not any(SECRET.encode() in path.read_bytes() for path in workspace.home.glob("store.db*"))
    recorded = read_call(orjson.dumps(call(2, feedback={"correction": SAID})))
    assert recorded.correction == SAID
    assert correction_in([{"correction": True}, 5]) is None


def test_a_damaged_row_costs_the_correction_alone(workspace: Workspace, take: Callable[..., Any]) -> None:
    take(workspace, call(1, correction="support"), call(2, correction="support"))
    with workspace._database.connection() as connection:
        connection.exec_driver_sql("UPDATE corrections SET body = '[5' WHERE call_id = 'c1'")
    assert [found.correction is None for found in workspace.calls()] == [True, False]
    assert workspace.damaged() == {"corrections": 1}


def test_many_correct_at_once_and_one_of_them_is_kept(workspace: Workspace, take: Callable[..., Any]) -> None:
    take(workspace, *(call(number) for number in range(20)))
    homes = [Workspace(workspace.home) for _ in range(4)]

    def corrects(home: Workspace, by_hand: bool) -> None:
        answer = {"role": "assistant", "content": "hand" if by_hand else "file"}
        for number in range(20):
            home.corrections.save({f"c{number}": answer}, by_hand=by_hand)

    threads = [threading.Thread(target=corrects, args=(home, place == 0)) for place, home in enumerate(homes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {said(workspace, f"c{number}") for number in range(20)} == {"hand"}
    assert isinstance(workspace.corrections, Corrections) and Call.from_record(call(1)).correction is None
