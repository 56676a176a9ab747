"""The teacher behind an OpenAI-compatible server, asked by Protégé itself: not as an agent's framework would ask it."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from ..call import Answer, Message, Request
from ..errors import BadInput, Refused, TeacherError
from .openai import json_text, sampling, tool_call

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 120.0
"""For one answer: a large model writes a long one in a minute."""
PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Between one try and the next, where the server is busy or away."""
LONGEST_S = 60.0
"""The longest pause that the server may ask for."""


def openai_compatible(url: str, model: str, key: str | None = None) -> OpenAICompatible:
    """A teacher behind an OpenAI-compatible server; `url` up to `/v1`. key: None for a server that wants none.

    Raises BadInput for an address or a key that cannot be one.
    """
    import httpx

    try:
        address = httpx.URL(url.removesuffix("/").removesuffix("/chat/completions"))
    except httpx.InvalidURL:
        address = httpx.URL("")
    if address.scheme not in ("http", "https") or not address.host:
        raise BadInput("The address of the teacher is none.", "Give it whole: --url https://api.openai.com/v1")
    key = (key or "").strip()
    if not (key.isascii() and key.isprintable()) or " " in key:  # checked here: httpx would show it in its error
        raise BadInput("The teacher's key holds characters that no key holds.", "Set its variable to the key alone.")
    return OpenAICompatible(address, model, key)


class OpenAICompatible:
    """Asks a model at `POST …/chat/completions`. Safe for many threads.

    Raises Refused for a request that the server does not take, and TeacherError where it cannot be reached, refuses the
    key, is busy still after several tries, or answers in another form. No key and no content is in an error's text.
    """

    def __init__(self, address: httpx.URL, model: str, key: str) -> None:
        self._url = address.copy_with(path=f"{address.path.rstrip('/')}/chat/completions")
        self._place = f"{address.host}:{address.port}" if address.port else address.host
        self._model = model
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._lock = threading.Lock()
        self._made: httpx.Client | None = None

    def __call__(self, request: Request) -> Answer:
        reply = self._post(orjson.dumps(body_of(self._model, request), option=orjson.OPT_NON_STR_KEYS))
        return self._read(reply)

    def close(self) -> None:
        if self._made is not None:
            self._made.close()

    @property
    def _http(self) -> httpx.Client:
        import httpx

        with self._lock:
            if self._made is None:
                headers = {**self._headers, "Content-Type": "application/json"}
                self._made = httpx.Client(timeout=httpx.Timeout(TIMEOUT_S, connect=10.0), headers=headers)
            return self._made

    def _post(self, body: bytes) -> httpx.Response:
        """The reply, once there is one with a status that says that it was taken."""
        import httpx

        trouble, wanted_s = "", 0.0
        for pause_s in (0.0, *PAUSES_S):
            # Spread out, so that those that were refused together do not come back together.
            time.sleep(max(wanted_s, pause_s * random.uniform(0.5, 1.0)))
            try:
                reply = self._http.post(self._url, content=body)
            except httpx.TimeoutException:
                trouble = "does not answer in time"
            except httpx.HTTPError as error:
                trouble = f"cannot be reached ({type(error).__name__})"
            else:
                if reply.status_code != 429 and reply.status_code < 500:
                    return self._taken(reply)
                trouble, wanted_s = f"answers with status {reply.status_code}", _retry_after(reply)
        raise TeacherError(
            f"The teacher at {self._place} {trouble}, {len(PAUSES_S) + 1} times asked.",
            "See whether --url is right and it is up, or try again later; of a rate limit, ask fewer with --calls.",
        )

    def _taken(self, reply: httpx.Response) -> httpx.Response:
        status = reply.status_code
        if status == 200:
            return reply
        if status in (401, 403):
            raise TeacherError(
                f"The teacher at {self._place} refuses the key (status {status}).",
                "Set OPENAI_API_KEY, or name the variable that holds its key: --key-variable NAME.",
            )
        if status == 404:
            raise TeacherError(
                f"The teacher at {self._place} knows no such model or path (status 404).",
                "Look at --model, and at --url, which ends in /v1 with most servers.",
            )
        if status in (400, 413, 422):
            raise Refused(
                f"The teacher at {self._place} does not take the request (status {status}).",
                "Does it know the parameters, tools and response format that were recorded? Name another with --model.",
            )
        raise TeacherError(f"The teacher at {self._place} answers with status {status}.", "Look at --url.")

    def _read(self, reply: httpx.Response) -> Answer:
        try:
            document = orjson.loads(reply.content)
            choice = document["choices"][0]
            said = choice["message"]
            message = {"role": "assistant", "content": said.get("content"), "tool_calls": said.get("tool_calls")}
            usage, reason = document.get("usage"), choice.get("finish_reason")
        except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
            raise TeacherError(
                f"What the server at {self._place} answers is no chat completion.", "Look at --url."
            ) from None
        # By the name that it was asked for by, as calls are priced; servers answer with a longer one.
        return Answer(message, reason, self._model, _count(usage, "prompt_tokens"), _count(usage, "completion_tokens"))


def body_of(model: str, request: Request) -> dict[str, Any]:
    """The request as an OpenAI-compatible server takes it; one answer, without log-probabilities, whatever was
    recorded."""
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
    """As servers want it: arguments of tool calls as JSON text, each under `function`."""
    if not message.get("tool_calls"):
        return message
    calls = [
        tool_call(call.get("id"), str(function.get("name", "")), json_text(function.get("arguments") or {}))
        for call in message["tool_calls"]
        for function in (call.get("function") or call,)
    ]
    return {**message, "tool_calls": calls}


def _count(usage: Any, name: str) -> int | None:
    count = usage.get(name) if isinstance(usage, Mapping) else None
    return count if isinstance(count, int) else None


def _retry_after(reply: httpx.Response) -> float:
    """Seconds that the server asks to wait; 0 where it says nothing that can be read."""
    try:
        return min(max(0.0, float(reply.headers.get("retry-after", 0))), LONGEST_S)
    except ValueError:
        return 0.0
