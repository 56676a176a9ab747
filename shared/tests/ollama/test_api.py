"""Speaking to an Ollama: a real one, and servers that misbehave as it or a proxy can."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from protege.common.loopback import is_loopback_url
from protege.errors import (
    BadInput,
    DoesNotFit,
    EngineBusy,
    EngineError,
    EngineTimeout,
    EngineUnreachable,
    NotServed,
    ResourceError,
)
from protege.ollama.address import address
from protege.ollama.api import Ollama
from protege.ollama.replies import numbers, tells_logprobs
from protege.serve import choose, find_ollama

HTML = b"<html><body>407 Proxy Authentication Required</body></html>"


@contextmanager
def behaving(behave: Callable[[BaseHTTPRequestHandler], object]) -> Iterator[Ollama]:
    """A server that answers every request so."""

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            behave(self)

        do_GET = do_POST = do_HEAD = do_DELETE = _do

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    client = Ollama(f"http://127.0.0.1:{server.server_port}")
    try:
        yield client
    finally:
        client.close()
        server.shutdown()
        server.server_close()


def replying(body: bytes, status: int = 200, kind: str = "application/x-ndjson") -> Callable[[Any], None]:
    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return behave


def lines(*parts: Any) -> bytes:
    return b"".join(json.dumps(part).encode() + b"\n" for part in parts)


TOKEN = {"model": "m", "response": "red", "done": False, "logprobs": [{"token": "red", "logprob": -0.1}]}
DONE = {"model": "m", "response": "", "done": True, "done_reason": "stop", "prompt_eval_count": 5, "eval_count": 2}


def ask(server: Ollama, timeout_s: float = 5.0) -> Any:
    return server.generate("m", "?", max_tokens=8, timeout_s=timeout_s)


def test_an_answer_is_put_together_from_its_lines() -> None:
    with behaving(replying(lines(TOKEN, {**TOKEN, "response": " or", "logprobs": []}, DONE))) as server:
        reply = ask(server)
    assert (reply.text, reply.tokens, reply.logprobs) == ("red or", ("red",), (-0.1,))
    assert (reply.input_tokens, reply.output_tokens, reply.done_reason) == (5, 2, "stop")


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (lines(TOKEN), 200, EngineUnreachable),  # no `done: true`
        (b"", 200, EngineUnreachable),
        (lines(TOKEN, {"error": "model runner has unexpectedly stopped"}), 200, EngineError),
        (lines(TOKEN, {"error": {"message": "an object"}}), 200, EngineError),
        (lines({"error": "server busy, please try again.  maximum pending requests exceeded"}), 503, EngineBusy),
        (lines({"error": "model 'm' not found"}), 404, NotServed),
        (lines({"error": "the input length exceeds the context length"}), 400, DoesNotFit),
        (lines({"error": '{"error":{"type":"exceed_context_size_error","message":"…"}}'}), 400, DoesNotFit),
        (lines({"error": "write /x: no space left on device"}), 500, ResourceError),
        (lines(TOKEN, {**DONE, "done_reason": "length"}), 200, DoesNotFit),  # before its longest: the context is full
        (lines(TOKEN, {**DONE, "done_reason": "unload"}), 200, EngineError),
        (lines({**TOKEN, "logprobs": [{"token": "red"}]}, DONE), 200, EngineError),
        (lines({**TOKEN, "logprobs": "none"}, DONE), 200, EngineError),
        (b"[1, 2]\n", 200, EngineError),
        (HTML, 200, EngineError),
        (HTML, 407, EngineError),
        (HTML, 502, EngineError),
    ],
)
def test_whatever_comes_is_an_answer_or_one_of_our_errors(body: bytes, status: int, error: type[Exception]) -> None:
    with behaving(replying(body, status)) as server, pytest.raises((EngineError, ResourceError)) as caught:
        ask(server)
    assert type(caught.value) is error


def test_an_error_never_quotes_what_the_server_said() -> None:
    said = {"error": "template: cannot render 'my card is 4111 1111 1111 1111'"}
    with behaving(replying(lines(said), 500)) as server, pytest.raises(EngineError) as caught:
        ask(server)
    assert "4111" not in str(caught.value)


def test_a_server_that_drips_holds_the_caller_no_longer_than_its_time() -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in itertools.repeat(None, 100):
            try:
                handler.wfile.write(lines(TOKEN))
            except OSError:
                return
            time.sleep(0.05)

    begin_s = time.monotonic()
    with behaving(drip) as server, pytest.raises(EngineTimeout):
        ask(server, timeout_s=0.4)
    assert time.monotonic() - begin_s < 2.0


@pytest.mark.parametrize("status", [200, 407, 502])
def test_a_proxy_that_answers_html_is_told_with_the_remedy(
    status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    with behaving(replying(HTML, status, "text/html")) as server:
        asked: Sequence[Callable[[], object]] = (
            server.version,
            server.models,
            server.loaded,
            lambda: server.show("m"),
            lambda: server.create("m", "0" * 64, parameters={}),
            lambda: server.load("m", keep_alive="1m", timeout_s=1),
        )
        for call in asked:
            with pytest.raises(EngineError, match=r"no Ollama.*proxy.*OLLAMA_HOST"):
                call()
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        assert find_ollama() is None
        with pytest.raises(EngineError, match="OLLAMA_HOST"):
            choose("ollama", "merged")


def test_nobody_there_is_told_with_the_remedy() -> None:
    for call in (Ollama("http://127.0.0.1:9").version, Ollama("http://127.0.0.1:9").loaded):
        with pytest.raises(EngineUnreachable, match=r"No Ollama answers.*ollama serve"):
            call()


def test_a_version_too_old_for_log_probabilities_is_not_taken_unasked_and_refused_when_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for version, unasked in (("0.12.10", False), ("0.12.11", True), ("0.0.0", False), ("0.33.0-rc2", True)):
        with behaving(replying(json.dumps({"version": version}).encode())) as server:
            monkeypatch.setenv("OLLAMA_HOST", server.url)
            assert (find_ollama() is not None) is unasked
            if version == "0.12.10":
                with pytest.raises(EngineError, match=r"0\.12\.10.*no log-probabilities.*Update"):
                    choose("ollama", "merged")
            else:
                assert choose("ollama", "merged").name == "ollama"
            assert choose("embedded", "merged").name == "embedded"
            assert choose("auto", "lora").name == "embedded"
            assert choose("auto", "merged").name == ("ollama" if unasked else "embedded")
    with pytest.raises(BadInput, match="LoRA"):
        choose("ollama", "lora")


@pytest.mark.parametrize(
    ("setting", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("box", "http://box:11434"),
        ("box:1234", "http://box:1234"),
        (":1234", "http://127.0.0.1:1234"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:80", "http://127.0.0.1:80"),
        ("http://box", "http://box:80"),
        ("https://box/ollama/", "https://box:443/ollama"),
        ("[::1]:1234", "http://[::1]:1234"),
        ('"box:1234"', "http://box:1234"),
        ("::1", "http://[::1]:11434"),
        ("box:port", "http://box:11434"),
        ("box:99999", "http://box:11434"),
    ],
)
def test_an_address_is_read_as_ollamas_own_tools_read_it(
    setting: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", setting)
    assert address() == url


@pytest.mark.parametrize("setting", ["ftp://box", "http://[::1"])
def test_what_is_no_address_is_refused(setting: str) -> None:
    with pytest.raises(BadInput, match="no address"):
        address(setting)


def test_only_this_machine_is_loopback() -> None:
    assert all(
        map(is_loopback_url, ("http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "http://127.9.9.9:1"))
    )
    assert not any(
        map(
            is_loopback_url,
            ("http://10.0.0.1:1", "http://127.0.0.1.evil.org:1", "http://box:1", "http://127.0.0.1:1@box"),
        )
    )


def test_versions_are_compared_by_their_numbers() -> None:
    assert numbers("0.24.0") < numbers("v0.34.1-rc0")
    assert tells_logprobs("dev") is None and tells_logprobs("0.0.0") is None


def test_a_real_one_chats_with_a_schema_and_tells_usage_and_timings(in_a_real_ollama: tuple[Ollama, str]) -> None:
    server, model = in_a_real_ollama
    schema = {"type": "object", "properties": {"colour": {"type": "string", "enum": ["red", "blue"]}}}
    schema |= {"required": ["colour"], "additionalProperties": False}
    messages = [{"role": "user", "content": "Name a colour as JSON."}]
    reply = server.chat(model, messages, max_tokens=60, timeout_s=60, format=schema)
    assert json.loads(reply.text)["colour"] in ("red", "blue")
    assert reply.input_tokens > 5 and reply.output_tokens >= len(reply.tokens) > 3
    assert all(logprob <= 0 for logprob in reply.logprobs)
    assert reply.total_ms > reply.load_ms >= 0


def test_a_real_one_renders_a_chat_as_the_raw_prompt_and_answers_both_alike(
    in_a_real_ollama: tuple[Ollama, str],
) -> None:
    server, model = in_a_real_ollama
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name a colour."}]
    rendered = server.rendered(model, messages)
    assert rendered is not None
    chat = server.chat(model, messages, max_tokens=12, timeout_s=60)
    raw = server.generate(model, rendered, max_tokens=12, timeout_s=60)
    assert (chat.text, chat.input_tokens) == (raw.text, raw.input_tokens)


def test_a_real_one_refuses_tools_where_the_template_has_none(in_a_real_ollama: tuple[Ollama, str]) -> None:
    server, model = in_a_real_ollama
    tool = {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}
    messages = [{"role": "user", "content": "Find it."}]
    try:
        reply = server.chat(model, messages, max_tokens=20, timeout_s=60, tools=[tool])
    except EngineError as error:
        assert "without tools" in error.fact
    else:  # newer versions let llama.cpp make a prompt of them
        assert isinstance(reply.tool_calls, tuple) and reply.input_tokens > 0


@pytest.fixture(scope="module")
def in_a_real_ollama(ollama_server: Any, smollm2: Any) -> tuple[Ollama, str]:
    from protege.serve.ollama.models import make

    server = ollama_server.client()
    make(server, "protege/api-test:v1", smollm2, parameters={"num_ctx": 1024, "temperature": 0})
    return server, "protege/api-test:v1"
