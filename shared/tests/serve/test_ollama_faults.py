"""What goes wrong with a real Ollama: no agent sees an exception or a wrong answer, and none waits beyond its bound."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from protege import Base, Specialist, Workspace
from protege.errors import DoesNotFit, EngineError, ResourceError
from protege.ollama.api import Ollama
from protege.rollout import publish
from protege.route import Router
from protege.serve import OllamaEngine, bring_back
from protege.serve.ollama.models import bring

STORY = "Tell me a very long story about the sea."
SLACK_S = 1.0
"""For the scheduler of a busy machine."""


def test_a_server_killed_while_it_answers_costs_no_more_than_the_time_out_and_is_used_again(
    server: Any, make_agent: Callable[..., Any]
) -> None:
    agent = make_agent(server, max_tokens=2000)
    killing = threading.Timer(0.5, server.kill)
    killing.start()
    outcome, took_s = agent.ask(STORY)
    killing.join()
    assert outcome.message is None and outcome.decision in ("engine failed", "timed out")
    assert outcome.attempt is not None and outcome.attempt.outcome == "failed"
    assert took_s < agent.timeout_s + SLACK_S
    after, took_s = agent.ask()
    assert after.message is None and took_s < 0.5, "the next call does not wait again"
    server.start()
    assert agent.is_kept_again()


def test_an_answer_outlasts_the_restart_of_its_server(server: Any, make_agent: Callable[..., Any]) -> None:
    agent = make_agent(server)
    server.kill()
    starting = threading.Thread(target=server.start)
    starting.start()
    outcome, took_s = agent.ask()
    starting.join()
    assert took_s < agent.timeout_s + SLACK_S
    assert outcome.message is None or outcome.message["content"] == agent.right
    assert agent.is_kept_again()


def test_a_process_that_runs_the_model_may_die(server: Any, make_agent: Callable[..., Any]) -> None:
    agent = make_agent(server, max_tokens=2000)
    runners = server.runners
    assert runners
    killing = threading.Timer(0.5, lambda: [runner.kill() for runner in runners])
    killing.start()
    outcome, took_s = agent.ask(STORY)
    killing.join()
    assert outcome.message is None and outcome.decision in ("engine failed", "timed out")
    assert took_s < agent.timeout_s + SLACK_S
    assert agent.is_kept_again()


def test_a_model_that_was_removed_is_recorded_as_such_and_can_be_brought_back(
    server: Any, make_agent: Callable[..., Any]
) -> None:
    agent = make_agent(server)
    assert agent.ask()[0].decision == "kept"
    server.client().delete(agent.specialist.placed["ollama"]["model"])
    for pause_s in (0.0, 1.2):  # known from the answer; then from looking
        time.sleep(pause_s)
        outcome, took_s = agent.ask()
        assert (outcome.message, outcome.decision) == (None, "not served")
        assert took_s < SLACK_S
    terms = agent.workspace.routes()["s1"]
    back = bring_back(agent.workspace, agent.specialist, terms.fingerprint)
    assert back.placed["ollama"]["model"] == agent.specialist.placed["ollama"]["model"]
    agent.workspace.save_specialist(back)
    publish(agent.workspace)
    assert agent.is_kept_again()


def test_another_model_under_its_name_does_not_answer(server: Any, make_agent: Callable[..., Any]) -> None:
    agent = make_agent(server)
    where = agent.specialist.placed["ollama"]
    server.client().create(where["model"], where["file"], parameters={"temperature": 2.0, "num_ctx": 1024})
    time.sleep(1.2)
    outcome, _ = agent.ask()
    assert (outcome.message, outcome.decision) == (None, "not served")


def test_a_server_that_accepts_and_never_answers_costs_the_time_out_once(
    server: Any, make_agent: Callable[..., Any]
) -> None:
    agent = make_agent(server, timeout_s=1.5)
    os.killpg(server.pid, signal.SIGSTOP)
    try:
        outcome, took_s = agent.ask()
        assert (outcome.message, outcome.decision) == (None, "timed out")
        assert took_s < 1.5 + SLACK_S
        after, took_s = agent.ask()
        assert after.message is None and took_s < 0.5
    finally:
        os.killpg(server.pid, signal.SIGCONT)
    assert agent.is_kept_again()


def test_a_port_that_accepts_and_never_answers_holds_nobody_up(server: Any, make_agent: Callable[..., Any]) -> None:
    agent = make_agent(server)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        elsewhere = replace(
            agent.specialist, placed={"ollama": {**agent.specialist.placed["ollama"], "address": address}}
        )
        agent.workspace.save_specialist(elsewhere)
        publish(agent.workspace)
        router = Router(agent.workspace.home)
        begin_s = time.monotonic()
        outcomes = [router.answer(agent.request) for _ in range(5)]
        assert time.monotonic() - begin_s < SLACK_S
        assert all(o.message is None and o.decision in ("engine starting", "engine failed") for o in outcomes)
        router.close()


def test_64_callers_and_a_queue_of_4_get_the_right_answer_or_the_teachers(
    start_ollama: Callable[..., Any], make_agent: Callable[..., Any]
) -> None:
    server = start_ollama({"OLLAMA_MAX_QUEUE": "4"})
    agent = make_agent(server)
    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda _: agent.ask(), range(64)))
    kept = [outcome for outcome, _ in answers if outcome.message is not None]
    assert kept
    assert {outcome.message["content"] for outcome in kept if outcome.message} == {agent.right}
    turned_away = {outcome.decision for outcome, _ in answers if outcome.message is None}
    assert turned_away <= {"timed out", "engine failed", "engine busy", "engine starting"}
    assert max(took_s for _, took_s in answers) < agent.timeout_s + SLACK_S
    server.stop()


def test_a_full_queue_is_told_as_such(start_ollama: Callable[..., Any], make_agent: Callable[..., Any]) -> None:
    server = start_ollama({"OLLAMA_MAX_QUEUE": "4"})
    agent = make_agent(server)
    model = agent.specialist.placed["ollama"]["model"]
    server.client().load(model, keep_alive="0", timeout_s=30)  # while it is loaded again, the queue fills
    time.sleep(1.0)
    clients = [server.client() for _ in range(64)]
    together = threading.Barrier(len(clients), timeout=60)

    def ask(client: Ollama) -> str:
        client.version(30)  # connected already, so that all ask at the same moment
        together.wait()
        try:
            return client.generate(model, "Hello.", max_tokens=2, timeout_s=60).done_reason
        except EngineError as error:
            return type(error).__name__

    with ThreadPoolExecutor(len(clients)) as pool:
        said = set(pool.map(ask, clients))
    assert "EngineBusy" in said
    assert said & {"stop", "length"}, "some were answered"
    server.stop()


def mounted_small() -> tuple[str, ...] | None:
    """A command that starts a program in which $0 is a folder of 48 MB; None where this machine allows none."""
    script = 'mkdir -p "$0" && mount -t tmpfs -o size=48m tmpfs "$0" && exec "$@"'
    for unshare in (("unshare", "-m"), ("unshare", "-rm")):
        tried = subprocess.run([*unshare, "sh", "-c", script, "/tmp/.protege-small", "true"], capture_output=True)
        if tried.returncode == 0:
            return (*unshare, "sh", "-c", script)
    return None


def test_a_full_disk_is_told_and_nothing_is_left_of_the_model(
    start_ollama: Callable[..., Any], base: Base, workspace: Workspace, trio: list[Specialist], tmp_path: Path
) -> None:
    wrap = mounted_small()
    if wrap is None:
        pytest.skip("a small file system cannot be mounted here: unshare is not allowed")
    store = tmp_path / "small"
    server = start_ollama({"OLLAMA_MODELS": str(store)}, wrap=(*wrap, str(store)))
    with pytest.raises(ResourceError, match=r"disk of the Ollama .* is full.*OLLAMA_MODELS"):
        bring(workspace, trio[0], server.client())
    assert server.client().models() == {}
    inside = Path(f"/proc/{server.pid}/root{store}/blobs")
    assert list(inside.iterdir()) == []
    server.stop()


def test_an_address_elsewhere_is_asked_only_where_the_user_names_it(
    in_ollama: Specialist, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = replace(
        in_ollama, placed={"ollama": {**in_ollama.placed["ollama"], "address": "http://192.0.2.7:11434"}}
    )
    with OllamaEngine() as engine, pytest.raises(EngineError, match=r"OLLAMA_HOST=http://192\.0\.2\.7:11434"):
        engine.complete(elsewhere, "Hi.", timeout_s=1)


def test_what_does_not_fit_is_refused_and_never_cut(
    ollama_server: Any, make_workspace: Callable[[], Workspace], base: Base
) -> None:
    workspace = make_workspace()
    small = replace(workspace.specialists()[0], base=replace(base, context=256), max_tokens=40)
    small = bring(workspace, small, ollama_server.client())
    with OllamaEngine() as engine:
        assert engine.complete(small, "word " * 200, timeout_s=60).input_tokens > 200
        for words in (230, 255, 256, 300, 20_000):  # prompt and answer; the prompt alone
            with pytest.raises(DoesNotFit):
                engine.complete(small, "word " * words, timeout_s=60)
