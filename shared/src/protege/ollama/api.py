"""Speaks to one Ollama server.

What runs in the agent (`version`, `models`, `generate`) and what the `ollama` package does not do (asking for a blob
before sending it, progress while sending, `_debug_render_only`, raw prompts with log-probabilities read line by line
under one deadline) goes over httpx; looking after models goes through that package. All of its errors, and httpx's,
become ours.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from ..errors import (
    DoesNotFit,
    EngineBusy,
    EngineError,
    EngineTimeout,
    EngineUnreachable,
    MissingDependency,
    NotServed,
    ResourceError,
)
from .address import is_loopback
from .replies import Reply, joined, json_object

if TYPE_CHECKING:
    import httpx
    import ollama

NAMESPACE = "protege"
"""Of the models that we make: specialists."""
CONNECT_S = 2.0
"""Loopback answers in a millisecond; a machine that swaps, in a second."""
LOOK_S = 10.0
"""For looking after models, which reads little."""
CREATE_S = 600.0
"""Without a word from the server; it hashes and copies weights of several GB, and does not tell how far it is."""
CHUNK = 1 << 20

GREEDY: Mapping[str, Any] = {
    "temperature": 0,
    "top_k": 1,
    "top_p": 1.0,
    "min_p": 0.0,
    "seed": 0,
    # By default 1.1 before 0.31: it changes which token is the likeliest, and its log-probability does not tell.
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
"""How every answer is asked for. None of these makes Ollama load a model again, as num_ctx or num_thread would."""


class Ollama:
    """One server. Safe for many threads, and in a forked process."""

    def __init__(self, url: str, *, look_s: float = LOOK_S) -> None:
        """look_s: how long to wait for what is only looked up."""
        self.url = url
        self._look_s = look_s
        self._made: tuple[int, httpx.Client] | None = None

    # What runs in the agent

    def version(self, timeout_s: float = CONNECT_S) -> str:
        """Raises EngineError where none answers, or something that is no Ollama does."""
        found = self._json("GET", "/api/version", timeout_s).get("version")
        if not isinstance(found, str):
            raise self._stranger()
        return found

    def models(self) -> dict[str, str]:
        """Digest of the manifest (over weights, template, parameters, licence) by model name."""
        found = self._json("GET", "/api/tags", self._look_s).get("models")
        try:
            return {str(model["name"]): str(model["digest"]) for model in found or ()}
        except (TypeError, KeyError):
            raise self._stranger() from None

    def generate(
        self, model: str, prompt: str, *, max_tokens: int, timeout_s: float, keep_alive: str | None = None
    ) -> Reply:
        """The likeliest answer to a whole prompt, rendered by us. Never cut, never shifted.

        Raises EngineUnreachable, EngineBusy, EngineTimeout, NotServed, DoesNotFit, else EngineError.
        """
        body = {"prompt": prompt, "raw": True, **_asking(model, max_tokens, keep_alive)}
        return self._reply("/api/generate", body, max_tokens, timeout_s)

    def chat(
        self,
        model: str,
        messages: Sequence[Mapping[str, Any]],
        *,
        max_tokens: int,
        timeout_s: float,
        keep_alive: str | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
        format: str | Mapping[str, Any] | None = None,
    ) -> Reply:
        """The likeliest answer to messages, rendered by the model's template in Ollama: as any other client gets it.

        format: "json" or a JSON schema. Raises as `generate` does.
        """
        body = {"messages": list(messages), "think": False, **_asking(model, max_tokens, keep_alive)}
        if tools:
            body["tools"] = list(tools)
        if format is not None:
            body["format"] = format
        return self._reply("/api/chat", body, max_tokens, timeout_s)

    def close(self) -> None:
        if self._made is not None:
            self._made[1].close()

    # Looking after models

    def rendered(self, model: str, messages: Sequence[Mapping[str, Any]]) -> str | None:
        """The prompt that the model's template makes of messages; None where this Ollama does not tell."""
        body = {"model": model, "messages": list(messages), "stream": False, "think": False, "_debug_render_only": True}
        found = self._json("POST", "/api/chat", self._look_s, body).get("_debug_info")
        return str(found["rendered_template"]) if isinstance(found, dict) and "rendered_template" in found else None

    def has_blob(self, digest: str) -> bool:
        with self._translated(self._look_s):
            reply = self._http.head(f"{self.url}/api/blobs/sha256:{digest}", timeout=self._timeout(self._look_s))
        if reply.status_code in (200, 404):
            return reply.status_code == 200
        raise self._refusal(reply.status_code, reply.content)

    def send_blob(self, path: Path, digest: str, sent: Callable[[int], object] = lambda count: None) -> None:
        """Send a file; `sent` is told how many bytes went. Raises ResourceError where the server cannot store it."""

        def content() -> Iterator[bytes]:
            with path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
                    sent(len(chunk))

        size = str(path.stat().st_size)
        with self._translated(CREATE_S):
            reply = self._http.post(
                f"{self.url}/api/blobs/sha256:{digest}",
                content=content(),
                headers={"Content-Length": size},
                timeout=self._timeout(CREATE_S),
            )
        if reply.status_code not in (200, 201):
            raise self._refusal(reply.status_code, reply.content)

    def create(
        self,
        model: str,
        digest: str,
        *,
        parameters: Mapping[str, Any],
        licence: Sequence[str] = (),
    ) -> None:
        """Make a model of a blob that is there."""
        with self._package(CREATE_S) as package:
            steps = package.create(
                model=model,
                files={"model.gguf": f"sha256:{digest}"},
                parameters=dict(parameters),
                license=list(licence),
                stream=True,
            )
            last = ""
            for step in steps:
                last = step.status or last
        if last != "success":
            raise EngineError(f"Ollama at {self.url} did not finish making {model}.", "Try again.")

    def show(self, model: str) -> Mapping[str, Any]:
        """All that Ollama says of a model, by its own names. Raises NotServed where there is none."""
        with self._package(self._look_s) as package:
            return package.show(model).model_dump(by_alias=True)

    def loaded(self) -> dict[str, int]:
        """Bytes in memory by model name, of those that are loaded."""
        with self._package(self._look_s) as package:
            return {str(model.model): int(model.size or 0) for model in package.ps().models}

    def delete(self, model: str) -> None:
        """Raises NotServed where there is none."""
        with self._package(self._look_s) as package:
            package.delete(model)

    def load(self, model: str, *, keep_alive: str | None, timeout_s: float) -> None:
        """Bring it into memory and let it stay there for `keep_alive`; out of it at 0."""
        body = {"model": model, "stream": False, "shift": False, **_staying(keep_alive)}
        self._json("POST", "/api/generate", timeout_s, body)

    # How it is asked

    @property
    def _http(self) -> httpx.Client:
        if self._made is None or self._made[0] != os.getpid():
            import httpx

            # Proxies are for servers elsewhere, as with Ollama's own tools.
            client = httpx.Client(trust_env=not is_loopback(self.url), limits=httpx.Limits(max_connections=None))
            self._made = os.getpid(), client
        return self._made[1]

    @contextlib.contextmanager
    def _package(self, timeout_s: float) -> Iterator[ollama.Client]:
        """The `ollama` package's client; within this, what goes wrong is one of our errors."""
        try:
            import ollama
        except ImportError:
            raise MissingDependency("ollama", "serve") from None
        client = ollama.Client(self.url, timeout=self._timeout(timeout_s), trust_env=not is_loopback(self.url))
        try:
            with self._translated(timeout_s):
                yield client
        except ollama.ResponseError as error:
            said: Any = error.error
            if error.status_code >= 400 and str(said).lstrip().startswith("<"):
                raise self._stranger(error.status_code) from None
            raise self._refusal(error.status_code, said) from None
        except (ValueError, TypeError):  # what came is not Ollama's JSON
            raise self._stranger() from None
        finally:
            client._client.close()  # pyright: ignore[reportPrivateUsage] — it has no other way

    @staticmethod
    def _timeout(timeout_s: float) -> httpx.Timeout:
        import httpx

        return httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s))

    @contextlib.contextmanager
    def _translated(self, timeout_s: float) -> Iterator[None]:
        """Within this, what goes wrong is one of our errors."""
        import httpx

        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, ConnectionError):
            raise EngineUnreachable(
                f"No Ollama answers at {self.url}.", "Start it (`ollama serve`), or set OLLAMA_HOST."
            ) from None
        except httpx.TimeoutException:
            raise EngineTimeout(f"Ollama at {self.url} did not answer in time ({timeout_s:.1f} s).") from None
        except httpx.HTTPError as error:
            raise EngineUnreachable(f"Ollama at {self.url} went away ({type(error).__name__}).") from None

    def _json(self, method: str, path: str, timeout_s: float, body: Any = None) -> dict[str, Any]:
        content = None if body is None else orjson.dumps(body)
        with self._translated(timeout_s):
            reply = self._http.request(method, f"{self.url}{path}", content=content, timeout=self._timeout(timeout_s))
        if reply.status_code != 200:
            raise self._refusal(reply.status_code, reply.content)
        found = json_object(reply.content)
        if found is None:
            raise self._stranger()
        return found

    def _reply(self, path: str, body: Mapping[str, Any], max_tokens: int, timeout_s: float) -> Reply:
        begin_s = time.perf_counter()
        parts: list[dict[str, Any]] = []
        for line in self._lines(path, body, begin_s + timeout_s, timeout_s):
            part = json_object(line)
            if part is None:
                raise self._stranger()
            if "error" in part:
                raise self._refusal(200, part["error"])
            parts.append(part)
        if not parts or parts[-1].get("done") is not True:
            raise EngineUnreachable(f"Ollama at {self.url} stopped in the middle of an answer.")
        return joined(parts, max_tokens)

    def _lines(self, path: str, body: Mapping[str, Any], until_s: float, timeout_s: float) -> Iterator[bytes]:
        """The lines of the answer. Leaving it early closes the connection, which ends the work over there."""
        rest = b""
        with (
            self._translated(timeout_s),
            self._http.stream(
                "POST", f"{self.url}{path}", content=orjson.dumps(body), timeout=self._timeout(timeout_s)
            ) as reply,
        ):
            if reply.status_code != 200:
                raise self._refusal(reply.status_code, reply.read())
            # The client's time-out is for each read; a server that drips could hold the caller for ever.
            for chunk in reply.iter_bytes():
                *lines, rest = (rest + chunk).split(b"\n")
                yield from filter(None, lines)
                if time.perf_counter() > until_s:
                    raise EngineTimeout(f"Ollama at {self.url} did not answer in time.")
        if rest.strip():
            yield rest

    def _refusal(self, status: int, said: Any) -> EngineError | ResourceError:
        """What an error of the server's means. Its own words are left out where they may quote a call."""
        text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        if status != 200 and isinstance(said, bytes):
            found = json_object(said)
            if found is None or "error" not in found:
                return self._stranger(status)
            text = str(found["error"])
        low = text.lower()
        if status == 503 or "server busy" in low:
            return EngineBusy(f"Ollama at {self.url} is busy.", "Raise OLLAMA_MAX_QUEUE, or ask less at once.")
        if status == 404 or ("model" in low and "not found" in low):
            return NotServed(f"Ollama at {self.url} does not have this model.", "`protege serve` brings it back.")
        if "no space left" in low or "disk quota" in low:
            return ResourceError(
                f"The disk of the Ollama at {self.url} is full.", "Free some, or set its OLLAMA_MODELS elsewhere."
            )
        if "context" in low and ("exceed" in low or "longer than" in low):
            return DoesNotFit("The prompt is longer than the model's context in Ollama.")
        kind = next((kind for words, kind in _KINDS.items() if words in low), "no reason that is known")
        return EngineError(f"Ollama at {self.url} refused ({kind}).", "Its log says more.")

    def _stranger(self, status: int = 200) -> EngineError:
        return EngineError(
            f"What answers at {self.url} is no Ollama (HTTP {status}, not its JSON).",
            "Is a proxy in between? Set OLLAMA_HOST to Ollama itself, or NO_PROXY.",
        )


_KINDS = {
    "digest mismatch": "another digest than was said",
    "invalid digest": "an illegal digest",
    "invalid model name": "an illegal model name",
    "invalid file magic": "not a GGUF file",
    "unexpected eof": "a file that is cut off",
    "unable to load model": "a model that cannot be loaded",
    "unsupported model": "a model of a kind that it does not know",
    "does not support tools": "a template without tools",
    "runner": "the process that runs the model died",
    "terminated": "the process that runs the model died",
    "memory": "too little memory",
    "repeat limit": "the same token over and over",
}
"""What may be told of the server's words: these hold nothing of a call."""


def _asking(model: str, max_tokens: int, keep_alive: str | None) -> dict[str, Any]:
    return {
        "model": model,
        "stream": True,
        "logprobs": True,
        "truncate": False,
        "shift": False,
        "options": {**GREEDY, "num_predict": max_tokens},
        **_staying(keep_alive),
    }


def _staying(keep_alive: str | None) -> dict[str, str | int]:
    """Ollama takes 0 and -1 (for ever) as numbers only, and other durations as texts."""
    if keep_alive is None:
        return {}
    return {"keep_alive": int(keep_alive) if keep_alive in ("0", "-1") else keep_alive}
