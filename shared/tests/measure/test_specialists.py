"""Specialists measured again, and two against each other, only ever on calls that neither learnt from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import protege.serve
import pytest
from memory_engine import BASE, FINGERPRINT, MemoryEngine
from protege import Call, Route, Specialist, Task, Template, Workspace
from protege.curate import Curated, CurateSettings, curate
from protege.errors import BadInput
from protege.measure.specialists import measure, measure_pair
from protege.redact import RedactionPolicy
from protege.task import TemplatePart

SYSTEM = "You name the colour of a thing. Answer with one word."
TASK = Task(
    id="colour",
    name="colour",
    kind="label",
    labels=("red", "blue"),
    templates=(Template("s1", (TemplatePart(0, "system", lines=(SYSTEM,)),)),),
    centre=dict.fromkeys(("you", "name", "the", "colour", "of", "a", "thing"), 7**-0.5),
)


def call(i: int) -> Call:
    words = ("lamp", "boat", "door", "shoe", "kite", "drum")
    asked = f"{'large ' * (i % 5)}{words[i % 6]} {words[i // 6 % 6]} {words[i // 36 % 6]} {i}"
    return Call.from_record(
        {
            "id": f"c{i:03}",
            "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": asked}],
            "response": {"role": "assistant", "content": "blue" if i % 4 == 0 else "red"},
        }
    )


def curated(workspace: Workspace, seed: int) -> Curated:
    settings = CurateSettings(min_calibration=5, min_train=5, min_validation=5, seed=seed)
    made = curate(TASK, [call(i) for i in range(160)], settings, RedactionPolicy(types=frozenset(), model=False))
    made.save(workspace.home / "datasets" / str(seed))
    return made


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "home")
    workspace.save_tasks([TASK], {})
    return workspace


@pytest.fixture
def made(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Specialist]:
    """Makes a specialist that was tuned on a data set, and always gives one answer."""
    engine = MemoryEngine()
    monkeypatch.setattr(protege.serve, "open_engine", lambda *_: engine)

    def make(version: int, answer: str, data: Curated) -> Specialist:
        name = f"colour-v{version}"
        engine.texts[name] = answer
        report: dict[str, Any] = {"fingerprint": FINGERPRINT, "certificate": {"threshold": 0.5}}
        lineage = {"curated": data.hash}
        made = Specialist(name, name, TASK.id, version, BASE, "slots", report=report, lineage=lineage, created=version)
        workspace.save_specialist(made)
        return made

    return make


def test_two_are_compared_on_the_test_calls_of_both(workspace: Workspace, made: Callable[..., Specialist]) -> None:
    data = curated(workspace, 0)
    figures = measure_pair(workspace, made(1, "red", data), made(2, "blue", data))
    test = data.test.to_list()
    reds = sum(row["answer"] == "red" for row in test)
    found = figures["comparison"]
    assert (found["n"], found["only_first"], found["only_second"]) == (len(test), reds, len(test) - reds)
    assert figures["first"]["name"] == "colour-v1" and figures["first"]["agreed"] == reds
    assert figures["second"]["kept"]["n"] == len(test)
    assert {s["by"] for s in figures["first"]["slices"]} >= {"answer", "length"}
    json.dumps(figures)


def test_what_the_other_may_have_learnt_is_left_out(workspace: Workspace, made: Callable[..., Specialist]) -> None:
    one, other = curated(workspace, 0), curated(workspace, 1)
    shared = set(one.test["id"]) & set(other.test["id"])
    assert 0 < len(shared) < len(one.test), "the seeds deal the calls differently"
    assert measure_pair(workspace, made(1, "red", one), made(2, "red", other))["comparison"]["n"] == len(shared)


def test_without_a_test_call_in_common_there_is_no_comparison(
    workspace: Workspace, made: Callable[..., Specialist], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = curated(workspace, 0)
    first, second = made(1, "red", data), made(2, "red", data)
    rows = data.examples("test")
    monkeypatch.setattr(
        "protege.measure.specialists.held_out_examples", lambda _, s: rows[: s.version] if s == second else rows[2:]
    )
    with pytest.raises(BadInput, match=r"share no test call.*--calls"):
        measure_pair(workspace, first, second)


def test_other_calls_can_be_given_and_other_tasks_cannot(workspace: Workspace, made: Callable[..., Specialist]) -> None:
    data = curated(workspace, 0)
    first, second = made(1, "red", data), made(2, "blue", data)
    found = measure_pair(workspace, first, second, [call(i) for i in range(500, 508)])["comparison"]
    assert (found["n"], found["only_first"]) == (8, 6)
    with pytest.raises(BadInput, match="different tasks"):
        measure_pair(workspace, first, replace(second, task_id="other"))


def test_confidence_is_the_routes_own(workspace: Workspace, made: Callable[..., Specialist]) -> None:
    specialist = made(1, "red", curated(workspace, 0))
    assert measure(workspace, specialist)["kept"]["coverage"] == 1
    unsure = {"weights": {"sum": 1.0}, "intercept": -100.0}
    workspace.save_route(Route(TASK.id, specialist.id, 0.5, FINGERPRINT, 0.05, 0.05, 9, 9, 0, scorer=unsure))
    assert measure(workspace, specialist)["kept"]["coverage"] == 0
