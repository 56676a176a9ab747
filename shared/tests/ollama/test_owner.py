"""Whose the Ollama on a port of this machine is: a stranger who listens there is sent nothing, whatever he says."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from protege.common.peers import TABLES, is_here, own_uids, owners
from protege.errors import EngineError
from protege.ollama import owner
from protege.ollama.api import Ollama

STRANGER = 54321
NOBODY = pwd.getpwnam("nobody").pw_uid
GOOD = b'{"version": "0.24.0", "models": []}'


class Yes(ThreadingHTTPServer):
    """Says yes to everything, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self.heard: list[str] = []
        heard = self.heard

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                heard.append(self.path)
                self.send_response(200)
                self.send_header("Content-Length", str(len(GOOD)))
                self.end_headers()
                self.wfile.write(GOOD)

            do_POST = do_HEAD = do_DELETE = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, Handler)


@pytest.fixture
def server() -> Iterator[Yes]:
    with Yes() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def ollama(server: Yes) -> Iterator[Ollama]:
    client = Ollama(f"http://127.0.0.1:{server.server_port}")
    yield client
    client.close()


def belongs_to(monkeypatch: pytest.MonkeyPatch, *uids: int) -> None:
    """Let the system say that whatever is at the other end of a connection is these users'."""
    monkeypatch.setattr(owner, "owners", lambda connection: frozenset(uids))


ASKING: dict[str, Callable[[Ollama], object]] = {
    "version": lambda it: it.version(),
    "models": lambda it: it.models(),
    "generate": lambda it: it.generate("m", "a secret question", max_tokens=1, timeout_s=2.0),
    "load": lambda it: it.load("m", keep_alive="0", timeout_s=2.0),
    "has_blob": lambda it: it.has_blob("0" * 64),
    "show": lambda it: it.show("m"),
    "loaded": lambda it: it.loaded(),
    "delete": lambda it: it.delete("m"),
    "create": lambda it: it.create("m", "0" * 64, parameters={}),
}


@pytest.mark.parametrize("asking", ASKING)
def test_a_stranger_on_the_port_hears_nothing(
    asking: str, server: Yes, ollama: Ollama, monkeypatch: pytest.MonkeyPatch
) -> None:
    belongs_to(monkeypatch, STRANGER)
    with pytest.raises(EngineError, match=f"belongs to the user {STRANGER}.*PROTEGE_OLLAMA_USER"):
        ASKING[asking](ollama)
    assert not server.heard


def test_one_stranger_among_those_who_listen_is_enough(
    server: Yes, ollama: Ollama, monkeypatch: pytest.MonkeyPatch
) -> None:
    belongs_to(monkeypatch, os.geteuid(), STRANGER)
    with pytest.raises(EngineError, match="belongs to"):
        ollama.version()
    assert not server.heard


def test_each_new_connection_is_looked_at(server: Yes, ollama: Ollama, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ollama went away, and another user took its port."""
    assert ollama.version() == "0.24.0"
    belongs_to(monkeypatch, STRANGER)
    with pytest.raises(EngineError, match="belongs to"):
        ollama.version()
    assert len(server.heard) == 1


def test_the_accounts_of_root_and_of_ollamas_service_are_believed(
    ollama: Ollama, monkeypatch: pytest.MonkeyPatch
) -> None:
    belongs_to(monkeypatch, 0)
    assert ollama.version()
    belongs_to(monkeypatch, NOBODY)
    monkeypatch.setattr(owner, "ACCOUNT", "nobody")
    assert ollama.version()


def test_another_account_is_believed_if_the_user_names_it(ollama: Ollama, monkeypatch: pytest.MonkeyPatch) -> None:
    belongs_to(monkeypatch, NOBODY)
    with pytest.raises(EngineError, match="nobody"):
        ollama.version()
    monkeypatch.setenv("OLLAMA_HOST", ollama.url)  # that names an address, which anybody may take
    with pytest.raises(EngineError, match="nobody"):
        ollama.version()
    monkeypatch.setenv("PROTEGE_OLLAMA_USER", "nobody")
    assert ollama.version()


def test_where_the_system_does_not_tell_the_user_vouches(
    server: Yes, ollama: Ollama, monkeypatch: pytest.MonkeyPatch
) -> None:
    belongs_to(monkeypatch)
    with pytest.raises(EngineError, match=f"OLLAMA_HOST={ollama.url}"):
        ollama.version()
    assert not server.heard
    monkeypatch.setenv("OLLAMA_HOST", ollama.url)
    assert ollama.version()


@pytest.mark.parametrize(
    ("listens", "host"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "::1"), ("::", "::1"), ("::", "127.0.0.1")],
)
def test_the_system_tells_who_listens(listens: str, host: str) -> None:
    if not TABLES[0].exists():
        pytest.skip("only Linux tells")
    family = socket.AF_INET6 if ":" in listens else socket.AF_INET
    try:
        listener = socket.create_server((listens, 0), family=family, dualstack_ipv6=listens == "::")
    except (OSError, ValueError):
        pytest.skip(f"this machine has no {listens}")
    with listener, socket.create_connection((host, listener.getsockname()[1]), 5.0) as connection:
        assert is_here(connection)
        assert {os.geteuid()} <= owners(connection) <= own_uids()
        accepted, _ = listener.accept()
        listener.close()  # who accepted it is found all the same
        with accepted:
            assert owners(connection) == {os.geteuid()}


def test_the_system_tells_whose_a_unix_socket_is() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert owners(one) == {os.geteuid()}


SERVING_AS_NOBODY = """
import encodings.idna, http.server, os, sys, threading
heard = []
class Yes(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        heard.append(self.path)
        self.send_response(200)
        self.end_headers()
    do_POST = do_HEAD = do_DELETE = do_GET
os.setuid(int(sys.argv[1]))
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Yes)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
print(len(heard), flush=True)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a server as another user")
def test_a_real_server_of_another_user_hears_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-c", SERVING_AS_NOBODY, str(NOBODY)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as stranger:
        assert stranger.stdout is not None
        url = f"http://127.0.0.1:{int(stranger.stdout.readline())}"
        monkeypatch.setenv("OLLAMA_HOST", url)
        for asking in ASKING.values():
            client = Ollama(url)
            with pytest.raises(EngineError, match="nobody"):
                asking(client)
            client.close()
        said, _ = stranger.communicate(timeout=60.0)
        assert int(said) == 0
