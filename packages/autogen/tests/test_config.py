"""The declarative form: it comes back as it was, and holds no secret."""

# pyright: reportArgumentType=false

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_core import ComponentModel
from autogen_core.models import ChatCompletionClient, UserMessage
from autogen_ext.models.cache import ChatCompletionCache
from autogen_ext.models.openai import OpenAIChatCompletionClient
from autogen_ext.models.replay import ReplayChatCompletionClient
from openai_server import OpenAIServer
from protege_autogen import ProtegeChatCompletionClient
from protege_autogen.config import MaskedSecret, masked

KEY = "sk-not-to-be-seen"


def client(endpoint: str, **options: Any) -> ProtegeChatCompletionClient:
    able: Any = dict.fromkeys(("vision", "function_calling", "json_output", "structured_output"), True)
    teacher = OpenAIChatCompletionClient(
        model="large", base_url=endpoint, model_info={**able, "family": "unknown"}, **{"api_key": KEY, **options}
    )
    return ProtegeChatCompletionClient(teacher, "somewhere", agent="writer")


async def key_sent(loaded: Any, server: OpenAIServer) -> str:
    """The key that reaches the server."""
    await loaded.client.create([UserMessage(content="Hello", source="user")])
    return server.exchanges[-1].headers["Authorization"].removeprefix("Bearer ")


async def test_a_dump_is_loaded_in_the_same_process_with_its_key(openai_server: OpenAIServer):
    first = client(openai_server.url)
    loaded = ChatCompletionClient.load_component(first.dump_component())
    assert isinstance(loaded, ProtegeChatCompletionClient)
    assert (loaded.home, loaded.agent) == (first.home, "writer")
    assert loaded.home == Path("somewhere").absolute()
    assert await key_sent(loaded, openai_server) == KEY


async def test_as_json_it_holds_no_key_and_is_loaded_with_that_of_the_environment(
    openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
):
    text = client(openai_server.url).dump_component().model_dump_json()
    assert KEY not in text
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    loaded = ChatCompletionClient.load_component(json.loads(text))
    assert await key_sent(loaded, openai_server) == "sk-of-the-environment"


def test_without_a_key_anywhere_the_error_says_what_to_do(endpoint: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_ADMIN_KEY", raising=False)
    text = client(endpoint).dump_component().model_dump_json()
    with pytest.raises(MaskedSecret, match=r"mask in place of api_key.*OPENAI_API_KEY"):
        ChatCompletionClient.load_component(json.loads(text))


async def test_a_key_that_was_put_in_again_is_used(openai_server: OpenAIServer):
    dumped = json.loads(client(openai_server.url).dump_component().model_dump_json())
    dumped["config"]["client"]["config"]["api_key"] = "sk-put-in"
    assert await key_sent(ChatCompletionClient.load_component(dumped), openai_server) == "sk-put-in"


@pytest.mark.parametrize("name", ["Authorization", "X-Api-Key", "api-key", "Cookie"])
def test_secrets_in_headers_are_masked_too(endpoint: str, name: str):
    first = client(endpoint, default_headers={name: "hidden", "X-Team": "blue"})
    dumped = first.dump_component()
    again = ChatCompletionClient.load_component(dumped)
    assert again.client._raw_config["default_headers"] == {name: "hidden", "X-Team": "blue"}  # type: ignore[attr-defined]
    text = dumped.model_dump_json()
    assert "hidden" not in text
    assert "blue" in text
    with pytest.raises(MaskedSecret, match=f"default_headers.{name}"):
        ChatCompletionClient.load_component(json.loads(text))


def test_a_password_in_an_address_and_an_azure_token_are_masked_too(endpoint: str):
    first = client("http://user:hidden@127.0.0.1:9/v1")
    assert "hidden" not in first.dump_component().model_dump_json()
    token = {"azure_ad_token": "hidden", "max_tokens": 5, "azure_endpoint": "https://example.invalid"}
    shown = masked(ComponentModel(provider="any", config=token)).model_dump(mode="json")["config"]
    assert shown == {**token, "azure_ad_token": "**********"}


def test_only_the_mask_that_is_written_here_is_one(endpoint: str):
    starred = client(endpoint, default_headers={"X-Rating": "***"}).dump_component().model_copy()
    text = starred.model_dump_json().replace("**********", "sk-put-in")
    again: Any = ChatCompletionClient.load_component(json.loads(text))
    assert again.client._raw_config["default_headers"] == {"X-Rating": "***"}


def test_without_a_home_the_loading_process_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    dumped = ProtegeChatCompletionClient(ReplayChatCompletionClient(["one"])).dump_component()
    assert "home" not in dumped.config
    monkeypatch.setenv("PROTEGE_HOME", str(tmp_path))
    assert ChatCompletionClient.load_component(dumped).home == tmp_path  # type: ignore[attr-defined]


def test_around_a_cache_and_inside_one_it_comes_back(endpoint: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    inner = client(endpoint)
    around = ProtegeChatCompletionClient(ChatCompletionCache(inner.client))
    inside = ChatCompletionCache(inner)
    for one in (around, inside):
        text = one.dump_component().model_dump_json()
        assert KEY not in text
        loaded: Any = ChatCompletionClient.load_component(json.loads(text))
        assert type(loaded) is type(one)
        assert type(loaded.client) is type(one.client)


def test_an_agent_comes_back_with_its_client(endpoint: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    text = AssistantAgent("writer", client(endpoint)).dump_component().model_dump_json()
    assert KEY not in text
    loaded: Any = AssistantAgent.load_component(json.loads(text))
    assert isinstance(loaded._model_client, ProtegeChatCompletionClient)


def test_no_secret_is_seen_in_its_repr(endpoint: str):
    shown = repr(client(endpoint))
    assert shown.startswith("ProtegeChatCompletionClient(OpenAIChatCompletionClient, home=")
    assert KEY not in shown
