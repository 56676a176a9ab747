"""What every embedder must do: a class of tests for pytest to subclass.

class TestMine(EmbedderConformance):
    @pytest.fixture
    def embedder(self): ...  # one whose model is there

"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ..embedding import Embedder, embedder_named
from ..errors import EngineTimeout

if TYPE_CHECKING:
    from ..embedding.embedder import Vector

PATIENCE_S = 60.0
"""How long a busy machine may take for a text."""
TEXTS = (
    "Where is my parcel?",
    "My package has not come.",
    "A sonnet about the sea.",
    "",
    "Schöne Grüße, 東京 😀 \u0000",
)


def embedded(embedder: Embedder, text: str) -> Vector:
    """The text's vector."""
    return embedder.embed(text, timeout_s=PATIENCE_S)


class EmbedderConformance:
    """The tests of an embedder."""

    @pytest.fixture
    def embedder(self) -> Embedder:
        """The embedder. A subclass gives it."""
        raise NotImplementedError("Give a fixture `embedder`.")

    @pytest.mark.parametrize("text", TEXTS)
    def test_a_text_becomes_a_vector_of_unit_length_and_always_the_same(self, embedder: Embedder, text: str) -> None:
        first, second = (embedded(embedder, text) for _ in range(2))
        assert first.dtype == "float32" and first.ndim == 1
        assert float(first @ first) == pytest.approx(1.0, abs=1e-4)
        assert first.shape == embedded(embedder, TEXTS[0]).shape
        assert abs(first - second).max() < 1e-5

    def test_another_text_becomes_another_vector(self, embedder: Embedder) -> None:
        assert float(embedded(embedder, TEXTS[0]) @ embedded(embedder, TEXTS[2])) < 0.999

    def test_a_text_of_any_length_is_embedded(self, embedder: Embedder) -> None:
        embedded(embedder, "word " * 20_000)

    def test_half_a_character_is_no_error(self, embedder: Embedder) -> None:
        embedded(embedder, "\ud83d alone")

    def test_its_identity_and_version_stay_what_they_are(self, embedder: Embedder) -> None:
        assert (embedder.identity, embedder.version) == (embedder.identity, embedder.version)
        assert embedder.identity and embedder.version

    def test_its_address_leads_to_the_same_model(self, embedder: Embedder) -> None:
        again = embedder_named(embedder.address)
        assert (again.address, again.identity) == (embedder.address, embedder.identity)

    def test_many_threads_get_each_its_own_vector(self, embedder: Embedder) -> None:
        alone = {text: embedded(embedder, text) for text in TEXTS}
        with ThreadPoolExecutor(4) as pool:
            for text, vector in zip(TEXTS * 4, pool.map(lambda t: embedded(embedder, t), TEXTS * 4), strict=True):
                assert float(alone[text] @ vector) > 0.999

    def test_what_takes_too_long_is_an_error_and_the_next_text_is_embedded(self, embedder: Embedder) -> None:
        with pytest.raises(EngineTimeout):
            embedder.embed("word " * 2_000, timeout_s=0.0005)
        embedded(embedder, TEXTS[0])

    def test_a_closed_one_may_be_used_again(self, embedder: Embedder) -> None:
        embedder.close()
        embedded(embedder, TEXTS[0])

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_a_forked_process_embeds_alike(self, embedder: Embedder) -> None:
        here = embedded(embedder, TEXTS[0])
        child = os.fork()
        if child == 0:
            code = 1
            try:
                there = embedded(embedder, TEXTS[0])
                code = 0 if float(there @ here) > 0.999 else 2
            finally:
                os._exit(code)
        until = time.monotonic() + PATIENCE_S
        while (ended := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < until:
            time.sleep(0.02)
        assert ended[0] == child and os.waitstatus_to_exitcode(ended[1]) == 0
