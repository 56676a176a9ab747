"""One engine a workspace: published, found, started by whoever needs it first, never mistaken for another."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
from protege.errors import EngineError, WorkspaceBusy
from protege.serve import EmbeddedEngine, connect
from protege.serve.embedded.client import Client
from protege.serve.embedded.starting import background, start_in_background
from protege.service.engine import serve_forever
from protege.specialist import Specialist
from protege.workspace import Workspace

PATIENCE_S = 60.0
PROMPT = "<|im_start|>user\nName an animal.<|im_end|>\n<|im_start|>assistant\n"


def wait_for(value: Callable[[], Any]) -> Any:
    """The value once it is true; what it is after a long wait otherwise."""
    until_s = time.monotonic() + PATIENCE_S
    while not (found := value()) and time.monotonic() < until_s:
        time.sleep(0.05)
    return found


@pytest.fixture
def home(make_workspace: Callable[[], Workspace]) -> Workspace:
    return make_workspace()


@pytest.fixture
def published(home: Workspace, workspace: Workspace, embedded: EmbeddedEngine) -> dict[str, Any]:
    """engine.json of the running engine, as a document to be damaged and put into another home."""
    return orjson.loads((workspace.home / "engine.json").read_bytes())


def put(home: Workspace, document: Any) -> None:
    (home.home / "engine.json").write_bytes(orjson.dumps(document))


def changed(document: dict[str, Any], **place: Any) -> dict[str, Any]:
    return document | {"specialists": {name: old | place for name, old in document["specialists"].items()}}


def test_engine_json_is_for_its_owner_only(workspace: Workspace, embedded: EmbeddedEngine) -> None:
    assert stat.S_IMODE((workspace.home / "engine.json").stat().st_mode) == 0o600


def test_a_copy_of_a_good_file_connects(home: Workspace, published: dict[str, Any]) -> None:
    put(home, published)
    engine = connect(home.home)
    assert engine is not None
    engine.close()


def test_without_a_file_there_is_no_engine(home: Workspace) -> None:
    assert connect(home.home) is None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"format": 2}', b'{"format": 1}'])
def test_a_damaged_file_is_no_engine(home: Workspace, body: bytes) -> None:
    (home.home / "engine.json").write_bytes(body)
    assert connect(home.home) is None


def test_the_file_of_a_process_that_is_gone_is_no_engine(home: Workspace, published: dict[str, Any]) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    put(home, published | {"pid": ended.pid})
    assert connect(home.home) is None


def test_another_token_or_a_silent_port_is_no_engine(home: Workspace, published: dict[str, Any]) -> None:
    for place in ({"token": "another"}, {"url": "http://127.0.0.1:9"}):
        put(home, changed(published, **place))
        assert connect(home.home) is None


def test_a_prompt_goes_to_no_other_machine(
    home: Workspace, published: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "answers", lambda *_: True)
    put(home, published)
    assert connect(home.home) is not None
    for url in ("http://192.0.2.1:80", "http://127.0.0.1:80@example.org", "http://127.0.0.1.example.org:80"):
        put(home, changed(published, url=url))
        assert connect(home.home) is None


@pytest.fixture
def another_server() -> Iterator[str]:
    """A server that says 200 to everything, on a port that was ours once."""

    class Polite(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Polite) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_another_server_on_the_port_is_no_engine(
    home: Workspace, published: dict[str, Any], another_server: str
) -> None:
    put(home, changed(published, url=another_server))
    assert connect(home.home) is None


AGENT = """
import sys
from protege.serve import start_in_background
start_in_background(sys.argv[1])
sys.stdin.read()
"""


def servers_of(home: Workspace) -> list[psutil.Process]:
    """The processes that serve this home, and their children."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.cmdline()[-2:] == ["protege.service.background", str(home.home)]:
                found += [process, *process.children()]
        except psutil.Error:
            continue
    return found


def test_two_agents_that_start_at_once_share_one_engine_that_ends_with_them(home: Workspace) -> None:
    command = [sys.executable, "-c", AGENT, str(home.home)]
    agents = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(2)]
    engine = wait_for(lambda: connect(home.home))
    assert engine is not None, (home.home / "engine.log").read_text()
    assert engine.complete(home.specialists()[0], PROMPT, timeout_s=PATIENCE_S).text
    engine.close()
    assert wait_for(lambda: len(servers_of(home)) == 2), "one that serves, and its child"
    for agent in agents:
        agent.kill()
        agent.wait()
    assert wait_for(lambda: not servers_of(home))
    assert connect(home.home) is None


def test_a_killed_server_is_found_again_and_a_promoted_specialist_is_served(home: Workspace) -> None:
    alpha, beta, _ = home.specialists()
    with background(home.home):
        start_in_background(home.home)  # a second time it changes nothing
        engine = connect(home.home)
        assert engine is not None
        with pytest.raises(EngineError, match="does not serve"):
            engine.fingerprint(beta)

        child = next(process for process in servers_of(home) if "protege.serve.embedded.child" in process.cmdline())
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(EngineError):
            engine.complete(alpha, PROMPT, timeout_s=PATIENCE_S)
        engine.close()
        again = wait_for(lambda: connect(home.home))
        assert again.complete(alpha, PROMPT, timeout_s=PATIENCE_S).text
        again.close()

        home.save_specialist(replace(beta, state="live"))
        (home.home / "routes.json").write_bytes(b"{}")
        assert wait_for(lambda: served(home, beta))
        with pytest.raises(WorkspaceBusy):
            serve_forever(home, [alpha], on_moved=print)
    assert not servers_of(home)


def test_in_the_foreground_it_tells_its_address_and_leaves_nothing_behind(home: Workspace) -> None:
    alpha = home.specialists()[0]
    told: list[tuple[str, bool]] = []
    serve_forever(
        home, [alpha], lambda address: told.append((address, served(home, alpha))), on_moved=print, wait=lambda _: True
    )
    assert len(told) == 1 and told[0][0].startswith("http://127.0.0.1:") and told[0][1]
    assert not (home.home / "engine.json").exists()


def served(home: Workspace, specialist: Specialist) -> bool:
    engine = connect(home.home)
    try:
        return engine is not None and len(engine.fingerprint(specialist)) == 64
    except EngineError:
        return False
    finally:
        if engine is not None:
            engine.close()


def test_what_keeps_the_engine_from_starting_stands_in_its_log(home: Workspace) -> None:
    alpha = home.specialists()[0]
    (home.specialist_folder(alpha) / "lora.gguf").unlink()
    with pytest.raises(EngineError, match=r"engine\.log"), background(home.home, timeout_s=3.0):
        pytest.fail("nothing can be served")
    log = home.home / "engine.log"
    assert "lora.gguf cannot be read" in log.read_text()
    assert stat.S_IMODE(Path(log).stat().st_mode) == 0o600
