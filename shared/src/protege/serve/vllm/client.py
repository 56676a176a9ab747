"""The client of one vLLM server: OpenAI's completions with log-probabilities, and what vLLM tells of itself.

Written after vLLM's documentation and source (0.9 to 0.20). Prompts are ours, rendered as in tuning.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import orjson

from ...common.loopback import is_loopback_url
from ...common.variables import VLLM as ADDRESS
from ...errors import (
    BadInput,
    DoesNotFit,
    EngineBusy,
    EngineError,
    EngineTimeout,
    EngineUnreachable,
    NotServed,
)
from ..engine import Completion

if TYPE_CHECKING:
    import httpx

KEY = "PROTEGE_VLLM_KEY"
"""Environment variable: the key that the server was started with (`--api-key`)."""
DEFAULT = "http://127.0.0.1:8000"
LOOK_S = 5.0
MOST_BYTES = 16 << 20
"""Of an answer. With two log-probabilities a token, 4,096 tokens take less than one."""


def address() -> str:
    """The server's URL: PROTEGE_VLLM, else vLLM's own on loopback. Raises BadInput if it is none."""
    named = os.environ.get(ADDRESS, DEFAULT).rstrip("/")
    if not named.startswith(("http://", "https://")):
        raise BadInput(f"{ADDRESS} is no URL.", f"Write {DEFAULT}.")
    parts = urlsplit(named)
    if "@" in parts.netloc or parts.query or parts.fragment:  # it is stored, and told in messages
        raise BadInput(f"{ADDRESS} holds more than an address.", f"Give a key by {KEY} alone.")
    return named


def allowed(url: str) -> str:
    """The URL, if it is on loopback or named by PROTEGE_VLLM: a file in a home must not send prompts elsewhere.

    Raises EngineError.
    """
    if not is_loopback_url(url) and url != address():
        raise EngineError(f"The specialist is in a vLLM elsewhere, {url}.", f"Allow it: {ADDRESS}={url}")
    return url


class Client:
    """One server. Safe for many threads; a forked process makes a connection of its own."""

    def __init__(self, url: str) -> None:
        self.url = allowed(url)
        self._made: tuple[int, httpx.Client] | None = None

    def version(self, timeout_s: float = LOOK_S) -> str:
        """The server's version. Raises EngineError."""
        answer = self._json("GET", "/version", None, timeout_s)
        with _understood():
            return str(answer["version"])

    def base(self, timeout_s: float = LOOK_S) -> tuple[str, str, int]:
        """The base that it serves: its name there, its path or repository, and the tokens that it reads at most.

        Raises EngineError.
        """
        answer = self._json("GET", "/v1/models", None, timeout_s)
        with _understood():
            for model in answer["data"]:
                if not model.get("parent"):
                    return str(model["id"]), str(model.get("root") or model["id"]), int(model.get("max_model_len") or 0)
        raise EngineError(f"The vLLM at {self.url} serves no base.", "Start it with a model.")

    def adds_tokens(self, model: str) -> bool:
        """Whether its tokenizer puts a token of its own before a prompt. Raises EngineError."""
        body = {"model": model, "prompt": "", "add_special_tokens": True}
        answer = self._json("POST", "/tokenize", body, LOOK_S)
        with _understood():
            return int(answer["count"]) > 0

    def complete(
        self, model: str, prompt: str, ends: tuple[str, ...], *, max_tokens: int, timeout_s: float
    ) -> Completion:
        """The likeliest answer. ends: texts of the tokens that end one. Raises as `Completer.complete`."""
        begin_s = time.perf_counter()
        body = {"model": model, "prompt": prompt, "max_tokens": max_tokens, "temperature": 0, "logprobs": 2}
        answer = self._json("POST", "/v1/completions", {**body, "seed": 0, "stop": list(ends)}, timeout_s)
        with _understood():
            return _completion(answer, ends, (time.perf_counter() - begin_s) * 1000)

    def close(self) -> None:
        """Give the connections back."""
        if self._made is not None:
            self._made[1].close()

    def _json(self, method: str, path: str, body: Mapping[str, Any] | None, timeout_s: float) -> dict[str, Any]:
        import httpx  # 0.14 s to load, which an agent without vLLM does not pay

        from ...common.transport import until  # takes httpx along

        content = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": "application/json"}
        if (key := os.environ.get(KEY)) and self.url == address():  # it is that server's, and no other's
            headers["Authorization"] = f"Bearer {key}"
        received = bytearray()
        try:
            with self._http.stream(
                method,
                f"{self.url}{path}",
                content=content,
                headers=headers,
                timeout=max(timeout_s, 0.001),
                extensions=until(time.perf_counter() + timeout_s),
            ) as reply:
                for chunk in reply.iter_bytes():
                    received += chunk
                    if len(received) > MOST_BYTES:
                        raise EngineError(f"What answers at {self.url} answers without an end.", "Is it vLLM?")
        except httpx.TimeoutException:
            raise EngineTimeout("vLLM did not answer in time.") from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            fact = f"No vLLM answers at {self.url} ({type(error).__name__})."
            raise EngineUnreachable(fact, f"Start it, or set {ADDRESS}.") from None
        return self._checked(reply.status_code, bytes(received))

    def _checked(self, status: int, received: bytes) -> dict[str, Any]:
        answer: Any = None
        with contextlib.suppress(orjson.JSONDecodeError):
            answer = orjson.loads(received)
        if status == 200 and isinstance(answer, dict):
            return answer
        said = received[:2000].decode(errors="replace").lower()
        if status == 404:
            raise NotServed(f"The vLLM at {self.url} does not know this model.", "`protege serve` brings it back.")
        if status in (429, 503):
            raise EngineBusy(f"The vLLM at {self.url} is full.")
        if status == 400 and ("context length" in said or "max_tokens" in said or "maximum model length" in said):
            raise DoesNotFit("The prompt and its answer are longer than vLLM's context.")
        # The server's message is left out: it may quote the prompt.
        raise EngineError(f"The vLLM at {self.url} refused the request (HTTP {status}).", "Its log says more.")

    @property
    def _http(self) -> httpx.Client:
        if self._made is None or self._made[0] != os.getpid():
            import httpx  # as above

            from ...common.transport import CheckedTransport  # as above

            limits = httpx.Limits(max_keepalive_connections=8, max_connections=None)
            transport = CheckedTransport(self._check, limits=limits)
            self._made = os.getpid(), httpx.Client(transport=transport, trust_env=False, follow_redirects=False)
        return self._made[1]

    def _check(self, connection: socket.socket) -> None:
        """Raise EngineError if it leads to another user's server on this machine, and nobody vouched for that."""
        from ...common.peers import is_here, own_uids, owners  # only where a connection is made

        strangers = is_here(connection) and owners(connection) - own_uids()
        if strangers and os.environ.get(ADDRESS, "").rstrip("/") != self.url:
            raise EngineError(f"What listens at {self.url} is another user's.", f"Vouch for it: {ADDRESS}={self.url}")


@contextlib.contextmanager
def _understood() -> Iterator[None]:
    """Whatever reading an answer raises, told as an EngineError: what listens there may be anything."""
    try:
        yield
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError):
        raise EngineError("vLLM's answer lacks fields that this version of Protégé needs.", "Is it vLLM?") from None


def _completion(answer: Mapping[str, Any], ends: tuple[str, ...], latency_ms: float) -> Completion:
    choice, usage = answer["choices"][0], answer["usage"]
    text, told = choice["text"], choice["logprobs"]
    tokens = [str(token) for token in told["tokens"]]
    values = [float(value) for value in told["token_logprobs"]]
    if not isinstance(text, str) or len(tokens) != len(values) or any(map(math.isnan, values)):
        raise ValueError("no text, or not the log-probabilities of its tokens")
    logprobs = tuple(min(0.0, value) for value in values)
    finish: Literal["stop", "length"] = "length" if choice["finish_reason"] == "length" else "stop"
    if finish == "stop":
        if not tokens or tokens[-1] not in (*ends, ""):
            raise ValueError("the end is not told")
        tokens[-1] = ""
    others: list[float] = []
    tops: list[Mapping[str, Any]] = list(told.get("top_logprobs") or [])
    for token, own, top in zip(told["tokens"], logprobs, tops, strict=False):
        below = [float(value) for name, value in top.items() if name != token]
        others.append(min(own, max(below)) if below else own)
    whole = tuple(others) if len(others) == len(logprobs) else ()
    counts = int(usage["prompt_tokens"]), int(usage["completion_tokens"])
    return Completion(text, tuple(tokens), logprobs, finish, *counts, latency_ms, whole)
