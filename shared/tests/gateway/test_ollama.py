"""A real Ollama behind the gateway, asked by its own client and by OpenAI's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from gateways import CLIENT, Stand
from gateways import stand as stand
from ollama import Client, ResponseError
from protege.common.digest import sha256_of
from protege.gateway.settings import Upstream
from tiny_models import to_gguf, write_folder

MODEL = "gateway-tiny"
ASKED: list[dict[str, str]] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Is it spam?"}]
OPTIONS = {"temperature": 0, "seed": 1, "num_predict": 4, "num_ctx": 256}


@pytest.fixture(scope="module")
def server(ollama_server: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of an Ollama that has a tiny model."""
    folder = tmp_path_factory.mktemp("tiny")
    path = to_gguf(write_folder(folder / "hf", "llama"), folder / "model.gguf")
    api, digest = ollama_server.client(), sha256_of(path)
    api.send_blob(path, digest)
    api.create(
        MODEL, digest, parameters={"num_ctx": 256, "num_thread": 1}
    )  # several wait for each other where others run
    return ollama_server.url


@pytest.fixture
def at(stand: Callable[..., Stand], server: str) -> Stand:
    return stand(upstreams=(Upstream("ollama", "", server), Upstream("openai", "", f"{server}/v1")))


def said(parts: Any, read: Callable[[Any], str]) -> str:
    return "".join(map(read, parts))


def test_its_own_client_gets_the_same_through_the_gateway_and_all_is_recorded(at: Stand, server: str) -> None:
    texts: list[tuple[str, ...]] = []
    for url in (server, f"{at.url}/a/clerk"):
        client = Client(host=url)
        chat: dict[str, Any] = {"model": MODEL, "messages": ASKED, "options": OPTIONS}
        generate: dict[str, Any] = {"model": MODEL, "prompt": "Is it spam?", "options": OPTIONS}
        whole, made = client.chat(**chat), client.generate(**generate)
        assert whole.done_reason == made.done_reason == "length" and whole.eval_count == 4
        texts.append(
            (
                str(whole.message.content),
                made.response,
                said(client.chat(**chat, stream=True), lambda part: part.message.content or ""),
                said(client.generate(**generate, stream=True), lambda part: part.response),
            )
        )
    assert texts[0] == texts[1] and texts[1][0] == texts[1][2] != ""
    calls = at.calls(4)
    assert sorted(call.response["content"] for call in calls) == sorted(texts[0])
    told = {(call.model, call.agent, call.finish_reason, call.output_tokens, call.tokens_estimated) for call in calls}
    assert told == {(MODEL, "clerk", "length", 4, False)} and all((call.input_tokens or 0) > 3 for call in calls)


def test_openais_client_gets_the_same_and_all_is_recorded(at: Stand, server: str) -> None:
    asked: dict[str, Any] = {"model": MODEL, "messages": ASKED, "temperature": 0, "seed": 1, "max_tokens": 4}
    texts: list[tuple[str, ...]] = []
    for url in (f"{server}/v1", f"{at.url}/v1"):
        client = openai.OpenAI(base_url=url, api_key="none")
        stream = client.chat.completions.create(**asked, stream=True)
        texts.append(
            (
                str(client.chat.completions.create(**asked).choices[0].message.content),
                said(stream, lambda part: (part.choices[0].delta.content or "") if part.choices else ""),
            )
        )
    assert texts[0] == texts[1] and texts[1][0] == texts[1][1] != ""
    whole, streamed = sorted(at.calls(2), key=lambda call: call.tokens_estimated)
    assert (whole.response, whole.finish_reason) == (streamed.response, streamed.finish_reason)
    assert whole.output_tokens == 4 and streamed.output_tokens > 0  # a stream tells no usage unasked


def test_what_is_no_call_and_its_errors_pass(at: Stand, server: str) -> None:
    client = Client(host=at.url)
    assert MODEL in {str(model.model).partition(":")[0] for model in client.list().models}
    assert client.show(MODEL).details == Client(host=server).show(MODEL).details
    assert CLIENT.head(at.url).status_code == 200  # its command line asks so whether it runs
    for stream in (False, True):
        with pytest.raises(ResponseError) as refused:
            list(client.chat("not-there", ASKED, stream=stream))
        assert refused.value.status_code == 404 and "not-there" in refused.value.error
    direct = CLIENT.post(f"{server}/api/chat", json={"model": "not-there"})
    through = CLIENT.post(f"{at.url}/api/chat", json={"model": "not-there"})
    assert (through.status_code, json.loads(through.content)) == (direct.status_code, json.loads(direct.content))
    assert [call.error for call in at.calls(2)] == ["HTTP 404"] * 2
