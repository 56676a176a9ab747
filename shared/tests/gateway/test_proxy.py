"""The gateway passes bytes through as they come, records calls, and lets a specialist answer in each dialect."""

from __future__ import annotations

import gzip
import json
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import httpx
import pytest
from gateways import CLIENT, Fake, Stand, chat
from gateways import stand as stand
from protege.call import Attempt, Request
from protege.gateway.settings import Upstream
from protege.route import Outcome

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
Make = Callable[..., Stand]


def post(at: Stand, path: str = "/v1/chat/completions", body: Any = CHAT, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return CLIENT.post(at.url + path, content=content, headers=headers)


def raw(at: Stand, path: str, body: bytes, **headers: str) -> tuple[int, httpx.Headers, bytes]:
    """The answer's bytes, as they came over the wire."""
    with CLIENT.stream("POST", at.url + path, content=body, headers=headers) as answer:
        return answer.status_code, answer.headers, b"".join(answer.iter_raw())


def test_a_request_and_its_answer_pass_through_byte_for_byte(stand: Make):
    odd = b'{ "model":"m", "messages" : [{"role":"user","content":"h\\u00ef"}] , "odd": 1e400 }\n'
    fake = Fake(
        headers=[(b"content-type", b"application/json; charset=x"), (b"X-Odd", b"\xe9"), (b"set-cookie", b"a=b")]
    )
    at = stand(fake)
    status, headers, body = raw(
        at, "//v1/v1/chat/completions?a=%2f&b", odd, **{"x-my": "1", "authorization": "Bearer k"}
    )
    assert (status, body) == (200, chat("Hello"))
    assert headers["x-odd"] == "é" and headers["set-cookie"] == "a=b" and "server" not in headers
    method, path, sent, received = at.upstream.asked[0]
    assert (method, path, received) == ("POST", "/v1/chat/completions?a=%2f&b", odd)
    assert (sent["x-my"], sent["authorization"]) == ("1", "Bearer k")
    assert not [name for name in sent if name.startswith("x-protege")]
    (call,) = at.calls()
    assert call.response["content"] == "Hello" and call.answered_by == "m-1" and call.input_tokens == 3


CODINGS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "identity": lambda body: body,
}  # fmt: skip


@pytest.mark.parametrize("coding", CODINGS)
def test_a_compressed_answer_stays_compressed_and_is_recorded(stand: Make, coding: str):
    packed: bytes = CODINGS[coding](chat("Hello"))
    headers = [(b"content-type", b"application/json"), (b"content-encoding", coding.encode())]
    at = stand(Fake(headers=headers, parts=[packed[:7], packed[7:]]))
    assert raw(at, "/v1/chat/completions", json.dumps(CHAT).encode())[2] == packed
    assert at.calls()[0].response["content"] == "Hello"


STREAM = [
    b": ping\n\n",
    b'data: {"model":"m-1","choices":[{"index":0,"delta":{"content":"Good "}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"day"},"finish_reason":null}]}\n\nda',
    b'ta: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
]
SSE = [(b"content-type", b"text/event-stream")]


def test_a_stream_passes_as_it_comes_and_is_recorded_whole(stand: Make):
    at = stand(Fake(headers=SSE, parts=[*STREAM[:2], 0.3, *STREAM[2:]]))
    began, came = time.monotonic(), []
    with CLIENT.stream("POST", f"{at.url}/v1/chat/completions", json={**CHAT, "stream": True}) as answer:
        for part in answer.iter_raw():
            came.append((time.monotonic() - began, part))
    assert b"".join(part for _, part in came) == b"".join(STREAM)
    assert came[-1][0] - came[0][0] > 0.2
    (call,) = at.calls()
    assert (call.response["content"], call.finish_reason) == ("Good day", "stop")
    assert (call.input_tokens, call.output_tokens, call.tokens_estimated) == (1, 2, True)  # no usage was told


def test_a_client_that_goes_cancels_the_upstream_and_what_came_is_recorded(stand: Make):
    at = stand(Fake(headers=SSE, parts=[*STREAM[:2], 20.0]))
    with CLIENT.stream("POST", f"{at.url}/v1/chat/completions", json={**CHAT, "stream": True}) as answer:
        came = answer.iter_raw()
        while b"Good " not in next(came):
            pass
    assert at.upstream.gone.wait(5)
    (call,) = at.calls()
    assert call.response["content"] == "Good " and call.error == "the client left"


def test_a_client_that_goes_once_the_end_is_told_has_its_answer(stand: Make):
    at = stand(Fake(headers=SSE, parts=[*STREAM, 20.0]))
    with CLIENT.stream("POST", f"{at.url}/v1/chat/completions", json={**CHAT, "stream": True}) as answer:
        came = answer.iter_raw()
        while b"[DONE]" not in next(came):
            pass
    (call,) = at.calls()
    assert (call.error, call.response["content"], call.finish_reason) == (None, "Good day", "stop")


LINES = [(b"content-type", b"application/x-ndjson")]
CUT: dict[str, tuple[str, dict[str, Any], list[tuple[bytes, bytes]], bytes]] = {
    "ollama": ("/api/chat", CHAT, LINES, b'{"message":{"role":"assistant","content":"Good "},"done":false}\n'),
    "plain": ("/v1/chat/completions", {**CHAT, "stream": True}, [(b"content-type", b"text/plain")], STREAM[1]),
}


@pytest.mark.parametrize("name", CUT)
def test_a_stream_of_any_kind_without_its_end_is_no_answer(stand: Make, name: str):
    path, body, headers, part = CUT[name]
    at = stand(Fake(headers=headers, parts=[part]))
    assert post(at, path, body).content == part
    (call,) = at.calls()
    assert "before its end" in call.error and call.response["content"] == "Good "


def test_an_upstream_that_breaks_off_breaks_the_client_off(stand: Make):
    at = stand(Fake(headers=SSE, parts=[*STREAM[:2]], breaks=True))
    with pytest.raises(httpx.RemoteProtocolError):
        post(at, body={**CHAT, "stream": True})
    (call,) = at.calls()
    assert "broke off" in call.error and call.response["content"] == "Good "


def test_a_stream_without_its_end_is_not_recorded_as_an_answer(stand: Make):
    at = stand(Fake(headers=SSE, parts=[*STREAM[:2]]))
    assert post(at, body={**CHAT, "stream": True}).status_code == 200
    (call,) = at.calls()
    assert "before its end" in call.error and call.response["content"] == "Good "


@pytest.mark.parametrize("status", [400, 429, 500, 529])
def test_an_error_of_the_upstream_passes_with_its_headers_and_is_recorded_as_one(stand: Make, status: int):
    headers = [(b"content-type", b"text/html"), (b"retry-after", b"7"), (b"x-should-retry", b"true")]
    at = stand(Fake(status, headers, [b"<html>secret text</html>"]))
    answer = post(at)
    assert (answer.status_code, answer.headers["retry-after"], answer.text) == (status, "7", "<html>secret text</html>")
    (call,) = at.calls()
    assert call.error == f"HTTP {status}" and call.response is None


def test_an_upstream_that_is_away_is_told_in_the_form_that_the_client_knows(stand: Make):
    at = stand(
        upstreams=(Upstream("openai", "", "http://127.0.0.1:9"), Upstream("anthropic", "", "http://127.0.0.1:9"))
    )
    answer = post(at)
    assert answer.status_code == 502 and "protege gateway" in answer.json()["error"]["message"]
    answer = post(at, "/v1/messages", {**CHAT, "max_tokens": 5})
    assert answer.status_code == 502 and answer.json()["type"] == "error"
    assert ["cannot be reached" in call.error for call in at.calls(2)] == [True, True]


def test_an_upstream_that_hangs_is_waited_for_no_longer_than_set(stand: Make):
    at = stand(Fake(parts=[5.0]), wait_s=0.2)
    began = time.monotonic()
    with pytest.raises(httpx.RemoteProtocolError):  # its head has come, so the status is told already
        post(at)
    assert time.monotonic() - began < 4
    assert "in time" in at.calls()[0].error


def test_what_is_no_call_passes_and_is_not_recorded(stand: Make):
    at = stand(Fake(parts=[b'{"data":[]}']))
    assert CLIENT.get(f"{at.url}/v1/models", headers={"anthropic-version": "x"}).json() == {"data": []}
    assert post(at, "/v1/embeddings", {"model": "e", "input": [[1, 2]]}).json() == {"data": []}
    assert post(at, "/v1/files", b"\x00\x01\xff").json() == {"data": []}
    assert CLIENT.delete(f"{at.url}/v1/files/f-1").status_code == 200
    assert [body for *_, body in at.upstream.asked] == [b"", b'{"model": "e", "input": [[1, 2]]}', b"\x00\x01\xff", b""]
    time.sleep(0.1)
    assert at.calls(0) == []


def test_nothing_is_forwarded_where_no_upstream_is_set(stand: Make):
    at = stand()
    assert CLIENT.get(f"{at.url}/etc/passwd").status_code == 404
    assert post(at, "/v1/chat/completions", **{"x-protege-upstream": "http://evil.example"}).status_code == 404
    assert at.upstream.asked == []
    only = stand(upstreams=(Upstream("openai", "", "http://127.0.0.1:9"),))
    assert post(only, "/v1/messages", {**CHAT, "max_tokens": 5}).status_code == 404


def test_nothing_is_tried_again(stand: Make):
    at = stand(Fake(parts=[b"{}"]))
    for _ in range(2):
        assert CLIENT.get(f"{at.url}/v1/models").status_code == 200
    at.upstream.breaks, at.upstream.parts = True, []
    with pytest.raises(httpx.RemoteProtocolError):
        CLIENT.get(f"{at.url}/v1/models")
    assert len(at.upstream.asked) == 3


def test_a_request_of_many_parts_passes_and_holds_nobody_up(stand: Make):
    at = stand()
    many = b'{"model":"m","messages":[' + b"{}," * 400_000 + b"{}]}"
    began = time.monotonic()
    assert post(at, body=many).status_code == 200
    assert time.monotonic() - began < 5
    assert at.upstream.asked[0][3] == many


def test_a_redirect_is_the_clients_to_follow(stand: Make):
    at = stand(Fake(307, [(b"location", b"http://169.254.169.254/latest")], []))
    assert post(at).headers["location"] == "http://169.254.169.254/latest"
    assert len(at.upstream.asked) == 1


def test_a_body_that_cannot_be_read_or_is_too_large_passes_and_is_not_recorded(stand: Make):
    at = stand(Fake(parts=[b"{}"]), most_bytes=2000)
    for body in (b"{", b"[]", b'{"model":"m"}', b'{"messages":' + b"[" * 1500, json.dumps(CHAT).encode() + b" " * 4000):
        assert post(at, body=body).status_code == 200
        assert at.upstream.asked[-1][3] == body
    time.sleep(0.1)
    assert at.calls(0) == []


def test_no_key_of_the_caller_is_stored(stand: Make):
    at = stand()
    keys = {
        "authorization": "Bearer sk-aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "x-api-key": "k-bbbbbbbbbbbb",
        "api-key": "cccccc9",
    }
    post(at, "/v1/chat/completions?key=dddddd9", **keys)
    at.calls()
    held = b"".join(file.read_bytes() for file in at.home.rglob("*") if file.is_file())
    assert not any(part in held for part in (b"aaaaaaaa", b"bbbbbbbb", b"cccccc9", b"dddddd9"))


def test_web_pages_may_not_ask(stand: Make):
    at = stand()
    assert post(at, origin="https://evil.example").status_code == 403
    assert post(at, host="evil.example:8484").status_code == 403
    allowed = stand(origins=("https://mine.example",))
    assert post(allowed, origin="https://mine.example").status_code == 200
    routed = stand(origins=("https://mine.example",), router=Keeps({"role": "assistant", "content": "x"}))
    for path in ("/v1/chat/completions", "/nowhere"):
        answer = post(routed, path, origin="https://mine.example")
        assert answer.headers["access-control-allow-origin"] == "https://mine.example"
    assert at.upstream.asked == []


class Keeps:
    """Answers every request with this message."""

    def __init__(self, message: dict[str, Any] | None) -> None:
        self.message = message
        self.asked: list[Request] = []

    def answer(self, request: Request, run: str | None = None) -> Outcome:
        self.asked.append(request)
        if self.message is None:
            return Outcome(None, None, "no task")
        attempt = Attempt("s1@1", "kept", "kept", 0.99, 1.0, None)
        return Outcome(self.message, attempt, "kept", "s1", "s1@1", "t", 7, 2)

    async def aanswer(self, request: Request, run: str | None = None) -> Outcome:
        return self.answer(request, run)


REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "openai": ("/v1/chat/completions", CHAT),
    "responses": ("/v1/responses", {"model": "m", "input": "hi", "store": False}),
    "completions": ("/v1/completions", {"model": "m", "prompt": "hi"}),
    "azure": ("/openai/deployments/m/chat/completions?api-version=1", CHAT),
    "anthropic": ("/v1/messages", {**CHAT, "max_tokens": 5}),
    "gemini": ("/v1beta/models/m:generateContent", {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
    "ollama": ("/api/chat", {**CHAT, "stream": False}),
    "generate": ("/api/generate", {"model": "m", "prompt": "hi", "stream": False}),
}


@pytest.mark.parametrize("front", REQUESTS)
def test_a_specialist_answers_in_each_dialect_and_the_upstream_is_not_asked(stand: Make, front: str):
    path, body = REQUESTS[front]
    router = Keeps({"role": "assistant", "content": "from a specialist"})
    at = stand(router=router)
    answer = post(at, f"/a/clerk{path}", body)
    assert answer.status_code == 200 and "from a specialist" in answer.text
    assert answer.headers["x-protege-answered-by"] == "s1@1" and at.upstream.asked == []
    (call,) = at.calls()
    assert (call.answered_by, call.agent, call.decision) == ("s1@1", "clerk", "kept")
    assert answer.headers["request-id" if front == "anthropic" else "x-request-id"] == call.id
    assert (call.input_tokens, call.output_tokens) == (7, 2)
    assert [dict(message) for message in router.asked[0].messages] == [{"role": "user", "content": "hi"}]


def test_a_specialist_answers_a_stream_with_a_stream(stand: Make):
    at = stand(router=Keeps({"role": "assistant", "content": "from a specialist"}))
    answer = post(at, body={**CHAT, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n") and "from a specialist" in answer.text


def test_what_only_the_teacher_can_answer_goes_to_it(stand: Make):
    router = Keeps({"role": "assistant", "content": "no"})
    at = stand(router=router)
    assert post(at, body={**CHAT, "n": 2}).json()["choices"][0]["message"]["content"] == "Hello"
    assert router.asked == []
    assert at.calls()[0].decision == "asks for several answers"


class Broken:
    def answer(self, request: Request, run: str | None = None) -> Outcome:
        raise RuntimeError("no")

    async def aanswer(self, request: Request, run: str | None = None) -> Outcome:
        raise RuntimeError("no")


def test_trouble_in_the_route_or_the_recorder_gives_the_teachers_answer(stand: Make, tmp_path: Any):
    assert post(stand(router=Broken())).text == chat("Hello").decode()
    blocked = tmp_path / "a file"
    blocked.write_text("no folder")
    assert post(stand(home=blocked / "home")).text == chat("Hello").decode()


def test_an_answer_that_the_dialect_cannot_hold_is_the_teachers_to_give(stand: Make):
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{no json"}}
    at = stand(router=Keeps({"role": "assistant", "content": None, "tool_calls": [call]}))
    assert post(at).text == chat("Hello").decode()
    assert at.calls()[0].decision == "invalid structure"


def test_many_clients_at_once_get_each_its_own(stand: Make):
    at = stand()
    wrong: list[Any] = []

    def ask(number: int) -> None:
        for _ in range(5):
            if post(at, body={**CHAT, "user": str(number)}).status_code != 200:
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and len(at.calls(80)) == 80


def test_an_idempotency_key_makes_the_tries_of_a_request_one_call(stand: Make):
    at = stand()
    for _ in range(3):
        post(at, **{"idempotency-key": "try-1"})
    post(at, body={**CHAT, "user": "another"}, **{"idempotency-key": "try-1"})
    assert len(at.calls(2)) == 2


def test_figures_tell_who_answered(stand: Make):
    at = stand()
    post(at)
    CLIENT.get(f"{at.url}/nowhere")
    told = CLIENT.get(f"{at.url}/protege/metrics").text
    assert 'protege_gateway_requests_total{by="upstream",front="openai"}' in told
    assert 'protege_gateway_requests_total{by="gateway",front="none"}' in told


def test_a_long_answer_is_recorded_as_one_though_its_client_has_gone_by_then(stand: Make):
    long = chat("word " * 200_000)
    at = stand(Fake(parts=[long]))
    for _ in range(3):
        assert post(at).content == long
    calls = at.calls(3)
    assert [call.error for call in calls] == [None] * 3 and len(calls[0].response["content"]) == 1_000_000
