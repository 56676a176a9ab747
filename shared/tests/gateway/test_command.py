"""`protege gateway` as its users run it: a process of its own, asked by the clients that agents have."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from gateways import CLIENT, Fake, Stand, served
from protege.cli import commands
from protege.errors import BadInput
from protege.gateway import clients
from typer.testing import CliRunner

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
COMMAND = [sys.executable, "-c", "import protege.cli; protege.cli.main()"]


@contextmanager
def running(home: Path, upstream: str, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a gateway, and its process."""
    options = ("--port", "0", "--json", "--upstream", f"openai={upstream}", *options)
    command = [*COMMAND, "gateway", "--home", home, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = ""
            for line in process.stdout:
                said += line
                if line == "}\n":
                    break
            yield json.loads(said)["address"], process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


@pytest.mark.parametrize("workers", [1, 2])
def test_it_answers_records_and_ends_cleanly(tmp_path: Path, workers: int):
    home, upstream = tmp_path / "home", Fake()
    with served(upstream) as at:
        with running(home, at, "--workers", str(workers)) as (address, process):
            client = openai.OpenAI(base_url=f"{address}/a/clerk/v1", api_key="sk-1")
            for _ in range(8):
                answer = client.chat.completions.create(**CHAT)
                assert answer.choices[0].message.content == "Hello"
            assert clients.running(home) == address
            assert f"OPENAI_BASE_URL={address}/a/clerk/v1" in {each.how for each in clients.pointers(address, "clerk")}
        assert process.returncode == 0
        assert clients.running(home) is None
    assert upstream.asked[0][2]["authorization"] == "Bearer sk-1"
    assert len(Stand("", upstream, home).calls(8)) == 8


def test_a_worker_that_is_killed_loses_nothing_that_was_answered(tmp_path: Path):
    home, answered = tmp_path / "home", 0
    stand = Stand("", Fake(), home)
    with served(Fake()) as at, running(home, at, "--workers", "2") as (address, process):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        for number in range(60):
            if number == 20:
                assert len(stand.calls(answered)) == answered  # what was answered is written a moment later
                os.kill(int(children.read_text().split()[-1]), signal.SIGKILL)
            try:
                answered += CLIENT.post(f"{address}/v1/chat/completions", json=CHAT).status_code == 200
            except httpx.TransportError:
                time.sleep(0.1)
    assert answered >= 55
    assert len(stand.calls(answered)) >= answered


def test_the_port_of_another_is_an_error_with_a_remedy(tmp_path: Path):
    with served(Fake()) as at:
        port = at.rpartition(":")[2]
        done = subprocess.run(
            [*COMMAND, "gateway", "--home", tmp_path, "--port", port], capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 1 and "--port" in done.stderr


def test_keys_are_made_listed_and_revoked(tmp_path: Path):
    def keys(*options: str) -> Any:
        return CliRunner().invoke(commands.app, ["keys", "--home", str(tmp_path), "--json", *options])

    assert json.loads(keys("--new", "ann", "--node", "plan").stdout)["key"].startswith("protege-")
    assert [(each["name"], each["nodes"]) for each in json.loads(keys().stdout)["keys"]] == [("ann", ["plan"])]
    assert isinstance(keys("--new", "ann").exception, BadInput)
    assert json.loads(keys("--revoke", "ann").stdout) == {"revoked": "ann"}
    assert json.loads(keys().stdout) == {"keys": []}
