"""Requests as clients send them: their paths, what they tell, and which of them only a teacher may answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from protege.call import request_from
from protege.dialects import Asked, dialect_at
from protege.errors import BadCall

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
GEMINI = "/v1beta/models/gemini-2.5-flash:generateContent"
SAID: list[Any] = [{"role": "user", "content": "Is it spam?"}]
CONTENTS = [{"role": "user", "parts": [{"text": "Is it spam?"}]}]
PIXEL = "iVBORw0KGgo="
FUNCTION = {"name": "f", "parameters": {"type": "object"}}
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"model": "m", "messages": SAID},
    RESPONSES: {"model": "m", "input": "Is it spam?", "store": False},
    "/v1/completions": {"model": "m", "prompt": "Is it spam?"},
    MESSAGES: {"model": "m", "max_tokens": 9, "messages": SAID},
    GEMINI: {"contents": CONTENTS},
    "/api/chat": {"model": "m", "messages": SAID},
    "/api/generate": {"model": "m", "prompt": "Is it spam?"},
}


def asked(path: str, body: Mapping[str, Any], query: Mapping[str, str] | None = None) -> Asked:
    dialect = dialect_at("POST", path).dialect
    assert dialect is not None
    return dialect.asked(path, query or {}, body)


PATHS = [
    ("/v1/chat/completions", "openai", "chat", "openai-chat"),
    ("/chat/completions", "openai", "chat", "openai-chat"),
    ("//v1//chat/completions/", "openai", "chat", "openai-chat"),
    ("/api/v1/chat/completions", "openai", "chat", "openai-chat"),
    ("/api/v1/models", "openai", "models", None),
    ("/api/v1/embeddings", "openai", "embeddings", None),
    ("/api/v1/other", "openai", "other", None),
    ("/v1beta/openai/chat/completions", "gemini", "chat", "openai-chat"),
    ("/v1alpha/openai/chat/completions", "gemini", "chat", "openai-chat"),
    ("/v1beta/openai/embeddings", "gemini", "embeddings", None),
    ("/v1beta/openai/models", "gemini", "models", None),
    ("/v1/projects/p/locations/l/endpoints/openapi/chat/completions", "gemini", "chat", "openai-chat"),
    ("/openai/deployments/d/chat/completions", "azure", "chat", "openai-chat"),
    ("//openai/deployments/d/chat/completions", "azure", "chat", "openai-chat"),
    ("/openai/v1/chat/completions", "azure", "chat", "openai-chat"),
    ("/openai/responses", "azure", "responses", "openai-responses"),
    ("/openai/deployments/d/embeddings", "azure", "embeddings", None),
    ("/v1/responses", "openai", "responses", "openai-responses"),
    ("/v1/responses/compact", "openai", "compact", None),
    ("/v1/responses/resp_1/input_items", "openai", "other", None),
    ("/v1/completions", "openai", "completions", "openai-completions"),
    ("/v1/embeddings", "openai", "embeddings", None),
    ("/v1/models", "openai", "models", None),
    ("/v1/realtime", "openai", "realtime", None),
    ("/v1/messages", "anthropic", "messages", "anthropic"),
    ("/messages", "anthropic", "messages", "anthropic"),
    ("/v1/v1/messages", "anthropic", "messages", "anthropic"),
    ("/v1/messages/count_tokens", "anthropic", "count_tokens", None),
    ("/v1/messages/batches", "anthropic", "batches", None),
    ("/v1/threads/thread_1/messages", "openai", "other", None),
    ("/v1beta/models/m:generateContent", "gemini", "generateContent", "gemini"),
    ("/v1/models/m:streamGenerateContent", "gemini", "streamGenerateContent", "gemini"),
    ("/v1/projects/p/locations/l/publishers/google/models/m:generateContent", "gemini", "generateContent", "gemini"),
    ("/v1beta/models/m:countTokens", "gemini", "count_tokens", None),
    ("/v1beta/models", "gemini", "models", None),
    ("/v1beta/models/m", "gemini", "other", None),
    ("/api/chat", "ollama", "chat", "ollama-chat"),
    ("/api/generate", "ollama", "generate", "ollama-generate"),
    ("/api/embed", "ollama", "embeddings", None),
    ("/api/embeddings", "ollama", "embeddings", None),
    ("/api/tags", "ollama", "models", None),
    ("/api/pull", "ollama", "other", None),
    ("/", "openai", "other", None),
    ("", "openai", "other", None),
    ("/v1/chat/completions" * 1000, "openai", "other", None),
]


@pytest.mark.parametrize(("path", "front", "name", "dialect"), PATHS)
def test_a_path_tells_whose_it_is_and_what_it_does(path: str, front: str, name: str, dialect: str | None) -> None:
    found = dialect_at("POST", path)
    assert (found.front, found.name) == (front, name)
    assert (found.dialect.name if found.dialect else None) == dialect
    assert dialect_at("GET", path).dialect is None and dialect_at("post", path) == found


@pytest.mark.parametrize("path", BODIES)
def test_the_plain_requests_are_a_specialists(path: str) -> None:
    found = asked(path, BODIES[path])
    assert found.teacher_only is None
    assert found.streams is path.startswith("/api/")
    assert found.model == found.record["model"] == ("gemini-2.5-flash" if path == GEMINI else "m")
    assert [dict(m) for m in request_from(found.record).messages] == SAID


IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
SOURCE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
FOUND = {
    "type": "search_result",
    "source": "x",
    "title": "x",
    "content": [{"type": "text", "text": "x"}],
    "citations": {"enabled": True},
}
CODE = {"executableCode": {"language": "PYTHON", "code": "1"}}
TEACHERS: list[tuple[str, dict[str, Any], str]] = [
    (CHAT, {"n": 2}, "several answers"),
    (CHAT, {"best_of": 2}, "several answers"),
    (CHAT, {"prompt_logprobs": 0}, "log-probabilities"),
    (CHAT, {"thinking": {"type": "enabled"}}, "reasoning"),
    (CHAT, {"enable_thinking": True}, "reasoning"),
    (CHAT, {"chat_template_kwargs": {"enable_thinking": True}}, "reasoning"),
    (CHAT, {"include_reasoning": True}, "reasoning"),
    (CHAT, {"extra_body": {"google": {"thinking_config": {"thinking_budget": 9}}}}, "reasoning"),
    (CHAT, {"google": {"thinking_config": {"include_thoughts": True}}}, "reasoning"),
    (CHAT, {"search_parameters": {"mode": "auto"}}, "tools of the provider"),
    (CHAT, {"model": "gpt-4o-mini-search-preview-2025-03-11"}, "tools of the provider"),
    (CHAT, {"model": "openai/gpt-4o:online"}, "tools of the provider"),
    (CHAT, {"model": "gpt-4o-audio-preview"}, "more than text"),
    (CHAT, {"messages": [*SAID, {"role": "assistant", "content": "{", "prefix": True}]}, "begins the answer"),
    (CHAT, {"guided_regex": "a|b"}, "no JSON schema"),
    (CHAT, {"guided_grammar": "x"}, "no JSON schema"),
    (CHAT, {"structured_outputs": {"choice": ["a", "b"]}}, "no JSON schema"),
    ("/v1/completions", {"guided_choice": ["a", "b"]}, "no JSON schema"),
    ("/v1/completions", {"prompt_logprobs": 1}, "log-probabilities"),
    (RESPONSES, {"reasoning": {"generate_summary": "auto"}}, "reasoning"),
    (RESPONSES, {"context_management": [{"type": "compaction"}]}, "more than text"),
    (MESSAGES, {"output_config": {"effort": "low"}}, "reasoning"),
    (MESSAGES, {"messages": [*SAID, {"role": "assistant", "content": "{"}]}, "begins the answer"),
    (MESSAGES, {"messages": [{"role": "user", "content": [FOUND]}]}, "citations"),
    (
        MESSAGES,
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [FOUND]}]}]},
        "citations",
    ),
    (GEMINI.replace("flash", "flash-image"), {}, "more than text"),
    (GEMINI, {"systemInstruction": {"parts": [{"inlineData": {"mimeType": "image/png", "data": PIXEL}}]}}, "images"),
    (GEMINI, {"generationConfig": {"responseMimeType": "text/x.enum", "responseSchema": {"enum": ["a"]}}}, "no JSON"),
    (GEMINI, {"contents": [*CONTENTS, {"role": "model", "parts": [CODE]}, *CONTENTS]}, "tools of the provider"),
    ("/api/chat", {"messages": [*SAID, {"role": "assistant", "content": "{"}]}, "begins the answer"),
    (CHAT, {"logprobs": True}, "log-probabilities"),
    (CHAT, {"modalities": ["text", "audio"]}, "more than text"),
    (CHAT, {"store": True}, "stores"),
    (CHAT, {"reasoning_effort": "high"}, "reasoning"),
    (CHAT, {"web_search_options": {"search_context_size": "low"}}, "tools of the provider"),
    (CHAT, {"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools of the provider"),
    (CHAT, {"functions": [FUNCTION]}, "no longer used"),
    (CHAT, {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}}}, "some of its tools"),
    (RESPONSES, {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}}, "some of its tools"),
    (GEMINI, {"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}}}, "some"),
    (CHAT, {"model": "gemini-3-pro", "tools": [{"type": "function", "function": FUNCTION}]}, "signs"),
    (CHAT, {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, IMAGE]}]}, "images"),
    (CHAT, {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}, "audio"),
    (RESPONSES, {"store": None}, "stores"),
    (RESPONSES, {"store": True}, "stores"),
    (RESPONSES, {"previous_response_id": "resp_1"}, "stores"),
    (RESPONSES, {"conversation": "conv_1"}, "stores"),
    (RESPONSES, {"prompt": {"id": "pmpt_1"}}, "stores"),
    (RESPONSES, {"background": True}, "background"),
    (RESPONSES, {"reasoning": {"effort": "low"}}, "reasoning"),
    (RESPONSES, {"top_logprobs": 2}, "log-probabilities"),
    (RESPONSES, {"include": ["reasoning.encrypted_content"]}, "more than text"),
    (RESPONSES, {"tools": [{"type": "web_search"}]}, "tools of the provider"),
    (RESPONSES, {"input": [*SAID, {"type": "web_search_call", "id": "ws_1"}]}, "tools of the provider"),
    (RESPONSES, {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "images"),
    (
        RESPONSES,
        {"input": [{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image"}]}, *SAID]},
        "images",
    ),
    ("/v1/completions", {"n": 2}, "several answers"),
    ("/v1/completions", {"prompt": ["a", "b"]}, "several answers"),
    ("/v1/completions", {"logprobs": 0}, "log-probabilities"),
    ("/v1/completions", {"echo": True}, "more than text"),
    (MESSAGES, {"thinking": {"type": "enabled", "budget_tokens": 1024}}, "reasoning"),
    (MESSAGES, {"thinking": {"type": "adaptive"}}, "reasoning"),
    (MESSAGES, {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools of the provider"),
    (MESSAGES, {"mcp_servers": [{"type": "url", "url": "https://x"}]}, "tools of the provider"),
    (MESSAGES, {"container": "c"}, "stores"),
    (MESSAGES, {"messages": [{"role": "user", "content": [SOURCE]}]}, "images"),
    (
        MESSAGES,
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [SOURCE]}]}]},
        "images",
    ),
    (GEMINI, {"generationConfig": {"candidateCount": 2}}, "several answers"),
    (GEMINI, {"generationConfig": {"responseLogprobs": True}}, "log-probabilities"),
    (GEMINI, {"generationConfig": {"responseModalities": ["IMAGE"]}}, "more than text"),
    (GEMINI, {"generationConfig": {"thinkingConfig": {"thinkingBudget": 1024}}}, "reasoning"),
    (GEMINI, {"generation_config": {"thinking_config": {"include_thoughts": True}}}, "reasoning"),
    (GEMINI, {"cachedContent": "cachedContents/1"}, "stores"),
    (GEMINI, {"tools": [{"functionDeclarations": [FUNCTION], "googleSearch": {}}]}, "tools of the provider"),
    (GEMINI, {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": PIXEL}}]}]}, "images"),
    ("/api/chat", {"think": True}, "reasoning"),
    ("/api/chat", {"logprobs": True}, "log-probabilities"),
    ("/api/chat", {"messages": [{"role": "user", "content": "x", "images": [PIXEL]}]}, "images"),
    ("/api/generate", {"images": [PIXEL]}, "images"),
    ("/api/generate", {"raw": True}, "more than text"),
    ("/api/generate", {"context": [1, 2]}, "more than text"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "change", "reason"), TEACHERS)
def test_what_only_the_teacher_may_answer_is_still_read(path: str, change: dict[str, Any], reason: str) -> None:
    found = asked(path, {**BODIES.get(path, BODIES[GEMINI]), **change})
    assert found.teacher_only is not None and reason in found.teacher_only
    assert request_from(found.record).messages  # so that it is recorded


OFF: list[tuple[str, dict[str, Any]]] = [
    (CHAT, {"thinking": {"type": "disabled"}, "enable_thinking": False, "include_reasoning": False, "best_of": 1}),
    (CHAT, {"chat_template_kwargs": {"enable_thinking": False}, "search_parameters": {"mode": "off"}}),
    (CHAT, {"google": {"thinking_config": {"thinking_budget": 0}}, "model": "research-preview"}),
    (RESPONSES, {"reasoning": {"generate_summary": None}, "context_management": None}),
    (MESSAGES, {"messages": [{"role": "user", "content": [{**FOUND, "citations": {"enabled": False}}]}]}),
    (CHAT, {"n": 1, "logprobs": False, "store": False, "reasoning_effort": "none", "modalities": ["text"]}),
    (
        CHAT,
        {"n": None, "logprobs": None, "stream_options": None, "tools": [{"type": "function", "function": FUNCTION}]},
    ),
    (RESPONSES, {"reasoning": {"effort": "none"}, "background": False, "tools": [{"type": "function", **FUNCTION}]}),
    (RESPONSES, {"input": [*SAID, {"type": "reasoning", "id": "rs_1", "summary": []}]}),
    (MESSAGES, {"thinking": {"type": "disabled"}, "tools": [{"name": "f", "input_schema": {}}]}),
    (MESSAGES, {"tools": [{"type": "custom", "name": "f", "input_schema": {}}]}),
    (GEMINI, {"generationConfig": {"candidateCount": 1, "thinkingConfig": {"thinkingBudget": 0}}}),
    (GEMINI, {"tools": [{"functionDeclarations": [FUNCTION]}]}),
    ("/api/chat", {"think": False, "stream": False, "options": {"num_predict": 9}}),
]


@pytest.mark.parametrize(("path", "change"), OFF)
def test_what_is_turned_off_keeps_no_specialist_away(path: str, change: dict[str, Any]) -> None:
    assert asked(path, {**BODIES[path], **change}).teacher_only is None


NONE = "has a `stream` or a limit of tokens that is none"
LIMITS = [
    (CHAT, "max_tokens"), (CHAT, "max_completion_tokens"), ("/v1/completions", "max_tokens"),
    (RESPONSES, "max_output_tokens"), (MESSAGES, "max_tokens"), (GEMINI, "generationConfig.maxOutputTokens"),
    ("/api/chat", "options.num_predict"), ("/api/generate", "options.num_predict"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "name"), LIMITS)
def test_a_limit_or_a_stream_that_is_none_is_the_teachers(path: str, name: str) -> None:
    def changed(value: Any) -> str | None:
        around, _, inner = name.rpartition(".")
        return asked(path, {**BODIES[path], **({around: {inner: value}} if around else {inner: value})}).teacher_only

    assert [changed(value) for value in (16, 1, None)] == [None] * 3
    for value in (0, -1, "16", 1.5, True, [16], {}):
        assert changed(value) == NONE, value
    for stream in ("yes", "", 1, 0, [], {}):
        assert asked(path, {**BODIES[path], "stream": stream}).teacher_only == NONE
    for stream in (True, False, None):
        assert asked(path, {**BODIES[path], "stream": stream}).teacher_only is None


def test_forms_that_are_asked_for_are_told() -> None:
    schema = {"type": "object", "properties": {"label": {"type": "string"}}}
    forms: list[tuple[str, dict[str, Any]]] = [
        (CHAT, {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}}),
        (RESPONSES, {"text": {"format": {"type": "json_schema", "name": "n", "schema": schema}}}),
        (MESSAGES, {"output_config": {"format": {"type": "json_schema", "schema": schema}}}),
        (MESSAGES, {"output_format": {"type": "json_schema", "schema": schema}}),
        (GEMINI, {"generationConfig": {"responseMimeType": "application/json", "responseSchema": schema}}),
        ("/api/chat", {"format": schema}),
    ]
    for path, change in forms:
        told = asked(path, {**BODIES[path], **change}).record["response_format"]
        assert told["json_schema"]["schema"] == schema, path


@pytest.mark.parametrize(
    ("model", "signs"),
    [("gemini-2.5-pro", False), ("gemini-3-pro-preview", True), ("gemini-3.5-flash", True), ("gpt-5", False),
     ("gemini-12-pro", True), ("gemini-flash-latest", True), ("gemini-1.5-flash-latest", False)],
)  # fmt: skip
def test_models_that_sign_their_calls_keep_them(model: str, signs: bool) -> None:
    tools = [{"functionDeclarations": [FUNCTION]}]
    found = asked(f"/v1beta/models/{model}:generateContent", {"contents": CONTENTS, "tools": tools})
    assert (found.teacher_only is not None) is signs
    assert asked(f"/v1beta/models/{model}:generateContent", {"contents": CONTENTS}).teacher_only is None


def test_an_enumeration_is_told_as_such() -> None:
    schema = {"type": "STRING", "enum": ["a", "b"]}
    config = {"responseMimeType": "text/x.enum", "responseSchema": schema}
    told = asked(GEMINI, {**BODIES[GEMINI], "generationConfig": config}).record["response_format"]
    assert told == {"type": "enum", "schema": schema}


def test_the_choice_of_tools_is_told() -> None:
    named = {"type": "function", "function": {"name": "f"}}
    choices: list[tuple[str, dict[str, Any], Any]] = [
        (CHAT, {"tool_choice": named}, named),
        (CHAT, {"tool_choice": "required"}, "required"),
        (RESPONSES, {"tool_choice": {"type": "function", "name": "f"}}, named),
        (MESSAGES, {"tool_choice": {"type": "tool", "name": "f"}}, named),
        (MESSAGES, {"tool_choice": {"type": "any"}}, "required"),
        (MESSAGES, {"tool_choice": {"type": "auto"}}, None),
        *(
            (GEMINI, {"toolConfig": {"functionCallingConfig": config}}, choice)
            for config, choice in (
                ({"mode": "ANY"}, "required"),
                ({"mode": "ANY", "allowedFunctionNames": ["f"]}, named),
                ({"mode": "AUTO"}, None),
                ({"mode": "VALIDATED"}, None),
                ({"mode": "NONE"}, "none"),
            )
        ),
    ]
    for path, change, choice in choices:
        found = asked(path, {**BODIES[path], **change})
        assert found.record.get("tool_choice") == choice and found.teacher_only is None, change


def test_what_signs_a_providers_own_tool_in_is_not_recorded() -> None:
    secrets = {
        "authorization": "SECRET",
        "headers": {"X-Api-Key": "SECRET"},
        "api_key": "SECRET",
        "authToken": "SECRET",
    }
    address = {"server_url": "https://u:SECRET@x.y/mcp?key=SECRET#SECRET", "server_label": "x", "max_tokens": 5}
    own = {"type": "mcp", **address, **secrets, "more": [{"token": "SECRET", "kept": 1}]}
    schema = {"type": "object", "properties": {"token": {"type": "string"}, "headers": {"type": "object"}}}
    tools = [own, {"type": "function", "name": "f", "parameters": schema}, {"name": "g", "parameters": schema}]
    told = asked(RESPONSES, {**BODIES[RESPONSES], "tools": tools}).record["tools"]
    assert "SECRET" not in str(told)
    kept = {"type": "mcp", "server_url": "https://x.y/mcp", "server_label": "x", "max_tokens": 5, "more": [{"kept": 1}]}
    assert told[0] == kept and told[1]["function"]["parameters"] == told[2]["parameters"] == schema


def test_azures_deployment_is_the_model() -> None:
    path = "/openai/deployments/my-gpt/chat/completions"
    found = asked(path, {"messages": SAID}, {"api-version": "2025-01-01"})
    assert found.model == found.record["model"] == "my-gpt"


def test_geminis_path_tells_whether_it_streams() -> None:
    assert asked("/v1beta/models/m:streamGenerateContent", {"contents": CONTENTS}, {"alt": "sse"}).streams
    assert not asked("/v1beta/models/m:generateContent", {"contents": CONTENTS}).streams


ODD: list[Any] = [None, [], "x", 1, {}, {"messages": []}, {"model": "m"}, {"messages": 5}, {"prompt": [1, 2]}]
ODDER: list[Any] = [1, "x", [1], {"a": 1}, [[]], [None], {"type": 5}, True]


@pytest.mark.parametrize("path", BODIES)
def test_what_is_no_request_costs_a_bad_call(path: str) -> None:
    for body in ODD:
        with pytest.raises(BadCall):
            request_from(asked(path, body).record)
    names = ["messages", "input", "contents", "prompt", "tools", "tool_choice", "stream_options", "reasoning", "text",
             "modalities", "thinking", "generationConfig", "options", "system", "systemInstruction", "response_format",
             "include", "n", "chat_template_kwargs", "google", "extra_body",
             "search_parameters", "best_of", "toolConfig", "output_config", "format"]  # fmt: skip
    for name in names:
        for value in ODDER:
            try:
                asked(path, {**BODIES[path], name: value})
            except BadCall as error:
                assert "Is it spam?" not in str(error)
