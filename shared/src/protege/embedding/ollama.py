"""Embedding models of an Ollama, which never pulls one. The Ollama is OLLAMA_HOST's, or the one on loopback."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..common.finding import Finding
from ..common.forks import tell_of_forks
from ..errors import BadInput, EngineError, NotServed
from ..ollama.address import address as ollama_address
from ..ollama.api import Ollama
from .embedder import EmbedderKind, encodable

if TYPE_CHECKING:
    from .embedder import Vector

NAME = "ollama"
FRESH_S = 1.0
"""Age at which the server's version and models are asked for again."""
LOOK_S = 2.0
"""Time-out of that."""
STAYS = "30m"
"""How long the model stays in Ollama's memory after a text."""
EMPTY = "."
"""Stands for an empty text, which Ollama does not embed."""
MOST_TOLD = 8
"""Models that `protege doctor` names."""


class OllamaKind(EmbedderKind):
    """Models that an Ollama has, each by its name."""

    name = NAME

    def open(self, model: str) -> OllamaEmbedder:
        """model: `NAME`, or `NAME@URL` for that of another Ollama. Connects to nothing. Raises BadInput."""
        named, _, url = model.partition("@")
        if not named:
            raise BadInput("The embedder ollama names no model.", "Write ollama:NAME, such as ollama:all-minilm.")
        return OllamaEmbedder(named if ":" in named else f"{named}:latest", ollama_address(url or None))

    def findings(self) -> Iterator[Finding]:
        """The embedding models of an Ollama that answers."""
        try:
            server = Ollama(ollama_address(), look_s=LOOK_S)
            names = [model for model in sorted(server.models()) if "embedding" in server.capabilities(model)]
        except (EngineError, BadInput):
            return
        if names:
            more = ", …" if len(names) > MOST_TOLD else ""
            fact = f"for --embedder: {', '.join(f'ollama:{name}' for name in names[:MOST_TOLD])}{more}"
            yield Finding("embedding, ollama", None, fact)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a server said of itself. digest: the model's, "" if it has none of this name."""

    at_s: float
    version: str
    digest: str


class OllamaEmbedder:
    """One model of one server."""

    def __init__(self, model: str, url: str) -> None:
        self._model = model
        self._url = url
        self.forked()
        tell_of_forks(self)

    def forked(self) -> None:
        """In a child: the lock may be held by a thread that is not here, and connections must not be shared."""
        self._lock = threading.Lock()
        self._server = Ollama(self._url, look_s=LOOK_S)
        self._seen: _Seen | None = None

    @property
    def address(self) -> str:
        """Its name, and that of the server."""
        return f"{NAME}:{self._model}@{self._url}"

    @property
    def identity(self) -> str:
        """The digest of the model's manifest. Raises NotServed if there is no such model, EngineError."""
        digest = self._look().digest
        if not digest:
            fact = f"The Ollama at {self._url} has no model {self._model}."
            raise NotServed(fact, f"Have it there (`ollama pull {self._model}`): nothing is pulled here.")
        return digest

    @property
    def version(self) -> str:
        """Ollama's. Raises EngineError."""
        return self._look().version

    def embed(self, text: str, *, timeout_s: float) -> Vector:
        """As `Embedder.embed`. Ollama cuts longer texts at their end."""
        import numpy as np  # .1 s, and `protege doctor` and the command line load this module

        shown = encodable(text).strip() or EMPTY
        numbers = self._server.embed(self._model, shown, timeout_s=timeout_s, keep_alive=STAYS)
        length = math.sqrt(math.fsum(number * number for number in numbers))
        if not (numbers and math.isfinite(length) and length > 0):
            raise EngineError(f"The Ollama at {self._url} embedded a text as no vector.")
        return (np.array(numbers, np.float64) / length).astype(np.float32)

    def close(self) -> None:
        """Give the connection back."""
        self._server.close()
        self.forked()

    def _look(self) -> _Seen:
        seen = self._seen
        if seen is None or time.monotonic() - seen.at_s > FRESH_S:
            with self._lock:
                digest = self._server.models().get(self._model, "")
                seen = self._seen = _Seen(time.monotonic(), self._server.version(), digest)
        return seen
