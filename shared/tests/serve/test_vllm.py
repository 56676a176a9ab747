"""vLLM passes the tests of every engine, by a server that speaks its protocol; no GPU is needed."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from fake_vllm import END, FakeVllm
from protege.errors import (
    BadInput,
    BaseModelError,
    EngineBusy,
    EngineError,
    EngineTimeout,
    EngineUnreachable,
    NotServed,
    ProtegeError,
)
from protege.serve import Engine, choose, engine_kind, open_engine
from protege.serve.vllm.client import Client, address
from protege.serve.vllm.kind import VllmEngine
from protege.specialist import Base, Specialist
from protege.testing.engines import EngineConformance, EngineKindConformance, asked, complete
from protege.workspace import Workspace

TEMPLATE = (
    "{% for m in messages %}<|start|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


@pytest.fixture
def base(tmp_path: Path) -> Base:
    folder = tmp_path / "model"
    folder.mkdir()
    return Base(
        "tiny",
        str(folder),
        "d" * 64,
        "huggingface",
        "llama",
        "MIT",
        4096,
        TEMPLATE,
        "<|start|>",
        (END,),
        (END, "<|start|>"),
    )


@pytest.fixture
def server(base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeVllm]:
    (tmp_path / "loras").mkdir()
    fake = FakeVllm(base.path, tmp_path / "loras")
    monkeypatch.setenv("PROTEGE_VLLM", fake.url)
    monkeypatch.setenv("PROTEGE_VLLM_LORAS", str(fake.loras))
    yield fake
    fake.stop()


@pytest.fixture
def workspace(tmp_path: Path, server: FakeVllm) -> Workspace:
    return Workspace(tmp_path / "home")


@pytest.fixture
def candidate(workspace: Workspace, base: Base) -> Specialist:
    return made(workspace, base, "sp-one")


def made(workspace: Workspace, base: Base, name: str) -> Specialist:
    """A specialist with LoRA weights in peft's form; what stands in them, nobody reads here."""
    files = {"lora": "lora"}
    one = Specialist(name, f"{name}-v1", "task", 1, base, "slots", files=files, serve_as="lora", max_tokens=200)
    folder = workspace.specialist_folder(one) / "lora"
    folder.mkdir(parents=True)
    config = {"peft_type": "LORA", "r": 16, "base_model_name_or_path": base.path}
    (folder / "adapter_config.json").write_bytes(orjson.dumps(config))
    (folder / "adapter_model.safetensors").write_bytes(name.encode())
    workspace.save_specialist(one)
    return one


class TestVllm(EngineConformance):
    @pytest.fixture
    def engine(self, workspace: Workspace, specialist: Specialist) -> Iterator[Engine]:
        with contextlib.closing(open_engine(workspace, specialist)) as engine:
            yield engine

    @pytest.fixture
    def specialist(self, workspace: Workspace, candidate: Specialist) -> Specialist:
        return engine_kind("vllm").place(workspace, candidate, keep_alive="5m")


class TestVllmKind(EngineKindConformance):
    kind = "vllm"

    @pytest.fixture
    def workspace(self, tmp_path: Path, server: FakeVllm) -> Workspace:
        return Workspace(tmp_path / "home")

    @pytest.fixture
    def candidate(self, workspace: Workspace, base: Base) -> Specialist:
        return made(workspace, base, "sp-kind")


def test_many_specialists_of_one_base_are_told_apart_and_only_folders_are_left(
    workspace: Workspace, base: Base, server: FakeVllm
) -> None:
    kind = engine_kind("vllm")
    placed = [kind.place(workspace, made(workspace, base, f"sp-{n}"), keep_alive="5m") for n in range(5)]
    with contextlib.closing(open_engine(workspace, placed[0])) as engine:
        texts = {complete(engine, one, "Hi.").text for one in placed}
        assert len(texts) == len({engine.fingerprint(one) for one in placed}) == 5
    assert {path.name for path in server.loras.iterdir()} == {one.placed["vllm"]["model"] for one in placed}
    body = server.asked[-1]
    assert body["temperature"] == 0 and body["stop"] == [END]
    assert not body["prompt"].startswith("<|start|><|start|>"), "its tokenizer puts the begin token there"
    assert all(kind.remove(workspace, one) for one in placed) and not list(server.loras.iterdir())


def test_another_version_base_or_weights_are_another_fingerprint(
    workspace: Workspace, candidate: Specialist, server: FakeVllm
) -> None:
    kind = engine_kind("vllm")
    placed = kind.place(workspace, candidate, keep_alive="5m")
    with contextlib.closing(open_engine(workspace, placed)) as engine:
        before = engine.fingerprint(placed)
        server.version = "0.21.0"
        assert engine.fingerprint(placed) != before
        with pytest.raises(EngineError, match="another vLLM"):
            kind.bring_back(workspace, placed, before)
        server.name = "other"
        with pytest.raises(NotServed, match="another base"):
            engine.fingerprint(placed)


@pytest.mark.parametrize(
    ("fault", "error"),
    [(503, EngineBusy), (429, EngineBusy), (500, EngineError), (400, EngineError), (-1, EngineUnreachable)],
)
def test_faults_are_told_by_what_a_caller_does_next(
    fault: int, error: type[Exception], workspace: Workspace, candidate: Specialist, server: FakeVllm
) -> None:
    placed = engine_kind("vllm").place(workspace, candidate, keep_alive="5m")
    with contextlib.closing(open_engine(workspace, placed)) as engine:
        server.fault = fault
        with pytest.raises(error):
            complete(engine, placed, "Hi.")
        server.fault = 0
        assert complete(engine, placed, "Hi.").text


def test_what_it_cannot_serve_is_refused_before_anything_is_copied(
    workspace: Workspace, candidate: Specialist, server: FakeVllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = engine_kind("vllm")
    with pytest.raises(BadInput, match="LoRA weights over its base"):
        choose("vllm", "merged")
    wrong = {
        "a GGUF file": replace(candidate, base=replace(candidate.base, format="gguf")),
        "serves": replace(candidate, base=replace(candidate.base, path="/another/model")),
        "no LoRA weights": replace(candidate, files={"gguf": "model.gguf"}),
    }
    for message, specialist in wrong.items():
        with pytest.raises((BaseModelError, EngineError), match=message):
            kind.place(workspace, specialist, keep_alive="5m")
    assert not list(server.loras.iterdir())
    monkeypatch.delenv("PROTEGE_VLLM_LORAS")
    with pytest.raises(BadInput, match="PROTEGE_VLLM_LORAS"):
        choose("vllm", "lora")


def test_a_key_is_sent_and_a_server_elsewhere_is_asked_only_where_it_is_named(
    workspace: Workspace, candidate: Specialist, server: FakeVllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.key = "secret"
    with pytest.raises(ProtegeError):
        engine_kind("vllm").place(workspace, candidate, keep_alive="5m")
    monkeypatch.setenv("PROTEGE_VLLM_KEY", "secret")
    assert engine_kind("vllm").place(workspace, candidate, keep_alive="5m").address == server.url
    with pytest.raises(EngineError, match="elsewhere"):
        Client("http://192.0.2.1:8000")


def test_a_model_that_is_gone_is_brought_back(workspace: Workspace, candidate: Specialist, server: FakeVllm) -> None:
    kind = engine_kind("vllm")
    placed = kind.place(workspace, candidate, keep_alive="5m")
    with contextlib.closing(open_engine(workspace, placed)) as engine:
        fingerprint = engine.fingerprint(placed)
        kind.remove(workspace, placed)
        with pytest.raises(NotServed):
            engine.complete(placed, asked(placed, "Hi."), timeout_s=5)
        assert kind.bring_back(workspace, placed, fingerprint) == placed
        assert complete(engine, placed, "Hi.").text


ODD_LOGPROBS = {"tokens": ["a", END], "token_logprobs": [-0.1, -0.1], "top_logprobs": None}


@pytest.mark.parametrize(
    "choice",
    [
        {"text": None},
        {"logprobs": None},
        {"logprobs": {**ODD_LOGPROBS, "token_logprobs": [-0.1]}},
        {"logprobs": {**ODD_LOGPROBS, "token_logprobs": ["nan", -0.1]}},
        {"logprobs": {**ODD_LOGPROBS, "token_logprobs": [None, -0.1]}},
        {"logprobs": {**ODD_LOGPROBS, "tokens": ["a", "b"]}},
        {"logprobs": {**ODD_LOGPROBS, "top_logprobs": [1, 2]}},
    ],
)
def test_an_answer_that_is_none_is_an_error_and_no_text(choice: dict[str, object], server: FakeVllm) -> None:
    whole = {"text": "a", "finish_reason": "stop", "logprobs": ODD_LOGPROBS, **choice}
    server.instead["/v1/completions"] = {"choices": [whole], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    with contextlib.closing(Client(server.url)) as client, pytest.raises(EngineError, match="lacks fields"):
        client.complete("base", "x", (END,), max_tokens=2, timeout_s=5)


@pytest.mark.parametrize("answer", [{}, {"data": 1}, {"data": [1]}, {"data": [{"id": "x", "max_model_len": "x"}]}])
def test_another_server_at_its_address_is_told(answer: object, workspace: Workspace, server: FakeVllm) -> None:
    server.instead = dict.fromkeys(("/version", "/v1/models", "/tokenize"), answer)
    with contextlib.closing(Client(server.url)) as client:
        for ask in (client.version, client.base, lambda: client.adds_tokens("base")):
            with pytest.raises(EngineError):
                ask()
        assert not VllmEngine().answers(server.url)
        assert [finding.ok for finding in engine_kind("vllm").findings(workspace.home)] == [False]


def test_an_answer_without_an_end_is_not_kept(server: FakeVllm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protege.serve.vllm.client.MOST_BYTES", 1000)
    server.instead["/version"] = {"version": "x" * 2000}
    with contextlib.closing(Client(server.url)) as client, pytest.raises(EngineError, match="without an end"):
        client.version()


def test_nothing_is_left_where_it_could_not_be_placed(
    workspace: Workspace, candidate: Specialist, server: FakeVllm
) -> None:
    server.instead["/tokenize"] = {}
    with pytest.raises(EngineError):
        engine_kind("vllm").place(workspace, candidate, keep_alive="5m")
    assert not list(server.loras.iterdir())


def test_a_key_goes_to_the_server_that_is_named_alone_and_never_stands_in_an_address(
    server: FakeVllm, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.key = "secret"
    monkeypatch.setenv("PROTEGE_VLLM_KEY", "secret")
    with contextlib.closing(Client(server.url)) as client:
        assert client.adds_tokens("base")
        monkeypatch.setenv("PROTEGE_VLLM", "http://192.0.2.1:8000")
        with pytest.raises(EngineError, match="401"):
            client.adds_tokens("base")
    for named in ("http://me:secret@127.0.0.1:8000", "http://127.0.0.1:8000?key=secret", "ftp://x"):
        monkeypatch.setenv("PROTEGE_VLLM", named)
        with pytest.raises(BadInput) as refused:
            address()
        assert "secret" not in str(refused.value)


def test_a_server_that_drips_its_headers_holds_the_caller_no_longer_than_its_time() -> None:
    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            for _ in range(1000):
                connection.sendall(b"X-More: 1\r\n")
                time.sleep(0.02)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=drip, args=(listening,), daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        began = time.perf_counter()
        with contextlib.closing(Client(url)) as client, pytest.raises(EngineTimeout):
            client.version(timeout_s=0.3)
        assert time.perf_counter() - began < 10, "it would drip for 20 seconds"
