"""Speaks to llama.cpp's servers: their own `/completion` interface, over HTTP on Unix sockets."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any, Literal

import httpx
import orjson

from ...common.logprobs import runners_up
from ...common.transport import CheckedTransport, until
from ...errors import DoesNotFit, EngineError, EngineTimeout, EngineUnreachable
from ..engine import Completion
from .sockets import check_own

NAME = "xllamacpp"
"""The library that serves, as fingerprints name it."""
CONNECT_S = 2.0
"""A socket answers in a millisecond; a machine that swaps, in a second."""
URL = "http://engine"
"""HTTP wants a host's name; the socket is what leads to the server."""
FIELDS = ["content", "completion_probabilities", "stop_type", "truncated", "tokens_evaluated", "tokens_predicted"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a specialist is served."""

    socket: str
    """The path of the server's Unix socket, in a folder that only its owner can enter."""
    token: str
    """Without it the server answers nobody."""
    lora: int | None
    """Its number in the server's list of LoRA weights; None for a merged model."""
    adds_tokens: bool
    """This model's tokenizer puts a token of its own before each prompt. Many templates write that token too, so
    prompts are then sent as token numbers."""
    fingerprint: str
    """As `Engine.fingerprint`."""

    def to_record(self) -> dict[str, Any]:
        """The fields, as JSON can hold them."""
        return asdict(self)


class Client:
    """Completions over HTTP. Safe for many threads, and in a forked process."""

    def __init__(self) -> None:
        self._made: dict[str, httpx.Client] = {}
        self._closed = False

    def complete(self, place: Place, prompt: str, *, max_tokens: int, timeout_s: float) -> Completion:
        """The answer to a rendered prompt. Raises EngineError and its subclasses, as `Engine.complete`."""
        begin_s = time.perf_counter()
        until_s = begin_s + timeout_s
        asked: str | list[int] = self._tokens(place, prompt, until_s) if place.adds_tokens else prompt
        question: dict[str, Any] = {
            "prompt": asked,
            "n_predict": max_tokens,
            "temperature": 0,
            "n_probs": 2,  # the token's own, and the runner-up's
            # A cached prefix is computed in batches of another size, and sums in another order.
            "cache_prompt": False,
            "response_fields": FIELDS,
        }
        if place.lora is not None:
            # Those that are not named are at scale 0.
            question["lora"] = [{"id": place.lora, "scale": 1.0}]
        # No `stop` is sent: the model's own end tokens stop it, and only then is the end's log-probability told.
        answer = self._post(place, "/completion", question, until_s)
        return _completion(answer, (time.perf_counter() - begin_s) * 1000)

    def adds_tokens(self, place: Place, timeout_s: float) -> bool:
        """Whether the model's tokenizer puts tokens of its own around an empty text."""
        question = {"content": "", "add_special": True}
        return bool(self._post(place, "/tokenize", question, time.perf_counter() + timeout_s).get("tokens"))

    def answers(self, place: Place, timeout_s: float) -> bool:
        """Whether our server, the one with this token, is there and ready."""
        try:
            # Not /health, which any server answers and without a token.
            reply = self._http(place).get("/v1/models", headers=_headers(place), timeout=timeout_s)
        except (httpx.HTTPError, EngineError):
            return False
        return reply.status_code == 200 and reply.headers.get("server") == "llama.cpp"

    def close(self) -> None:
        """Give the connections back; what is asked afterwards fails."""
        self._closed = True
        for client in list(self._made.values()):
            client.close()

    def _http(self, place: Place) -> httpx.Client:
        if place.socket not in self._made:
            # Connections are not kept: one costs 0.1 ms, while the server keeps a thread for each that is open, and one
            # that it closes at the moment of its reuse looks like a failure.
            limits = httpx.Limits(max_keepalive_connections=0, max_connections=None)
            transport = CheckedTransport(check_own, socket_path=place.socket, limits=limits)
            self._made[place.socket] = httpx.Client(base_url=URL, transport=transport, trust_env=False)
        return self._made[place.socket]

    def _tokens(self, place: Place, prompt: str, until_s: float) -> list[int]:
        """The prompt with one begin token, as in tuning, whether the template, the tokenizer or both wrote it."""
        question = {"content": prompt, "add_special": True, "parse_special": True}
        tokens = self._post(place, "/tokenize", question, until_s).get("tokens")
        if not isinstance(tokens, list):
            raise EngineError("The engine's tokenizer gave no tokens.")
        return tokens[1:] if tokens[:1] == tokens[1:2] else tokens

    def _post(self, place: Place, path: str, question: dict[str, Any], until_s: float) -> dict[str, Any]:
        if self._closed:
            raise EngineError("The engine is closed.")
        left_s = until_s - time.perf_counter()
        if left_s <= 0:
            raise EngineTimeout("The engine did not answer in time.")
        timeout = httpx.Timeout(left_s, connect=min(CONNECT_S, left_s))
        headers = {**_headers(place), "Content-Type": "application/json"}
        try:
            with self._http(place).stream(
                "POST",
                path,
                content=orjson.dumps(question),
                headers=headers,
                timeout=timeout,
                extensions=until(until_s),
            ) as reply:
                body = reply.read()
        except httpx.TimeoutException:
            raise EngineTimeout("The engine did not answer in time.") from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise EngineUnreachable(f"The engine could not be reached ({type(error).__name__}).") from None
        return _checked(reply.status_code, body)


def _headers(place: Place) -> dict[str, str]:
    return {"Authorization": f"Bearer {place.token}"}


def _checked(status: int, body: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise EngineError(f"The engine answered with something that is not JSON (HTTP {status}).") from None
    if not isinstance(answer, dict):
        raise EngineError(f"The engine answered with JSON of another form (HTTP {status}).")
    if status == 200 and "error" not in answer:
        return answer
    error = answer.get("error")
    kind = error.get("type") if isinstance(error, dict) else None
    if kind == "exceed_context_size_error":
        raise DoesNotFit("The prompt is longer than the engine's context.")
    # The server's message is left out: it may quote the prompt.
    raise EngineError(f"The engine refused the request (HTTP {status}, {kind or 'no reason given'}).")


def _completion(answer: dict[str, Any], latency_ms: float) -> Completion:
    try:
        probabilities = answer.get("completion_probabilities") or []
        stop, text = answer["stop_type"], answer["content"]
        tokens = tuple(str(p["token"]) for p in probabilities)
        logprobs = tuple(float(p["logprob"]) for p in probabilities)
        others = runners_up(probabilities)
        input_tokens, output_tokens = int(answer["tokens_evaluated"]), int(answer["tokens_predicted"])
        truncated = answer["truncated"]
    except (KeyError, TypeError, ValueError):
        raise EngineError("The engine's answer lacks fields that this version of Protégé needs.") from None
    if stop not in ("eos", "word", "limit") or not isinstance(text, str):
        raise EngineError("The engine's answer has fields that this version of Protégé does not know.")
    if truncated:
        raise DoesNotFit("The prompt and its answer are longer than the engine's context.")
    finish: Literal["stop", "length"] = "length" if stop == "limit" else "stop"
    return Completion(text, tokens, logprobs, finish, input_tokens, output_tokens, latency_ms, others)
