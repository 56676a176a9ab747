"""The client against servers that misbehave: an EngineError within its time, never anything else."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
from protege.errors import DoesNotFit, EngineError
from protege.serve import Completion
from protege.serve.embedded.client import Client, Place
from protege.serve.embedded.sockets import new_socket, remove_socket

GOOD = {
    "content": "yes",
    "stop_type": "eos",
    "truncated": False,
    "tokens_evaluated": 5,
    "tokens_predicted": 2,
    "completion_probabilities": [{"token": "yes", "logprob": -0.5}, {"token": "", "logprob": -0.25}],
}


@contextmanager
def server(behave: Callable[[socket.socket], object]) -> Iterator[Place]:
    """A server on a Unix socket that reads a request and then does as `behave` says."""
    path = new_socket(Path("/nowhere"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def run() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    behave(connection)

        threading.Thread(target=run, daemon=True).start()
        yield Place(str(path), "token", 0, False, "")
        listener.shutdown(socket.SHUT_RDWR)
    remove_socket(path)


def replies(body: bytes, status: str = "200 OK") -> Callable[[socket.socket], object]:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return lambda connection: connection.sendall(head + body)


def ask(place: Place, timeout_s: float = 5.0) -> Completion:
    client = Client()
    try:
        return client.complete(place, "a secret question", max_tokens=4, timeout_s=timeout_s)
    finally:
        client.close()


def test_a_good_answer_is_read() -> None:
    with server(replies(orjson.dumps(GOOD))) as place:
        completion = ask(place)
    assert (completion.text, completion.token_logprobs) == ("yes", (-0.5, -0.25))


@pytest.mark.parametrize(
    "behave",
    [
        replies(b"<html>Proxy error</html>"),
        replies(orjson.dumps(GOOD)[:60]),
        replies(b"[]"),
        replies(b"null"),
        replies(b"{}"),
        replies(b'{"error": "a secret question"}'),
        replies(orjson.dumps(GOOD | {"stop_type": "none"})),
        replies(orjson.dumps(GOOD | {"content": None})),
        replies(orjson.dumps(GOOD | {"completion_probabilities": [{"token": "yes"}]})),
        replies(orjson.dumps(GOOD | {"tokens_predicted": "many"})),
        replies(orjson.dumps(GOOD), "500 Oh no"),
        replies(b"", "204 No Content"),
        replies(b"", "302 Found\r\nLocation: http://example.org/"),
        lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"),
        lambda connection: connection.sendall(b"\x00\x01\x02 no http at all\r\n\r\n"),
        lambda connection: connection.close(),
    ],
)
def test_a_wrong_answer_is_an_engine_error_that_quotes_nothing(behave: Callable[[socket.socket], object]) -> None:
    with server(behave) as place, pytest.raises(EngineError) as caught:
        ask(place)
    assert "secret" not in str(caught.value)


def test_a_context_that_is_exceeded_is_told_from_other_faults() -> None:
    refusal = orjson.dumps({"error": {"code": 400, "type": "exceed_context_size_error", "message": "…"}})
    with server(replies(refusal, "400 Bad Request")) as place, pytest.raises(DoesNotFit):
        ask(place)


def drip(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
    try:
        for _ in range(200):
            connection.sendall(b" ")
            time.sleep(0.02)
    except OSError:
        pass


@pytest.mark.parametrize("behave", [drip, lambda connection: time.sleep(2)])
def test_a_server_that_drips_or_never_answers_holds_nobody_longer_than_the_time_out(
    behave: Callable[[socket.socket], object],
) -> None:
    with server(behave) as place, pytest.raises(EngineError, match="in time"):
        ask(place, timeout_s=0.3)


def test_a_socket_where_nobody_listens_is_an_engine_error() -> None:
    with server(lambda connection: None) as place:
        pass
    with pytest.raises(EngineError, match="reached"):
        ask(place)


def test_a_closed_client_is_an_engine_error() -> None:
    client = Client()
    client.close()
    with pytest.raises(EngineError, match="closed"):
        client.complete(Place("/nowhere.sock", "", None, False, ""), "Hi", max_tokens=1, timeout_s=1)


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with server(replies(orjson.dumps(GOOD))) as place:
        assert ask(place).text == "yes"
