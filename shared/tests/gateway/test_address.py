"""Paths as clients really send them lead to the API that they are of, and name the agent."""

from __future__ import annotations

import pytest
from protege.errors import BadInput
from protege.gateway.address import address_of, joined
from protege.gateway.settings import settings

PATHS = {
    "/v1/chat/completions": ("openai", "/v1/chat/completions"),
    "/chat/completions": ("openai", "/v1/chat/completions"),
    "//v1/chat/completions": ("openai", "/v1/chat/completions"),
    "/v1/v1/v1/chat/completions": ("openai", "/v1/chat/completions"),
    "/v1/responses": ("openai", "/v1/responses"),
    "/v1/embeddings": ("openai", "/v1/embeddings"),
    "/v1/models": ("openai", "/v1/models"),
    "/v1/models/ft:gpt-4o-mini:acme:suffix:abc123": ("openai", "/v1/models/ft:gpt-4o-mini:acme:suffix:abc123"),
    "/v1/models/g:countTokens": ("gemini", "/v1/models/g:countTokens"),
    "/v1/files/f-1": ("openai", "/v1/files/f-1"),
    "/messages": ("anthropic", "/v1/messages"),
    "/v1/v1/messages": ("anthropic", "/v1/messages"),
    "/v1/messages/count_tokens": ("anthropic", "/v1/messages/count_tokens"),
    "//openai/deployments/d/chat/completions": ("azure", "/openai/deployments/d/chat/completions"),
    "/openai/v1/responses": ("azure", "/openai/v1/responses"),
    "/v1beta/models/g:generateContent": ("gemini", "/v1beta/models/g:generateContent"),
    "/v1/models/g:streamGenerateContent": ("gemini", "/v1/models/g:streamGenerateContent"),
    "/v1beta/models": ("gemini", "/v1beta/models"),
    "/api/chat": ("ollama", "/api/chat"),
    "/api/tags": ("ollama", "/api/tags"),
    "/a/x/": ("ollama", "/"),
    "/api/v1/models": ("openai", "/api/v1/models"),
}
NOBODYS = (
    "/etc/passwd", "/v2/chat", "/a/x", "/a//v1/chat", "/%2e%2e/v1", "/v1/../../admin", "/v1/%2E%2e/admin", "/v1/./x",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_a_path_is_of_the_api_that_has_it(path: str):
    address = address_of("POST", path, {})
    assert (address.front, address.path) == PATHS[path]


@pytest.mark.parametrize("path", NOBODYS)
def test_other_paths_are_of_none(path: str):
    assert address_of("POST", path, {}).front is None


def test_a_header_tells_whose_a_path_is_that_several_have():
    named = {"anthropic-version": "anthropic", "x-api-key": "anthropic", "x-goog-api-key": "gemini", "api-key": "azure"}
    for header, front in named.items():
        assert address_of("GET", "/v1/models", {header: "1"}).front == front
    assert address_of("POST", "/api/event_logging/batch", {"anthropic-version": "1"}).front == "anthropic"


@pytest.mark.parametrize("path", ["/a/The%20Clerk/k/KEY/v1/responses", "//k/KEY//a/The%20Clerk//v1/responses"])
def test_prefixes_name_the_agent_and_a_key(path: str):
    address = address_of("POST", path, {})
    assert (address.agent, address.key, address.path) == ("The Clerk", "KEY", "/v1/responses")


def test_an_agents_name_is_short_and_prints():
    assert address_of("POST", f"/a/x%0a%1b{'y' * 250}/v1/models", {}).agent == "x" + "y" * 99


def test_a_version_that_address_and_path_have_stands_once():
    assert joined("https://h/api/v1", "/v1/chat/completions") == "https://h/api/v1/chat/completions"
    assert joined("https://h", "/v1/chat/completions") == "https://h/v1/chat/completions"
    assert joined("https://h/openai", "/openai/deployments/d") == "https://h/openai/deployments/d"


def test_settings_are_read_as_they_are_written():
    chosen = settings(upstreams=("openai=https://a.example/", "openai/mirror=http://10.0.0.1:8000"), port=1)
    named = [chosen.upstream(*name) for name in (("openai",), ("openai", "mirror"), ("anthropic",))]
    urls = ["https://a.example", "http://10.0.0.1:8000", "https://api.anthropic.com"]
    assert [each and each.url for each in named] == urls
    assert chosen.upstream("openai", "other") is None and chosen.upstream("azure") is None
    assert type(chosen).from_record(chosen.to_record()) == chosen


WRONG = (
    "openai", "openai=", "openai=ftp://h", "nobody=https://h", "openai=https://u:p@h", "openai=http://far.example",
    "openai=https://h?q=1", "openai=//h",
)  # fmt: skip


@pytest.mark.parametrize("written", WRONG)
def test_an_address_that_is_not_valid_is_refused(written: str):
    with pytest.raises(BadInput):
        settings(upstreams=(written,))


def test_one_name_is_given_once_and_a_credential_names_a_front():
    with pytest.raises(BadInput, match="one name"):
        settings(upstreams=("openai=https://a.example", "openai=https://b.example"))
    for written in ("openai", "nobody=X"):
        with pytest.raises(BadInput):
            settings(credentials=(written,))
