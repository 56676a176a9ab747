"""An answer's bytes are decompressed for its record, within a bound."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
from protege.errors import BadCall
from protege.gateway.coding import decoded

MOST = 4 << 20
PACKED: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress}


@pytest.mark.parametrize("coding", PACKED)
def test_it_is_what_was_packed_also_where_it_was_cut_off(coding: str):
    text = b"".join(b"line %d of an answer\n" % number for number in range(9000))
    packed = PACKED[coding](text)
    assert decoded(packed, coding, MOST) == text
    assert text.startswith(decoded(packed[: len(packed) // 2], coding, MOST))


@pytest.mark.parametrize("coding", PACKED)
def test_what_unfolds_to_too_much_is_refused_before_it_has(coding: str):
    bomb = PACKED[coding](bytes(60 << 20))
    tracemalloc.start()
    with pytest.raises(BadCall, match="too large"):
        decoded(bomb, coding, MOST)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 24 << 20


@pytest.mark.parametrize("coding", [*PACKED, "zstd", "sdch", "gzip, br"])
def test_bytes_of_another_coding_are_refused(coding: str):
    with pytest.raises(BadCall):
        decoded(b"\x00not packed\xff" * 9, coding, MOST)
