"""Embedding with a real Ollama, and with servers that misbehave."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from protege.embedding import Embedder, decided, embedder_named, findings, plain
from protege.errors import BadInput, EngineError, EngineTimeout, EngineUnreachable, NotServed
from protege.testing.embedders import EmbedderConformance
from tiny_bert import give_bert

MODEL = "tiny-bert"


@pytest.fixture
def named(ollama_server: Any, tmp_path: Path) -> str:
    """The embedder's name, with a server of the tests' own."""
    give_bert(ollama_server, tmp_path, MODEL)
    return f"ollama:{MODEL}@{ollama_server.url}"


class TestOllama(EmbedderConformance):
    @pytest.fixture
    def embedder(self, named: str) -> Embedder:
        return embedder_named(named)


def test_another_model_under_its_name_is_another_identity(ollama_server: Any, named: str, tmp_path: Path) -> None:
    embedder = embedder_named(named)
    before, pinned = embedder.identity, decided(named)
    give_bert(ollama_server, tmp_path, MODEL, 1)
    until = time.monotonic() + 5
    while embedder.identity == before and time.monotonic() < until:
        time.sleep(0.1)
    assert embedder.identity != before
    assert plain(pinned) == named and decided(pinned) != pinned


def test_a_model_that_is_not_there_is_never_pulled(ollama_server: Any) -> None:
    stranger = embedder_named(f"ollama:all-minilm@{ollama_server.url}")
    with pytest.raises(NotServed, match="no model all-minilm:latest"):
        _ = stranger.identity
    with pytest.raises(NotServed):
        stranger.embed("text", timeout_s=5)


def test_doctor_names_its_embedding_models(named: str, ollama_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", ollama_server.url)
    told = [finding.fact for finding in findings() if finding.name == "embedding, ollama"]
    assert len(told) == 1 and f"ollama:{MODEL}:latest" in told[0]


def test_nobody_there_is_an_error_at_once() -> None:
    nobody = embedder_named("ollama:m@127.0.0.1:9")
    with pytest.raises(EngineUnreachable):
        nobody.embed("text", timeout_s=5)
    with pytest.raises(EngineUnreachable):
        _ = nobody.version


@pytest.mark.parametrize("name", ["ollama", "ollama:", "ollama:@127.0.0.1:1", "ollama:m@ftp://x"])
def test_a_name_without_a_model_or_address_is_refused(name: str) -> None:
    with pytest.raises(BadInput):
        embedder_named(name)


@pytest.mark.parametrize(
    "answer",
    [
        {"embeddings": []},
        {"embeddings": [[]]},
        {"embeddings": [[0.0, 0.0]]},
        {"embeddings": [["x"]]},
        {"embeddings": {"0": [1.0]}},
        {"error": "no"},
        [1.0],
    ],
)
def test_what_is_no_vector_is_an_error(answer: Any) -> None:
    with serving(lambda handler: reply(handler, json.dumps(answer).encode())) as url, pytest.raises(EngineError):
        embedder_named(f"ollama:m@{url}").embed("text", timeout_s=5)


def test_a_server_that_drips_holds_nobody_longer_than_the_time_out() -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.02)

    began_s = time.monotonic()
    with serving(drip) as url, pytest.raises(EngineTimeout):
        embedder_named(f"ollama:m@{url}").embed("text", timeout_s=0.2)
    assert time.monotonic() - began_s < 1.5


def reply(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class serving:
    """A server that answers every request so, within a `with`."""

    def __init__(self, behave: Callable[[BaseHTTPRequestHandler], object]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with contextlib.suppress(OSError):  # the client may go away
                    behave(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> str:
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
