"""An Ollama and a teacher are asked at the address that was set: no redirects, and no proxies found by chance."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from protege.call import Request
from protege.chat import openai_compatible
from protege.errors import BadInput, ProtegeError
from protege.ollama.api import Ollama

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


class Elsewhere:
    """A server that nobody meant to ask, and one that sends everybody to it."""

    def __init__(self, status: int) -> None:
        self.asked: list[str] = []
        outer = self

        class Inner(BaseHTTPRequestHandler):
            def _do(self) -> None:
                outer.asked.append(f"{self.command} {self.path}")
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            do_GET = do_POST = do_HEAD = do_DELETE = do_CONNECT = _do

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.inner = ThreadingHTTPServer(("127.0.0.1", 0), Inner)
        self.url = f"http://127.0.0.1:{self.inner.server_port}"

        class Sender(Inner):
            def _do(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(status)
                self.send_header("Location", f"{outer.url}/admin{self.path}")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST = do_HEAD = do_DELETE = _do

        self.sender = ThreadingHTTPServer(("127.0.0.1", 0), Sender)
        self.sender_url = f"http://127.0.0.1:{self.sender.server_port}"
        for server in (self.inner, self.sender):
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        for server in (self.inner, self.sender):
            server.shutdown()
            server.server_close()


@pytest.fixture(params=[301, 302, 303, 307, 308])
def elsewhere(request: pytest.FixtureRequest) -> Iterator[Elsewhere]:
    servers = Elsewhere(request.param)
    yield servers
    servers.close()


def requests_to(url: str, file: Path) -> dict[str, Callable[[], object]]:
    """Every kind of request that the client of an Ollama makes."""
    file.write_bytes(b"weights")
    client = Ollama(url)
    limits: dict[str, Any] = {"max_tokens": 1, "timeout_s": 2}
    return {
        "version": client.version,
        "models": client.models,
        "generate": lambda: client.generate("m", "secret", **limits),
        "chat": lambda: client.chat("m", [{"role": "user", "content": "secret"}], **limits),
        "rendered": lambda: client.rendered("m", [{"role": "user", "content": "secret"}]),
        "has_blob": lambda: client.has_blob("0" * 64),
        "send_blob": lambda: client.send_blob(file, "0" * 64),
        "create": lambda: client.create("m", "0" * 64, parameters={}, licence=["MIT"]),
        "show": lambda: client.show("m"),
        "loaded": client.loaded,
        "delete": lambda: client.delete("m"),
        "load": lambda: client.load("m", keep_alive="1m", timeout_s=2),
    }


def test_no_request_to_an_ollama_follows_a_redirect(elsewhere: Elsewhere, tmp_path: Path) -> None:
    for name, ask in requests_to(elsewhere.sender_url, tmp_path / "f").items():
        with pytest.raises(ProtegeError):
            ask()
        assert not elsewhere.asked, name


def test_a_teacher_follows_no_redirect(elsewhere: Elsewhere) -> None:
    with pytest.raises(ProtegeError):
        openai_compatible(f"{elsewhere.sender_url}/v1", "m", "key")(Request(({"role": "user", "content": "secret"},)))
    assert not elsewhere.asked


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Iterator[Elsewhere]:
    """A proxy that the environment names, for every address."""
    servers = Elsewhere(302)
    for name in PROXIES:
        monkeypatch.setenv(name, servers.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    yield servers
    servers.close()


def test_no_request_to_an_ollama_goes_by_a_proxy_of_the_environment(proxied: Elsewhere, tmp_path: Path) -> None:
    for url in ("http://127.0.0.1:9", "http://192.0.2.1.invalid:9"):
        for name, ask in requests_to(url, tmp_path / "f").items():
            with pytest.raises(ProtegeError):
                ask()
            assert not proxied.asked, name


def test_a_teacher_goes_by_no_proxy_but_the_one_named_for_it(
    proxied: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("protege.chat.teacher.PAUSES_S", ())
    request = Request(({"role": "user", "content": "secret"},))
    with pytest.raises(ProtegeError):
        openai_compatible("http://teacher.invalid/v1", "m", "key")(request)
    assert not proxied.asked
    monkeypatch.setenv("PROTEGE_TEACHER_PROXY", proxied.url)
    with pytest.raises(ProtegeError):  # the proxy's answer is no teacher's
        openai_compatible("http://teacher.invalid/v1", "m", "key")(request)
    assert proxied.asked == ["POST http://teacher.invalid/v1/chat/completions"]
    monkeypatch.setenv("PROTEGE_TEACHER_PROXY", "user:secret@nowhere")
    with pytest.raises(BadInput) as refused:
        openai_compatible("http://teacher.invalid/v1", "m", "key")(request)
    assert "secret" not in str(refused.value)
