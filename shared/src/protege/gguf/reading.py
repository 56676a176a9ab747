"""Read each GGUF file only once, also within transformers' loader.

To load one model, that loader makes a `gguf.GGUFReader` four times (configuration, tokenizer, names, weights), each of
about a million numpy objects: for a vocabulary of 262,144 tokens that took 140 of 197 s under a profiler. It also makes
the map of an architecture's tensor names anew for every module: 397 times, 5 of 10 s for SmolLM2-135M.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator
from typing import Any

import gguf
import numpy as np


@contextlib.contextmanager
def read_once() -> Iterator[None]:
    """Within this context, every reader of a GGUF file is the first one that was made of it. May be nested."""
    with _lock:
        if isinstance(gguf.GGUFReader, type):
            with _patched():
                yield
        else:
            yield  # inside another context


_lock = threading.RLock()


@contextlib.contextmanager
def _patched() -> Iterator[None]:
    library: Any = gguf

    class PlainReader(gguf.GGUFReader):
        """Slices a plain array, because slices of numpy.memmap take twice the time."""

        @property
        def data(self) -> Any:
            return self._data

        @data.setter
        def data(self, mapped: Any) -> None:
            self._data = np.asarray(mapped)

    @functools.lru_cache(maxsize=1)
    def reader(path: str) -> PlainReader:
        return PlainReader(path)

    originals = library.GGUFReader, library.get_tensor_name_map
    library.GGUFReader = lambda path, mode="r": reader(str(path)) if mode == "r" else originals[0](path, mode)
    library.get_tensor_name_map = functools.cache(library.get_tensor_name_map)
    try:
        yield
    finally:
        library.GGUFReader, library.get_tensor_name_map = originals
