"""The child process: killed while it answers, left by its parent, told to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import psutil
import pytest
from protege.errors import EngineError
from protege.serve import EmbeddedEngine, serve
from protege.specialist import Specialist
from protege.workspace import Workspace

PATIENCE_S = 60.0
PROMPT = "<|im_start|>user\nTell me a long story.<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture
def engine(workspace: Workspace, trio: list[Specialist]) -> Iterator[EmbeddedEngine]:
    with serve(workspace, trio[:1]) as engine:
        yield engine


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(true: Callable[[], bool]) -> bool:
    until_s = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > until_s:
            return False
        time.sleep(0.05)
    return True


def test_a_server_killed_while_it_answers_is_started_again_once(engine: EmbeddedEngine, trio: list[Specialist]) -> None:
    first, fingerprint = engine.pids[0], engine.fingerprint(trio[0])
    long = replace(trio[0], max_tokens=48)
    whole = engine.complete(trio[0], PROMPT, timeout_s=PATIENCE_S)
    threading.Timer(0.3, os.kill, (first, signal.SIGKILL)).start()
    assert engine.complete(long, PROMPT, timeout_s=PATIENCE_S).text.startswith(whole.text)
    assert engine.pids[0] != first and engine.fingerprint(trio[0]) == fingerprint

    os.kill(engine.pids[0], signal.SIGKILL)
    with pytest.raises(EngineError, match="died again"):
        engine.complete(trio[0], PROMPT, timeout_s=PATIENCE_S)


def test_many_callers_of_a_killed_server_start_one_anew(engine: EmbeddedEngine, trio: list[Specialist]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    os.kill(engine.pids[0], signal.SIGKILL)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(engine.complete, trio[0], PROMPT, timeout_s=PATIENCE_S) for _ in range(4)]
    assert len({done.result().text for done in asked}) == 1


def test_a_closed_engine_has_no_process_and_says_so(workspace: Workspace, trio: list[Specialist]) -> None:
    engine = serve(workspace, trio[:1])
    pid = engine.pids[0]
    engine.close()
    engine.close()
    assert gone(pid)
    with pytest.raises(EngineError, match="closed"):
        engine.complete(trio[0], PROMPT, timeout_s=1.0)


OWNER = """
import sys, time
from protege.serve import serve
from protege.workspace import Workspace
workspace = Workspace(sys.argv[1])
engine = serve(workspace, workspace.specialists()[:1])
print(engine.pids[0], flush=True)
{then}
"""


@pytest.mark.parametrize(("then", "blow"), [("time.sleep(100)", signal.SIGKILL), ("sys.exit(1)", None)])
def test_the_server_ends_with_the_program_that_started_it(
    workspace: Workspace, trio: list[Specialist], then: str, blow: int | None
) -> None:
    command = [sys.executable, "-c", OWNER.format(then=then), str(workspace.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        server = int(owner.stdout.readline())
        if blow is not None:
            owner.send_signal(blow)
        owner.wait(PATIENCE_S)
    assert wait_until(lambda: gone(server))
