"""An embedder: a text goes in, a vector of unit length comes out.

A package that brings one writes a subclass of `EmbedderKind` and names it in the entry-point group `protege.embedders`.
`protege.testing.embedders` has the tests that every embedder passes. Importing a kind's module must stay light.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol, TypeAlias

from ..common.finding import Finding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector: TypeAlias = NDArray[np.float32]


class Embedder(Protocol):
    """One embedding model. Safe for many threads; a forked process may go on with it."""

    @property
    def address(self) -> str:
        """By which `embedder_named` finds it again, in this process or another."""
        ...

    @property
    def identity(self) -> str:
        """SHA-256 (hex) over the model: weights, tokenizer, options. With another one a vector means nothing.

        As they are now, a second ago at most. Raises EngineError where that cannot be told.
        """
        ...

    @property
    def version(self) -> str:
        """Of what runs the model, on which the last digits of a vector depend. Raises EngineError."""
        ...

    def embed(self, text: str, *, timeout_s: float) -> Vector:
        """The text's vector: one dimension, float32, of length 1; the same for the same text.

        A text that is longer than the model reads is cut in its middle or at its end. Raises EngineError if the model
        fails, with EngineTimeout if that takes longer than `timeout_s`, and NotServed if it is not there.
        """
        ...

    def close(self) -> None:
        """Give back what it holds. It may be used again."""
        ...


class EmbedderKind(ABC):
    """A way to have embedders. One object a process stands for it."""

    name: str
    """As it is registered: the part of an embedder's name before the colon."""

    @abstractmethod
    def open(self, model: str) -> Embedder:
        """The embedder of this model. model: what stands behind the colon, "" if nothing does.

        Loads and connects as little as it can. Raises BadInput if there can be no such model, MissingDependency.
        """

    def available(self) -> bool:
        """Whether it may be chosen where the user named no embedder. Loads nothing."""
        return False

    def findings(self) -> Iterable[Finding]:
        """What `protege doctor` tells of it. Changes nothing, never raises."""
        return ()


def encodable(text: str) -> str:
    """The text with a question mark for each half of a character, which no model takes."""
    return text.encode("utf-8", "replace").decode()
