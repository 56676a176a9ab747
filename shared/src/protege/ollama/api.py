"""The client of one Ollama server.

What runs in the agent (`version`, `models`, `generate`), and what the `ollama` package cannot do (asking for a blob
before sending it, progress while sending, `_debug_render_only`, raw prompts with log-probabilities read line by line
under one deadline), goes over httpx. Managing models goes through that package. The errors of both become ours.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import EngineError
from .address import CONNECT_S
from .replies import Reply

if TYPE_CHECKING:
    from .connection import Connection

NAMESPACE = "protege"
"""The namespace of the models that we make: specialists."""
LOOK_S = 10.0
"""Time-out for managing models, which transfers little."""
CREATE_S = 600.0
"""Time-out for a silent server that hashes and copies weights of several GB, and does not report its progress."""
CHUNK = 1 << 20

GREEDY: Mapping[str, Any] = {
    "temperature": 0,
    "top_k": 1,
    "top_p": 1.0,
    "min_p": 0.0,
    "seed": 0,
    # 1.1 by default before 0.31: it changes which token is the likeliest, and the log-probabilities do not show it.
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
"""The options of every request. None of these makes Ollama load a model again, as num_ctx or num_thread would."""


class Ollama:
    """One server. Safe to share among threads and with forked processes.

    look_s: time-out for requests that only look something up.
    """

    def __init__(self, url: str, *, look_s: float = LOOK_S) -> None:
        self.url = url
        self._look_s = look_s
        self._made: tuple[int, Connection] | None = None

    # What runs in the agent

    def version(self, timeout_s: float = CONNECT_S) -> str:
        """The server's version. Raises EngineError if no Ollama answers."""
        version = self._connection.json("GET", "/api/version", timeout_s).get("version")
        if not isinstance(version, str):
            raise self._connection.stranger()
        return version

    def models(self) -> dict[str, str]:
        """The digest of each model's manifest (over weights, template, parameters, licence), by the model's name."""
        models = self._connection.json("GET", "/api/tags", self._look_s).get("models")
        try:
            return {str(model["name"]): str(model["digest"]) for model in models or ()}
        except (TypeError, KeyError):
            raise self._connection.stranger() from None

    def generate(
        self, model: str, prompt: str, *, max_tokens: int, timeout_s: float, keep_alive: str | None = None
    ) -> Reply:
        """The likeliest answer to a whole prompt that was rendered here. The prompt is never cut or shifted.

        Raises EngineUnreachable, EngineBusy, EngineTimeout, NotServed, DoesNotFit, or another EngineError.
        """
        body = {"prompt": prompt, "raw": True, **_asking(model, max_tokens, keep_alive)}
        return self._connection.reply("/api/generate", body, max_tokens, timeout_s)

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
        """The likeliest answer to messages that Ollama renders by the model's template, as any other client gets it.

        format: "json" or a JSON schema. Raises the same errors as `generate`.
        """
        body = {"messages": list(messages), "think": False, **_asking(model, max_tokens, keep_alive)}
        if tools:
            body["tools"] = list(tools)
        if format is not None:
            body["format"] = format
        return self._connection.reply("/api/chat", body, max_tokens, timeout_s)

    def embed(self, model: str, text: str, *, timeout_s: float, keep_alive: str | None = None) -> list[float]:
        """The text's embedding, not of any certain length. A text that is too long is cut at its end.

        Raises as `generate`.
        """
        body = {"model": model, "input": text, "truncate": True, **_staying(keep_alive)}
        embeddings = self._connection.within("/api/embed", body, timeout_s).get("embeddings")
        try:
            return [float(number) for number in embeddings[0]]  # pyright: ignore[reportOptionalSubscript]
        except (TypeError, ValueError, IndexError, KeyError):
            raise self._connection.stranger() from None

    def close(self) -> None:
        if self._made is not None:
            self._made[1].close()

    # Managing models

    def rendered(self, model: str, messages: Sequence[Mapping[str, Any]]) -> str | None:
        """The prompt that the model's template makes of messages; None if this Ollama cannot return it."""
        body = {"model": model, "messages": list(messages), "stream": False, "think": False, "_debug_render_only": True}
        info = self._connection.json("POST", "/api/chat", self._look_s, body).get("_debug_info")
        return str(info["rendered_template"]) if isinstance(info, dict) and "rendered_template" in info else None

    def has_blob(self, digest: str) -> bool:
        """Whether the server has the file with this SHA-256 (hex)."""
        response = self._connection.request("HEAD", f"/api/blobs/sha256:{digest}", self._look_s)
        if response.status_code in (200, 404):
            return response.status_code == 200
        raise self._connection.refusal(response.status_code, response.content)

    def send_blob(self, path: Path, digest: str, sent: Callable[[int], object] = lambda count: None) -> None:
        """Send a file. Calls `sent` with the bytes of each piece. Raises ResourceError if the server cannot store
        it."""

        def content() -> Iterator[bytes]:
            with path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
                    sent(len(chunk))

        headers = {"Content-Length": str(path.stat().st_size)}
        blob = f"/api/blobs/sha256:{digest}"
        response = self._connection.request("POST", blob, CREATE_S, content=content(), headers=headers)
        if response.status_code not in (200, 201):
            raise self._connection.refusal(response.status_code, response.content)

    def create(
        self,
        model: str,
        digest: str,
        *,
        parameters: Mapping[str, Any],
        licence: Sequence[str] = (),
    ) -> None:
        """Make a model from a blob that the server has."""
        self._create(model, {"model.gguf": digest}, parameters=dict(parameters), license=list(licence))

    def convert(self, model: str, files: Mapping[str, str]) -> None:
        """Make a model from a folder in Hugging Face form. Versions from 0.34 on cannot.

        files: the SHA-256 (hex) of each file's blob, which the server has, by its name. Raises EngineError.
        """
        self._create(model, files)

    def _create(self, model: str, files: Mapping[str, str], **given: Any) -> None:
        with self._connection.package(CREATE_S) as package:
            named = {name: f"sha256:{digest}" for name, digest in files.items()}
            last = ""
            for step in package.create(model=model, files=named, stream=True, **given):
                last = step.status or last
        if last != "success":
            raise EngineError(f"Ollama at {self.url} did not finish making {model}.", "Try again.")

    def show(self, model: str) -> Mapping[str, Any]:
        """Everything that Ollama tells about a model, by Ollama's own names. Raises NotServed if there is no such
        model."""
        with self._connection.package(self._look_s) as package:
            return package.show(model).model_dump(by_alias=True)

    def capabilities(self, model: str) -> tuple[str, ...]:
        """What the model can do, in Ollama's words: "completion", "embedding", …; empty where this version tells none.

        Raises NotServed if there is no such model.
        """
        told = self._connection.json("POST", "/api/show", self._look_s, {"model": model}).get("capabilities")
        return tuple(map(str, told)) if isinstance(told, list) else ()

    def loaded(self) -> dict[str, int]:
        """The bytes in memory of each loaded model, by name."""
        with self._connection.package(self._look_s) as package:
            return {str(model.model): int(model.size or 0) for model in package.ps().models}

    def delete(self, model: str) -> None:
        """Delete a model. Raises NotServed if there is no such model."""
        with self._connection.package(self._look_s) as package:
            package.delete(model)

    def load(self, model: str, *, keep_alive: str | None, timeout_s: float) -> None:
        """Load a model into memory and keep it there for `keep_alive`; "0" unloads it."""
        body = {"model": model, "stream": False, "shift": False, **_staying(keep_alive)}
        self._connection.json("POST", "/api/generate", timeout_s, body)

    @property
    def _connection(self) -> Connection:
        if self._made is None or self._made[0] != os.getpid():
            # httpx takes 0.14 s to load, and an agent imports this module whether it asks an Ollama or not.
            from .connection import Connection

            self._made = os.getpid(), Connection(self.url)
        return self._made[1]


def _asking(model: str, max_tokens: int, keep_alive: str | None) -> dict[str, Any]:
    return {
        "model": model,
        "stream": True,
        "logprobs": True,
        "top_logprobs": 2,  # the token's own, and the runner-up's
        "truncate": False,
        "shift": False,
        "options": {**GREEDY, "num_predict": max_tokens},
        **_staying(keep_alive),
    }


def _staying(keep_alive: str | None) -> dict[str, str | int]:
    """Ollama accepts 0 and -1 (for ever) only as numbers, and other durations only as texts."""
    if keep_alive is None:
        return {}
    return {"keep_alive": int(keep_alive) if keep_alive in ("0", "-1") else keep_alive}
