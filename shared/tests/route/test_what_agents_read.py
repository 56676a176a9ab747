"""routes.json holds what routing needs, and nothing of a call; nor do the figures that commands print as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from protege import Request, Route, Specialist, Workspace
from protege.cli.summaries import figures_only
from protege.evaluate import Judged, evaluate, grader_for
from protege.rollout import publish
from protege.route import Router
from protege.route.table import from_bytes, to_bytes

NAME = "Kowalczyk"
"""Stands in what was said in a call, and in nothing else."""


def evaluation(task: Any, answer: str) -> dict[str, Any]:
    judged = [
        Judged(f"c{n}", f"Patient {NAME} {n}", answer if n % 3 else "red", "red", bool(n % 3), 0.9, True, 1.0)
        for n in range(40)
    ]
    return {"evaluation": evaluate(judged, grader_for(task), threshold=0.5).to_record()}


@pytest.fixture
def with_content(workspace: Workspace, specialist: Specialist, live_route: Route) -> Workspace:
    """The workspace, where every field that routing does not need quotes a call."""
    base = replace(specialist.base, path=f"/home/{NAME}/model.gguf")
    workspace.save_specialist(
        replace(
            specialist,
            base=base,
            report=evaluation(workspace.tasks()[0], NAME),
            lineage={"sample": NAME},
            settings={"note": NAME},
            files={"gguf": f"{NAME}.gguf"},
            placed={"other": {"address": NAME}},
        )
    )
    workspace.save_route(replace(live_route, teachers=(NAME,), labels={NAME: 1.0}))
    tasks = [
        replace(task, nodes=((NAME,),), tools=(NAME,), joined=(replace(task, name=NAME),)) for task in workspace.tasks()
    ]
    workspace.save_tasks(tasks, {})
    return workspace


def test_routes_json_holds_nothing_of_a_call(with_content: Workspace) -> None:
    path = publish(with_content)
    assert NAME not in path.read_text()


def test_agents_decide_as_they_would_on_all_of_it(with_content: Workspace, engine: Any) -> None:
    publish(with_content)
    router = Router(with_content.home, connect=lambda home: engine, start=lambda home: None)
    router.wait_until_ready(5)
    messages = (
        {"role": "system", "content": "You name the colour of a thing. Answer with one word."},
        {"role": "user", "content": "a rose"},
    )
    outcome = router.answer(Request(messages=messages))
    assert outcome.decision == "kept" and outcome.message == {"role": "assistant", "content": "red"}


def test_a_file_of_an_older_version_is_read(
    with_content: Workspace, specialist: Specialist, live_route: Route, tmp_path: Path
) -> None:
    """It held whole records."""
    task = with_content.tasks()[0]
    old = {
        "format": 1,
        "tasks": [task.to_record()],
        "routes": [{"route": live_route.to_record(), "specialist": specialist.to_record()}],
    }
    (entry,) = from_bytes(json.dumps(old).encode()).routes["colour"]
    (fresh,) = from_bytes(to_bytes([task], [(live_route, specialist)])).routes["colour"]
    assert entry.specialist.id == fresh.specialist.id and entry.route == fresh.route


def test_figures_as_json_quote_no_call(with_content: Workspace) -> None:
    task = with_content.tasks()[0]
    figures = figures_only(evaluation(task, NAME), task.labels)
    assert NAME not in json.dumps(figures)
    assert figures["evaluation"]["n"] == 40 and figures["evaluation"]["curve"]


def test_confusions_and_slices_of_labels_stay(with_content: Workspace) -> None:
    task = with_content.tasks()[0]
    judged = [Judged(f"c{n}", "x", "blue", ("red", "blue")[n % 2], bool(n % 2), 0.9, True, 1.0) for n in range(40)]
    record = evaluate(judged, grader_for(task)).to_record()
    figures = figures_only({"a": [record]}, task.labels)["a"][0]
    assert figures["confusions"] and figures["slices"]
    for name in ("confusions", "slices"):
        assert json.dumps(figures[name]) == json.dumps(record[name])
    assert not figures_only(record)["confusions"]
