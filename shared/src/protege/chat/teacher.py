"""A teacher behind an OpenAI-compatible server. Protégé itself asks it here, not an agent's framework."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Mapping
from typing import Any

import httpx
import orjson

from ..call import Message, Reply, Request
from ..common.usage import Tokens, tokens_used
from ..errors import BadCall, BadInput, Refused, TeacherError
from .acts import function_of
from .openai import json_text, sampling, tool_call

TIMEOUT_S = 120.0
"""For one answer. A large model takes a minute to write a long one."""
PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0)
"""The pauses between tries, if the server is busy or away."""
LONGEST_S = 60.0
"""The longest pause that is granted to the server."""

PROXY_VAR = "PROTEGE_TEACHER_PROXY"
"""The environment variable that names the proxy to this server. Others, such as HTTPS_PROXY, are not looked at."""


def openai_compatible(url: str, model: str, key: str | None = None) -> OpenAICompatible:
    """A teacher behind an OpenAI-compatible server.

    url: the address up to `/v1`. key: None if the server needs none. Raises BadInput if the address or the key is not
    valid.
    """
    try:
        address = httpx.URL(url.removesuffix("/").removesuffix("/chat/completions"))
    except httpx.InvalidURL:
        address = httpx.URL("")
    if address.scheme not in ("http", "https") or not address.host:
        raise BadInput(
            "The address of the teacher is not valid.", "Give the whole address: --url https://api.openai.com/v1"
        )
    key = (key or "").strip()
    if not (key.isascii() and key.isprintable()) or " " in key:  # checked here: httpx would show it in its error
        raise BadInput("The teacher's key holds characters that no key holds.", "Set its variable to the key alone.")
    return OpenAICompatible(address, model, key)


class OpenAICompatible:
    """Asks a model at `POST …/chat/completions`. Safe for many threads.

    Raises Refused if the server does not accept the request. Raises TeacherError if the server cannot be reached,
    refuses the key, is still busy after several tries, or answers in another form. No error's text holds the key or
    content.
    """

    def __init__(self, address: httpx.URL, model: str, key: str) -> None:
        self._url = address.copy_with(path=f"{address.path.rstrip('/')}/chat/completions")
        self._place = f"{address.host}:{address.port}" if address.port else address.host
        self._model = model
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._lock = threading.Lock()
        self._made: httpx.Client | None = None

    def __call__(self, request: Request) -> Reply:
        response = self._post(orjson.dumps(body_of(self._model, request), option=orjson.OPT_NON_STR_KEYS))
        return self._read(response)

    def close(self) -> None:
        """Close the connections."""
        if self._made is not None:
            self._made.close()

    @property
    def _http(self) -> httpx.Client:
        with self._lock:
            if self._made is None:
                self._made = _client({**self._headers, "Content-Type": "application/json"})
            return self._made

    def _post(self, body: bytes) -> httpx.Response:
        """The server's response, once it accepts the request."""
        trouble, asked_s = "", 0.0
        for pause_s in (0.0, *PAUSES_S):
            # At random, so that requests that were refused together do not come back together.
            time.sleep(max(asked_s, pause_s * random.uniform(0.5, 1.0)))
            try:
                response = self._http.post(self._url, content=body)
            except httpx.TimeoutException:
                trouble = "does not answer in time"
            except httpx.HTTPError as error:
                trouble = f"cannot be reached ({type(error).__name__})"
            else:
                if response.status_code != 429 and response.status_code < 500:
                    return self._accepted(response)
                trouble, asked_s = f"answers with status {response.status_code}", _retry_after(response)
        raise TeacherError(
            f"The teacher at {self._place} {trouble}, after {len(PAUSES_S) + 1} tries.",
            "Check --url and whether the server is up, or try later; at a rate limit, ask fewer calls with --calls.",
        )

    def _accepted(self, response: httpx.Response) -> httpx.Response:
        status = response.status_code
        if status == 200:
            return response
        if status in (401, 403):
            raise TeacherError(
                f"The teacher at {self._place} refuses the key (status {status}).",
                "Set OPENAI_API_KEY, or name the variable that holds its key: --key-variable NAME.",
            )
        if status == 404:
            raise TeacherError(
                f"The teacher at {self._place} knows no such model or path (status 404).",
                "Check --model, and --url, which ends in /v1 with most servers.",
            )
        if status in (400, 413, 422):
            raise Refused(
                f"The teacher at {self._place} does not accept the request (status {status}).",
                "It may not know the recorded parameters, tools or response format. Name another model with --model.",
            )
        raise TeacherError(f"The teacher at {self._place} answers with status {status}.", "Check --url.")

    def _read(self, response: httpx.Response) -> Reply:
        try:
            document = orjson.loads(response.content)
            choice = document["choices"][0]
            answer = choice["message"]
            message = {"role": "assistant", "content": answer.get("content"), "tool_calls": answer.get("tool_calls")}
            usage, reason = document.get("usage"), choice.get("finish_reason")
        except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
            raise TeacherError(
                f"The server at {self._place} does not answer with a chat completion.", "Check --url."
            ) from None
        # Under the name that was asked for, by which calls are priced; servers answer with a longer one.
        return Reply(message, reason, self._model, *_tokens(usage))


def body_of(model: str, request: Request) -> dict[str, Any]:
    """The request as an OpenAI-compatible server takes it. It asks for one answer without log-probabilities, whatever
    was recorded."""
    left_out = ("n", "logprobs", "top_logprobs")
    parameters = {name: value for name, value in sampling(request.parameters).items() if name not in left_out}
    body: dict[str, Any] = {"model": model, "messages": [_message(m) for m in request.messages], **parameters}
    if request.tools:
        body["tools"] = [t if "type" in t else {"type": "function", "function": t} for t in request.tools]
        if request.tool_choice is not None:
            body["tool_choice"] = request.tool_choice
    if request.response_format is not None:
        body["response_format"] = request.response_format
    return body


def _message(message: Message) -> Message:
    """The message in the form that servers want: each tool call under `function`, with its arguments as JSON text."""
    if not message.get("tool_calls"):
        return message
    calls = [
        tool_call(call.get("id"), str(function.get("name", "")), json_text(function.get("arguments") or {}))
        for call, function in ((call, function_of(call)) for call in message["tool_calls"])
    ]
    return {**message, "tool_calls": calls}


def _tokens(usage: Any) -> Tokens:
    try:
        return tokens_used(usage) if isinstance(usage, Mapping) else Tokens()
    except BadCall:  # what a server reports may be anything
        return Tokens()


def _client(headers: Mapping[str, str]) -> httpx.Client:
    """A client by which calls and the key go where the user said, and not where HTTPS_PROXY or a redirect points."""
    timeout = httpx.Timeout(TIMEOUT_S, connect=10.0)
    proxy = os.environ.get(PROXY_VAR) or None
    try:
        return httpx.Client(timeout=timeout, headers=headers, proxy=proxy, trust_env=False, follow_redirects=False)
    except (ValueError, ImportError):  # not quoted: it may hold a password
        raise BadInput(f"{PROXY_VAR} is not the address of an HTTP proxy.", "Write http://host:port.") from None


def _retry_after(response: httpx.Response) -> float:
    """The seconds that the server asks to wait; 0 if it does not say so in a readable form."""
    try:
        return min(max(0.0, float(response.headers.get("retry-after", 0))), LONGEST_S)
    except ValueError:
        return 0.0
