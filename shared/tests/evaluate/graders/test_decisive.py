"""The fields that an agent's code acts on are compared exactly, what stands beside them by likeness or not at all."""

from __future__ import annotations

import json

import pytest
from protege.call import Request
from protege.errors import BadInput
from protege.evaluate.graders import DecisiveFields, grader_for
from protege.rollout import set_policy
from protege.rollout.policy import fields_of, grader_of
from protege.task import Task
from protege.workspace import Workspace

TASK = Task("t", "t", "json")


def step(memory="read", click="B1", text="search", note="The page shows a list of all the orders there are."):
    return json.dumps({"memory": memory, "actions": [{"click": {"id": click, "text": text}}], "said": note, "n": 1})


LONG = "The page shows a list of all the orders there were."


@pytest.mark.parametrize(
    ("chosen", "other", "same"),
    [
        ("decisive", {"memory": "something else"}, True),
        ("decisive", {"note": LONG}, True),
        ("decisive", {"note": "Nothing of what the page should have shown is there now."}, False),
        ("decisive", {"click": "B2"}, False),
        ("decisive", {"text": "find"}, False),
        ("fields: actions", {"memory": "something else", "note": "Gone."}, True),
        ("fields: actions", {"click": "B2"}, False),
        ("Fields: actions", {"click": "B2"}, False),
        ("fields: said, n", {"click": "B2"}, True),
        ("fields: said", {"note": LONG}, False),
        ("fields: nowhere", {"memory": "something else"}, False),
        ("fields: nowhere.at.all", {}, True),
    ],
)
def test_some_fields_count(chosen, other, same):
    grader = grader_for(TASK, chosen)
    assert grader.agree(step(**other), step()) is same
    assert grader.agree(step(), step()) and grader.score(step(), step()) == 1.0
    assert (grader.score(step(**other), step()) == 1.0) is same or chosen == "fields: nowhere"


@pytest.mark.parametrize(
    ("arguments", "same"),
    [
        ({"id": "W1", "reason": "no longer needed", "thought": "It says so."}, True),
        ({"id": "W1", "reason": "ordered by mistake", "thought": "It is late."}, False),
        ({"id": "W1", "reason": "no longer needed", "note": "By phone"}, False),
    ],
)
def test_what_a_tool_is_asked_for_counts_but_not_what_was_thought(arguments, same):
    teacher = {"id": "W1", "reason": "no longer needed", "thought": "It is late."}
    grader = grader_for(TASK, "decisive")
    for form in (
        lambda given: {"name": "cancel", "arguments": given},
        lambda given: {"reason": given["id"], "action": "cancel", "action_input": given},
    ):
        answers = json.dumps(form(arguments)), json.dumps(form(teacher))
        assert grader.agree(*answers) is same and (grader.score(*answers) == 1.0) is same
    beside = [json.dumps({"reason": reason, "action": "cancel"}) for reason in ("It is late.", "It says so.")]
    assert grader.agree(*beside)


def test_structure_and_schema_count_whatever_the_fields():
    grader = grader_for(TASK, "fields: actions")
    assert not grader.agree("not JSON", step()) and grader.agree("not  JSON", "not JSON")
    assert not grader.agree(json.dumps({"n": 1}), step())
    schema = {"type": "json_schema", "json_schema": {"schema": {"required": ["memory"]}}}
    bound = grader.for_request(Request((), response_format=schema))
    assert not bound.agree(json.dumps({"actions": [{"click": {"id": "B1", "text": "search"}}]}), step())
    assert bound.agree(step("x"), step())


def test_reports_say_which_fields_count(tmp_path):
    assert DecisiveFields(["actions", " state.next "]).name == "the fields actions, state.next alone"
    found = DecisiveFields()
    assert found.similarity and "not compared" in found.name and not DecisiveFields(["a"]).similarity
    with pytest.raises(BadInput, match="No field"):
        grader_for(TASK, "fields: ,")
    workspace = Workspace(tmp_path)
    workspace.save_tasks([TASK], {})
    assert fields_of(workspace, TASK) == ""
    for chosen, fields in (("decisive", "*"), ("fields: actions,n", "actions,n"), ("json any order", "")):
        set_policy(workspace, TASK, {"grader": chosen})
        assert fields_of(workspace, TASK) == fields and grader_of(workspace, TASK).name == grader_for(TASK, chosen).name
    workspace.close()
