"""One engine a workspace: published, found, started by whoever needs it first, never mistaken for another."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
from protege.common.configuration import is_private
from protege.errors import EngineError, WorkspaceBusy
from protege.serve import EmbeddedEngine, connect, serve
from protege.serve.embedded import sockets
from protege.serve.embedded.client import Client, Place
from protege.serve.embedded.shared import publish
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


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"format": 1}', b'{"format": 2}', b'{"format": 3}'])
def test_a_damaged_file_is_no_engine(home: Workspace, body: bytes) -> None:
    (home.home / "engine.json").write_bytes(body)
    assert connect(home.home) is None


def test_another_token_or_a_socket_that_is_gone_is_no_engine(home: Workspace, published: dict[str, Any]) -> None:
    for place in (
        {"token": "another"},
        {"socket": str(home.home / "sockets" / "gone.sock")},
        {"socket": "engine.sock"},
    ):
        put(home, changed(published, **place))
        assert connect(home.home) is None


def test_a_process_that_got_the_servers_number_is_no_engine(home: Workspace) -> None:
    """The server was killed, and its process id lives on in another process."""
    alpha = home.specialists()[0]
    with serve(home, [alpha]) as engine:
        publish(home.home, engine.places())
        os.kill(engine.pids[0], signal.SIGKILL)
        assert wait_for(lambda: connect(home.home) is None)
        document = orjson.loads((home.home / "engine.json").read_bytes())
        put(home, document | {"pid": os.getpid()})
        assert connect(home.home) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_where_a_file_names_a_port_nobody_is_asked(home: Workspace, published: dict[str, Any], host: str) -> None:
    """Whoever listens there, and says 200 to everything, hears of no token and no prompt."""
    try:
        listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with listener:
        listener.settimeout(0.5)
        url = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        old = {name: {**place, "url": url} for name, place in published["specialists"].items()}
        for place in old.values():
            del place["socket"]
        for document in (published | {"format": 1, "specialists": old}, published | {"specialists": old}):
            put(home, document)
            assert connect(home.home) is None
        put(home, changed(published, socket=url))
        assert connect(home.home) is None
        with pytest.raises(TimeoutError):
            listener.accept()


def test_a_socket_in_a_folder_that_others_can_enter_is_not_believed(
    home: Workspace, published: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "s"
    folder.mkdir(mode=0o700)
    for name, place in published["specialists"].items():
        (folder / name).symlink_to(place["socket"])
    places = {name: {**place, "socket": str(folder / name)} for name, place in published["specialists"].items()}
    put(home, published | {"specialists": places})
    engine = connect(home.home)
    assert engine is not None
    engine.close()
    folder.chmod(0o755)
    assert connect(home.home) is None
    folder.chmod(0o700)
    (tmp_path / "link").symlink_to(folder)
    linked = {name: {**place, "socket": str(tmp_path / "link" / name)} for name, place in places.items()}
    put(home, published | {"specialists": linked})
    assert connect(home.home) is None


def test_a_server_of_another_user_is_sent_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's, in a folder that once was his and is ours now."""
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        place = Place(str(path), "a secret token", None, False, "")
        monkeypatch.setattr(sockets, "owners", lambda connection: frozenset({54321}))
        client = Client()
        assert not client.answers(place, 1.0)
        with pytest.raises(EngineError, match="another user"):
            client.complete(place, "a secret question", max_tokens=1, timeout_s=1.0)
        client.close()
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                assert connection.recv(1) == b""


def test_a_home_with_a_long_path_gets_a_socket_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("long" * 30)
    deep.mkdir()
    path = sockets.new_socket(deep)
    assert path.parent.parent != deep and is_private(path.parent)
    sockets.remove_socket(path)
    assert not path.parent.exists()


def test_sockets_of_servers_that_were_killed_are_cleaned_up(tmp_path: Path) -> None:
    left, young, alive = (sockets.new_socket(tmp_path) for _ in range(3))
    with socket.socket(socket.AF_UNIX) as listener:
        for path in (left, young):
            with socket.socket(socket.AF_UNIX) as killed:
                killed.bind(str(path))
        listener.bind(str(alive))
        listener.listen()
        for path in (left, alive):
            os.utime(path, (0, 0))
        sockets.new_socket(tmp_path)
        assert not left.exists() and young.exists() and alive.exists()


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
    assert len(told) == 1 and told[0][0].endswith(".sock") and told[0][1]
    assert not list((home.home / "sockets").iterdir())
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
