"""A workspace with one live route, and an engine that stands in memory."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from protege import Base, Route, Specialist, Task, Template, Workspace
from protege.route import Router, publish
from protege.task import TemplatePart

INSTRUCTION = "You name the colour of a thing. Answer with one word."


class MemoryEngine:
    """Answers every prompt with `text` at `probability`; counts; fails, waits or reports what a test sets."""

    name = "memory"

    def __init__(self) -> None:
        self.text = "red"
        self.probability = 0.9
        self.finish_reason = "stop"
        self.reported = "engine-1"
        self.error: Exception | None = None
        self.hold: threading.Event | None = None
        self.asked = 0
        self.lock = threading.Lock()

    def fingerprint(self, specialist: Specialist) -> str:
        return self.reported

    def complete(self, specialist: Specialist, prompt: str, *, timeout_s: float) -> Any:
        with self.lock:
            self.asked += 1
        if self.hold is not None:
            self.hold.wait(30)
        if self.error is not None:
            raise self.error
        return SimpleNamespace(
            text=self.text,
            token_logprobs=(math.log(self.probability),),
            tokens=(self.text,),
            finish_reason=self.finish_reason,
            input_tokens=5,
            output_tokens=1,
            latency_ms=3.0,
        )

    def close(self) -> None:
        pass


def make_task(task_id: str = "colour", instruction: str = INSTRUCTION) -> Task:
    words = {word.strip(".").lower() for word in instruction.split()}
    template = Template(f"sig-{task_id}", (TemplatePart(0, "system", lines=(instruction,)),))
    return Task(
        id=task_id,
        name=task_id,
        kind="label",
        labels=("red", "blue"),
        templates=(template,),
        centre=dict.fromkeys(words, len(words) ** -0.5),
        calls=500,
    )


@pytest.fixture(autouse=True)
def switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROTEGE_ROUTE", raising=False)


@pytest.fixture
def specialist() -> Specialist:
    base = Base(
        name="tiny",
        path="tiny.gguf",
        sha256="0",
        format="gguf",
        architecture="llama",
        licence="Apache-2.0",
        context=512,
        chat_template="{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>",
        control_tokens=("<|user|>",),
    )
    return Specialist(
        id="s1", name="colour-v1", task_id="colour", version=1, base=base, form="slots", state="live", created=1.0
    )


@pytest.fixture
def live_route() -> Route:
    return Route(
        task_id="colour",
        specialist_id="s1",
        threshold=0.8,
        fingerprint="engine-1",
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
