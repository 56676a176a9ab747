"""Whatever comes on a client's connection ends in a clear answer, within bounds."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest
from gateways import Fake, Stand, chat
from gateways import stand as stand
from protege.gateway import connection, request

Make = Callable[..., Stand]
BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
LENGTH = b"content-length: %d\r\n" % len(BODY)
CHUNKED = b"transfer-encoding: chunked\r\n"
CHUNK = b"%x\r\n%s\r\n" % (len(BODY), BODY)


def head(target: bytes = b"/v1/chat/completions", *more: bytes, method: bytes = b"POST", version: bytes = b"1.1"):
    return b"%s %s HTTP/%s\r\nhost: 127.0.0.1\r\n%s\r\n" % (method, target, version, b"".join(more))


def got(target: bytes, *more: bytes, method: bytes = b"GET") -> bytes:
    return head(target, *more, method=method)


def told(at: Stand, *parts: bytes, to_the_end: bool = False) -> bytes:
    """What comes back: the first part of it, or all until the connection is closed."""
    host, _, port = at.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        try:
            for part in parts:
                client.sendall(part)
        except OSError:  # it was closed before all had been sent
            pass
        came = b""
        try:
            while part := client.recv(1 << 16):
                came += part
                if not to_the_end and b"\r\n\r\n" in came:
                    break
        except ConnectionError:
            pass
        return came


PASSED: dict[str, bytes] = {
    "chunked": head(b"/v1/chat/completions", CHUNKED) + CHUNK + b"0\r\n\r\n",
    "extended chunks": head(b"/v1/chat/completions", CHUNKED) + CHUNK.replace(b"\r\n", b";a=b\r\n", 1) + b"0\r\n\r\n",
    "an absolute target": head(b"http://127.0.0.1:1/v1/chat/completions", LENGTH) + BODY,
    "more than it said": head(b"/v1/chat/completions", LENGTH) + BODY + b"more",
    "a wish for h2c": head(b"/v1/chat/completions", LENGTH, b"connection: upgrade\r\nupgrade: h2c\r\n") + BODY,
    "one version back": head(b"/v1/chat/completions", LENGTH, version=b"1.0") + BODY,
}
"""What a server has to understand; each holds BODY."""


def test_all_forms_of_a_request_are_understood(stand: Make):
    at = stand()
    for name, sent in PASSED.items():
        assert told(at, sent).startswith(b"HTTP/1.1 200 "), name
    assert [body for *_, body in at.upstream.asked] == [BODY] * len(PASSED)
    assert len(at.calls(len(PASSED))) == len(PASSED)


REFUSED: dict[str, tuple[int, bytes]] = {
    "a length twice": (400, head(b"/v1/models", LENGTH, LENGTH) + BODY),
    "two lengths": (400, head(b"/v1/models", LENGTH, b"content-length: 3\r\n") + BODY),
    "a length below zero": (400, head(b"/v1/models", b"content-length: -1\r\n")),
    "a length beyond all numbers": (400, head(b"/v1/models", b"content-length: " + b"9" * 30 + b"\r\n")),
    "a length and chunks": (400, head(b"/v1/models", LENGTH, CHUNKED) + CHUNK + b"0\r\n\r\n"),
    "a chunk of no size": (400, head(b"/v1/chat/completions", CHUNKED) + b"zz\r\n"),
    "a chunk beyond all numbers": (400, head(b"/v1/chat/completions", CHUNKED) + b"f" * 17 + b"\r\n"),
    "a folded header": (400, head(b"/v1/models", b"x-a: b\r\n c\r\n")),
    "a zero in a header": (400, head(b"/v1/models", b"x-a: b\0c\r\n")),
    "two hosts": (400, head(b"/v1/models", b"host: evil.example\r\n")),
    "another protocol": (400, b"\x16\x03\x01\x02\0\1" * 9 + b"\r\n\r\n"),
    "the preface of HTTP/2": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "another version": (505, head(b"/v1/models", version=b"2.0")),
    "a tunnel": (400, got(b"evil.example:443", method=b"CONNECT")),
    "an echo": (405, got(b"/v1/models", method=b"TRACE")),
    "another's address": (403, got(b"http://evil.example/v1/models")),
    "all": (404, got(b"*", method=b"OPTIONS")),
    "a web socket": (
        501,
        got(b"/v1/realtime", b"connection: upgrade\r\nupgrade: WebSocket\r\nsec-websocket-key: a\r\n"),
    ),
    "dots": (404, got(b"/v1/../admin")),
    "encoded dots": (404, got(b"/v1/%2E%2e/admin")),
    "an encoded slash before dots": (404, got(b"/v1/files/a%2f..%2fadmin")),
    "backslashes": (404, got(b"/v1/files/..%5c..%5cadmin")),
    "dots encoded twice": (404, got(b"/v1/%252e%252e/admin")),
    "dots before a semicolon": (404, got(b"/v1/..;/admin")),
    "an encoded line": (404, got(b"/v1/files/x%0d%0aevil:%20b")),
    "a long header": (431, head(b"/v1/models", b"x: " + b"a" * (1 << 18) + b"\r\n")),
    "headers without end": (431, head(b"/v1/models")[:-2] + b"x-a: b\r\n" * (1 << 17)),
    "a header without end": (431, head(b"/v1/models")[:-2] + b"x-a: " + b"b" * (1 << 20)),
    "a path without end": (431, b"GET /v1/" + b"a" * (1 << 20)),
}


def test_what_no_request_should_be_is_refused_and_never_forwarded(stand: Make):
    at = stand()
    for name, (status, sent) in REFUSED.items():
        came = told(at, sent)
        assert came.startswith(b"HTTP/1.1 %d " % status) and b"protege gateway" in came, (name, came)
    assert at.upstream.asked == []


@pytest.mark.parametrize(
    "path", [b"/v1/models/org%2Fname", b"/v1/files/a..b", b"/v1/models?x=../y", b"/v1/files/%C3%A9"]
)
def test_slashes_and_dots_that_lead_nowhere_else_pass_as_they_are(stand: Make, path: bytes):
    at = stand()
    assert told(at, got(path)).startswith(b"HTTP/1.1 200 ")
    assert at.upstream.asked[0][1].encode() == path


def test_methods_without_a_body_pass(stand: Make):
    at = stand()
    for method in (b"HEAD", b"OPTIONS", b"DELETE"):
        came = told(at, got(b"/v1/models", b"connection: close\r\n", method=method), to_the_end=True)
        assert came.startswith(b"HTTP/1.1 200 ") and (b"chunked" in came) is (method != b"HEAD")
    assert [method for method, *_ in at.upstream.asked] == ["HEAD", "OPTIONS", "DELETE"]


def test_a_client_of_http_1_0_gets_no_chunks_and_the_end_by_the_connection(stand: Make):
    for headers in ([], [(b"content-length", b"%d" % len(chat("Hello")))]):
        at = stand(Fake(headers=[(b"content-type", b"application/json"), *headers]))
        came = told(at, PASSED["one version back"], to_the_end=True)
        assert b"chunked" not in came.lower() and came.partition(b"\r\n\r\n")[2] == chat("Hello")


def test_a_trailer_never_becomes_a_header(stand: Make):
    at = stand()
    trailer = b"0\r\nx-evil: b\r\nauthorization: b\r\n\r\n"
    assert b"200" in told(at, head(b"/v1/chat/completions", CHUNKED, b"trailer: x-evil\r\n") + CHUNK + trailer)
    assert not {"x-evil", "authorization", "trailer"} & at.upstream.asked[0][2].keys()


@pytest.mark.parametrize("form", ["with its length", "in chunks"])
def test_a_body_beyond_the_bound_passes_as_it_comes_and_is_not_recorded(stand: Make, form: str):
    at, large = stand(most_bytes=1 << 16), BODY + b" " * (1 << 18)
    if form == "in chunks":
        sent = head(b"/v1/chat/completions", CHUNKED) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(large), large)
    else:
        sent = head(b"/v1/chat/completions", b"content-length: %d\r\n" % len(large)) + large
    assert told(at, sent).startswith(b"HTTP/1.1 200 ")
    assert at.upstream.asked[0][3] == large and at.calls(0) == []


def test_a_client_that_leaves_within_its_body_asks_nothing(stand: Make):
    at = stand()
    host, _, port = at.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(head(b"/v1/chat/completions", LENGTH) + BODY[:9])
    assert told(at, PASSED["chunked"]).startswith(b"HTTP/1.1 200 ")
    assert [body for *_, body in at.upstream.asked] == [BODY]


def test_whoever_waits_to_be_asked_for_the_body_is(stand: Make):
    at = stand()
    sent = head(b"/v1/chat/completions", LENGTH, b"expect: 100-continue\r\nconnection: close\r\n")
    assert told(at, sent).startswith(b"HTTP/1.1 100 ")
    came = told(at, sent, BODY, to_the_end=True)
    assert b"HTTP/1.1 200 " in came and "expect" not in at.upstream.asked[-1][2]


def test_garbage_after_a_request_does_not_spoil_its_answer(stand: Make):
    at = stand(Fake(parts=[chat("Hello")[:9], 0.05, chat("Hello")[9:]]))
    came = told(at, PASSED["more than it said"], to_the_end=True)
    assert came.count(b"HTTP/1.1") == 1 and came.endswith(b"0\r\n\r\n")


def test_a_second_request_that_never_comes_whole_does_not_spoil_the_firsts_answer(
    stand: Make, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connection, "HEAD_S", 0.1)
    at = stand(Fake(parts=[0.4, chat("Hello")]))
    came = told(at, PASSED["chunked"] + head()[:40], to_the_end=True)
    assert came.startswith(b"HTTP/1.1 200 ") and came.endswith(b"0\r\n\r\n")


def test_a_second_request_that_is_none_does_not_spoil_the_firsts_answer(stand: Make):
    at = stand(Fake(parts=[chat("Hello")[:9], 0.05, chat("Hello")[9:]]))
    bad = head(b"/v1/chat/completions", CHUNKED) + b"zz\r\n"
    for before in (1, 2):
        came = told(at, PASSED["chunked"] * before + bad, to_the_end=True)
        first, *others, last = came.split(b"HTTP/1.1 ")[1:]
        assert all(answer.startswith(b"200 ") and answer.endswith(b"0\r\n\r\n") for answer in (first, *others))
        assert len(others) == before - 1 and last.startswith(b"400 ")


def test_a_second_request_may_still_be_coming_when_the_first_is_answered(stand: Make, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection, "LEFT_S", 0)
    at = stand()
    host, _, port = at.url.removeprefix("http://").partition(":")
    last = head(b"/v1/chat/completions", LENGTH, b"connection: close\r\n")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(PASSED["chunked"] + last + BODY[:9])
        came = b""
        while b"0\r\n\r\n" not in came:
            came += client.recv(1 << 16)
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):  # the connection is still open
            client.recv(1)
        client.settimeout(20)
        client.sendall(BODY[9:])
        while part := client.recv(1 << 16):
            came += part
    assert came.count(b"HTTP/1.1 200 ") == 2


def test_requests_one_after_the_other_are_answered_in_their_order(stand: Make):
    at = stand()
    last = head(b"/v1/chat/completions", LENGTH, b"connection: close\r\n") + BODY
    assert told(at, PASSED["chunked"] * 2 + last, to_the_end=True).count(b"HTTP/1.1 200 ") == 3


SLOW: dict[str, tuple[bytes, bytes]] = {
    "nothing": (b"", b""),
    "a part of a head": (head()[:40], b"HTTP/1.1 408 "),
    "the head of a second request": (head(b"/nowhere", method=b"GET") + head()[:40], b"HTTP/1.1 404 "),
    "a part of a body": (head(b"/v1/chat/completions", LENGTH) + BODY[:9], b"HTTP/1.1 408 "),
    "trailers": (head(b"/v1/chat/completions", CHUNKED) + CHUNK + b"0\r\nx-a: b\r\n", b"HTTP/1.1 408 "),
}


@pytest.mark.parametrize("name", SLOW)
def test_a_client_that_sends_no_further_is_waited_for_so_long_alone(
    stand: Make, monkeypatch: pytest.MonkeyPatch, name: str
):
    for module, bound in ((connection, "HEAD_S"), (connection, "LEFT_S"), (request, "BODY_S")):
        monkeypatch.setattr(module, bound, 0.1)
    at, (sent, answer) = stand(), SLOW[name]
    began = time.monotonic()
    came = told(at, sent, to_the_end=True)
    assert came.startswith(answer) if answer else came == b""
    assert time.monotonic() - began < 15 and at.upstream.asked == []


def test_a_client_that_reads_no_further_is_waited_for_so_long_alone(stand: Make, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection, "UNREAD_S", 0.1)
    at = stand(Fake(parts=[b" " * (1 << 20)] * 40 + [20.0]))
    host, _, port = at.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(head(b"/v1/chat/completions", LENGTH) + BODY)
        assert at.upstream.gone.wait(15)
