"""transformers' GGUF loader, made to read a file once.

It makes a `gguf.GGUFReader` four times to load one model (configuration, tokenizer, names, weights), each of some
million numpy objects: for a vocabulary of 262,144 tokens that was 140 of 197 s under a profiler.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def read_once() -> Iterator[None]:
    """Within this, every reader of a GGUF file is the first one that was made of it."""
    import gguf
    import numpy as np

    class PlainReader(gguf.GGUFReader):
        """Slices a plain array: slices of numpy.memmap cost twice the time."""

        @property
        def data(self) -> Any:
            return self._data

        @data.setter
        def data(self, mapped: Any) -> None:
            self._data = np.asarray(mapped)

    original = gguf.GGUFReader
    gguf.GGUFReader = functools.lru_cache(maxsize=1)(PlainReader)  # type: ignore[misc]
    try:
        yield
    finally:
        gguf.GGUFReader = original  # type: ignore[misc]
