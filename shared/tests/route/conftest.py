"""A workspace with one live route, and an engine that stands in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from memory_engine import BASE, FINGERPRINT, MemoryEngine
from protege import Route, Specialist, Task, Template, Workspace
from protege.rollout import publish
from protege.route import Router
from protege.task import TemplatePart

INSTRUCTION = "You name the colour of a thing. Answer with one word."


def make_task(task_id: str = "colour", instruction: str = INSTRUCTION) -> Task:
    words = {word.strip(".").lower() for word in instruction.split()}
    template = Template(f"sig-{task_id}", (TemplatePart(0, "system", lines=(instruction,)),))
    return Task(
        id=task_id,
        name=task_id,
        kind="label",
        labels=("red", "blue"),
        templates=(template,),
        centre=dict.fromkeys(words, len(words) ** -0.5),  # pyright: ignore[reportArgumentType]
        calls=500,
    )


@pytest.fixture(autouse=True)
def switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROTEGE_ROUTE", raising=False)


@pytest.fixture
def specialist() -> Specialist:
    return Specialist(
        id="s1", name="colour-v1", task_id="colour", version=1, base=BASE, form="slots", state="live", created=1.0
    )


@pytest.fixture
def live_route() -> Route:
    return Route(
        task_id="colour",
        specialist_id="s1",
        threshold=0.8,
        fingerprint=FINGERPRINT,
        epsilon=0.05,
        delta=0.05,
        calibration_calls=260,
        kept=240,
        errors=4,
        signatures=("sig-colour",),
        timeout_s=5.0,
    )


@pytest.fixture
def workspace(tmp_path: Path, specialist: Specialist, live_route: Route) -> Iterator[Workspace]:
    workspace = Workspace(tmp_path / "home")
    workspace.save_tasks([make_task(), make_task("shape", "You name the shape of a thing in two dimensions.")], {})
    workspace.save_specialist(specialist)
    workspace.save_route(live_route)
    publish(workspace)
    yield workspace
    workspace.close()


@pytest.fixture
def engine() -> MemoryEngine:
    return MemoryEngine()


@pytest.fixture
def make_router(workspace: Workspace, engine: MemoryEngine) -> Iterator[Callable[..., Router]]:
    made: list[Router] = []

    def make(*, ready: bool = True, **borders: Any) -> Router:
        router = Router(workspace.home, **{"connect": lambda home: engine, "start": lambda home: None, **borders})
        made.append(router)
        if ready:
            assert router.wait_until_ready(5)
        return router

    yield make
    for router in made:
        router.close()


@pytest.fixture
def router(make_router: Callable[..., Router]) -> Router:
    return make_router()
