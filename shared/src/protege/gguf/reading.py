"""GGUF files read once, by transformers' loader too.

It makes a `gguf.GGUFReader` four times to load one model (configuration, tokenizer, names, weights), each of some
million numpy objects: for a vocabulary of 262,144 tokens that was 140 of 197 s under a profiler. And it makes the map
of an architecture's tensor names anew for every module: 397 times, 5 of 10 s for SmolLM2-135M.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator
from typing import Any

from ..errors import MissingDependency


@contextlib.contextmanager
def read_once() -> Iterator[None]:
    """Within this, every reader of a GGUF file is the first one that was made of it. May be nested."""
    try:
        import gguf
    except ImportError:
        raise MissingDependency("gguf", "tune") from None
    with _lock:
        if isinstance(gguf.GGUFReader, type):
            with _patched(gguf):
                yield
        else:
            yield  # within another


_lock = threading.RLock()


@contextlib.contextmanager
def _patched(gguf: Any) -> Iterator[None]:
    import numpy as np

    class PlainReader(gguf.GGUFReader):
        """Slices a plain array: slices of numpy.memmap cost twice the time."""

        @property
        def data(self) -> Any:
            return self._data

        @data.setter
        def data(self, mapped: Any) -> None:
            self._data = np.asarray(mapped)

    @functools.lru_cache(maxsize=1)
    def reader(path: str) -> PlainReader:
        return PlainReader(path)

    originals = gguf.GGUFReader, gguf.get_tensor_name_map
    gguf.GGUFReader = lambda path, mode="r": reader(str(path)) if mode == "r" else originals[0](path, mode)
    gguf.get_tensor_name_map = functools.cache(gguf.get_tensor_name_map)
    try:
        yield
    finally:
        gguf.GGUFReader, gguf.get_tensor_name_map = originals
