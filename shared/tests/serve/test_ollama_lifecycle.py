"""promote, rollback, retire, serve and status, where specialists are in a real Ollama."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from protege.cli import doctor
from protege.errors import EngineError
from protege.rollout import lifecycle, publish
from protege.rollout.publishing import keep_moved
from protege.serve import OllamaEngine
from protege.serve.ollama.models import bring
from protege.service.engine import serve_forever


def protege(agent: Any, *arguments: str) -> dict[str, Any]:
    """What a command prints, run as a user does."""
    done = subprocess.run(
        [sys.executable, "-c", "from protege.cli import main; main()", *arguments, "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, "PROTEGE_HOME": str(agent.workspace.home)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def until(holds: Callable[[], bool], within_s: float = 10.0) -> bool:
    """Whether it comes to hold: Ollama takes models out of memory a moment later."""
    end_s = time.monotonic() + within_s
    while not holds() and time.monotonic() < end_s:
        time.sleep(0.05)
    return holds()


def certified(agent: Any, specialist: Any) -> None:
    """Its terms, as `improve` keeps them."""
    with OllamaEngine() as engine:
        terms = replace(
            agent.workspace.routes()["s1"],
            specialist_id=specialist.id,
            fingerprint=engine.fingerprint(specialist),
        )
    agent.workspace.save_specialist(specialist)
    agent.workspace.save_route(terms)


def test_commands_load_a_model_before_it_answers_and_take_it_out_of_memory_after(
    server: Any, make_agent: Callable[..., Any], smollm2: Path
) -> None:
    agent, ollama = make_agent(server), server.client()
    first = agent.specialist
    certified(agent, first)
    second = replace(first, id="s2", name="capital-v2", version=2, state="candidate", placed={})
    folder = agent.workspace.specialist_folder(second)
    folder.mkdir()
    # Another file: Ollama runs models of one file in one process.
    (folder / "m.gguf").write_bytes(smollm2.read_bytes() + b"\0" * 32)
    second = bring(agent.workspace, second, ollama)
    certified(agent, second)
    one, two = first.placed["ollama"]["model"], second.placed["ollama"]["model"]

    assert protege(agent, "promote", "capital-v2") == {"live": "capital-v2"}
    assert until(lambda: set(ollama.loaded()) == {two})
    assert protege(agent, "rollback", "capital-v2") == {"retired": "capital-v2", "live": "capital-v1"}
    assert until(lambda: set(ollama.loaded()) == {one})
    assert protege(agent, "retire", "capital-v1") == {"retired": "capital-v1", "live": None}
    assert until(lambda: set(ollama.loaded()) == set())
    time.sleep(0.6)
    assert agent.ask()[0].decision == "no live route"

    ollama.delete(one)
    assert protege(agent, "promote", "capital-v1") == {"live": "capital-v1"}  # made anew
    assert set(ollama.loaded()) == {one}
    assert agent.is_kept_again()

    told = {s["name"]: s["ollama"] for s in protege(agent, "status")["specialists"]}
    assert told["capital-v1"]["state"] == "there" and told["capital-v1"]["memory_bytes"] > 50_000_000
    assert told["capital-v2"]["memory_bytes"] is None
    assert told["capital-v1"]["provenance"]["base"]["licence"] == "Apache-2.0"


def test_what_was_calibrated_on_another_version_is_not_promoted(server: Any, make_agent: Callable[..., Any]) -> None:
    agent = make_agent(server)
    terms = replace(agent.workspace.routes()["s1"], fingerprint="of Ollama as it was")
    agent.workspace.save_route(terms)
    lifecycle.retire(agent.workspace, agent.specialist)
    with pytest.raises(EngineError, match=r"something else.*protege improve"):
        lifecycle.promote(agent.workspace, agent.specialist)
    assert not any(s.answers for s in agent.workspace.specialists())
    agent.workspace.save_specialist(agent.specialist)
    publish(agent.workspace)
    time.sleep(0.6)
    assert agent.ask()[0].decision == "fingerprint differs"


def test_without_its_ollama_a_specialist_can_be_retired_and_not_promoted(
    server: Any, make_agent: Callable[..., Any]
) -> None:
    agent = make_agent(server)
    certified(agent, agent.specialist)
    server.stop()
    protege(agent, "retire", "capital-v1")
    with pytest.raises(EngineError, match="No Ollama answers"):
        lifecycle.promote(agent.workspace, agent.specialist)
    (told,) = protege(agent, "status")["specialists"]
    assert "No Ollama answers" in told["ollama"]["state"] and told["ollama"]["provenance"] is None


def test_serve_keeps_them_there_and_brings_back_what_was_removed(
    server: Any, make_agent: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sys.modules["protege.service.engine"]  # the package has a function of that name
    monkeypatch.setattr(module, "TEND_S", 0.2)
    monkeypatch.setattr(module, "LOOK_S", 0.05)
    agent, ollama = make_agent(server), server.client()
    model = agent.specialist.placed["ollama"]["model"]
    ready, end = threading.Event(), threading.Event()
    told: list[str] = []
    serving = threading.Thread(
        target=serve_forever,
        args=(agent.workspace, [agent.specialist], lambda where: (told.append(where), ready.set())),
        kwargs={"wait": end.wait, "on_moved": partial(keep_moved, agent.workspace)},
    )
    serving.start()
    try:
        assert ready.wait(30) and told == [server.url]
        ollama.delete(model)
        until_s = time.monotonic() + 20
        while model not in ollama.loaded() and time.monotonic() < until_s:
            time.sleep(0.1)
        assert agent.is_kept_again()
    finally:
        end.set()
        serving.join(20)


def test_doctor_tells_version_models_and_memory(
    server: Any, make_agent: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make_agent(server)
    monkeypatch.setenv("OLLAMA_HOST", server.url)
    found = {finding.name: finding for finding in doctor.checkup(agent.workspace.home)}
    assert found["ollama"].ok and server.url in found["ollama"].fact
    assert "1 models, 1 of them specialists" in found["ollama memory"].fact
    assert agent.specialist.placed["ollama"]["model"] in found["ollama memory"].fact
    server.stop()
    found = {finding.name: finding for finding in doctor.checkup(agent.workspace.home)}
    assert found["ollama"].ok is None and "ollama serve" in found["ollama"].remedy
