"""The same 200 calls in every form of files give the same calls, tasks and data sets, but for what the form loses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from protege.call import Call
from protege.cluster import discover
from protege.collect.formats.registry import FORMATS, format_of, formats
from protege.collect.importing import Skipped, _Reading
from protege.curate import CurateSettings, curate
from protege.errors import NotEnoughCalls
from protege.redact import RedactionPolicy
from protege.task import Task
from written import FORMS, RECORDS, Form, expected

NOTHING = RedactionPolicy(types=frozenset(), model=False)
SMALL = CurateSettings(min_calibration=1, min_train=1, min_validation=1)


CURATED = ("openai", "anthropic", "otlp", "langsmith", "chatml")
"""The forms whose calls are curated too, each losing other fields: of equal calls, curation makes equal data sets."""


def imported(folder: Path, files: Sequence[Sequence[Any]], form: str | None = None) -> list[Call]:
    paths: list[Path] = []
    for number, documents in enumerate(files):
        paths.append(folder / f"{number}.jsonl")
        paths[-1].write_text("\n".join(map(json.dumps, documents)))
    items = list(_Reading(None if form is None else FORMATS.get(form)).of(paths))
    assert not [item for item in items if isinstance(item, Skipped)]
    return [item for item in items if isinstance(item, Call)]


def told(call: Call, form: Form) -> dict[str, Any]:
    """What a call tells beside its id, the fields that its form cannot know and those that are worked out left out."""
    record = call.to_record()
    lost = {"id", "framework", "parent", *form.lost} | ({"answered_by"} if call.answered_by is None else set())
    return {name: value for name, value in record.items() if name not in lost}


@pytest.mark.parametrize("name", FORMS)
def test_the_same_calls_tasks_and_data_sets_come_back(tmp_path: Path, name: str) -> None:
    form = FORMS[name]
    calls = imported(tmp_path, form.files(RECORDS))
    wanted = [
        Call.from_record({**expected(record, form), "id": call.id}) for record, call in zip(RECORDS, calls, strict=True)
    ]
    assert [told(call, form) for call in calls] == [told(call, form) for call in wanted]
    if "id" not in form.lost and name not in ("batch", "otlp"):
        assert [call.id for call in calls] == [record["id"] for record in RECORDS]
    if name in CURATED:
        assert hashes(calls) == hashes(wanted)
    documents = [document for documents in form.files(RECORDS[:4]) for document in documents]
    known = formats()
    assert all(format_of(document, known) is FORMATS.get(form.name) for document in documents)


def hashes(calls: Sequence[Call]) -> dict[str, str]:
    """The hash of each task's data set; of a task without tools in a form that loses them, why it has none."""
    found = discover(calls)
    of_task: dict[str, list[Call]] = {}
    for call in calls:
        if (task_id := found.assignment.get(call.id)) is not None:
            of_task.setdefault(task_id, []).append(call)
    return {task.id: hash_of(task, of_task[task.id]) for task in found.tasks}


def hash_of(task: Task, calls: Sequence[Call]) -> str:
    try:
        return curate(task, calls, SMALL, NOTHING).hash
    except NotEnoughCalls as error:
        return error.fact
