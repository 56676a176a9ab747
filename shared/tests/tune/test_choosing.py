"""A head takes an embedding where rows left out gain by it, and only there."""

from __future__ import annotations

from pathlib import Path

import pytest
from protege.common.progress import Silent
from protege.embedding import AUTO, NONE, embedder_named
from protege.errors import BadInput
from protege.heads import Head, write
from protege.tune import TuneSettings
from protege.tune.methods.choosing import taught
from protege.tune.methods.head import ways_for

PLACES = ("the harbour", "our street", "the market", "a small town", "the island", "the old bridge", "the north gate")
WEATHER = ("rain", "a storm", "sunshine", "heavy snow", "thick fog", "hail", "a cold wind", "clear skies", "drizzle")
FOOD = ("soup", "fresh bread", "a pear tart", "noodles", "grilled fish", "rice", "dumplings", "an omelette", "cheese")


def asked(what: str, place: str) -> str:
    return f"\x1esystem\x1f\x1euser\x1fI heard there was {what} at {place}"


MEANT = [
    (asked(what, place), kind) for kind, sort in (("w", WEATHER), ("f", FOOD)) for what in sort for place in PLACES
]
"""Each thing comes seven times; what it is tells the answer."""
NEW = [(asked(what, PLACES[0]), kind) for what, kind in (("a blizzard", "w"), ("a gale", "w"), ("a stew", "f"))]


def head_of(rows: list[tuple[str, str]], name: str) -> Head:
    embedder = None if name == NONE else embedder_named(name)
    ways = ways_for([answer for _, answer in rows])
    head, learnt = taught([prompt for prompt, _ in rows], ways, 17, Silent(), embedder, name)
    assert learnt.figures(head)["embedder"] == (head.near.embedder if head.near else None)
    return head


def once_each() -> list[tuple[str, str]]:
    """Rows in which no word tells the answer twice, but its meaning does."""
    return [row for at, row in enumerate(MEANT) if at % len(PLACES) == at // len(PLACES) % len(PLACES)]


def test_where_words_are_new_and_their_meaning_is_not_it_is_used(tmp_path: Path) -> None:
    head = head_of(once_each(), "packaged")
    assert head.near is not None
    for prompt, kind in NEW:
        vector = embedder_named("packaged").embed(prompt.rpartition("\x1f")[2], timeout_s=60)
        assert head.answer(prompt, vector).text == kind
    again = head_of(once_each(), "packaged")
    for name, one in (("one", head), ("two", again)):
        write(one, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_where_single_words_tell_the_answer_it_is_not() -> None:
    rows = [(asked(f"{answer} {number}", "sea"), answer) for number in range(20) for answer in ("red", "blue")]
    assert head_of(rows, "packaged").near is None
    assert head_of(once_each(), NONE).near is None


def test_the_embedder_is_decided_for_heads_alone() -> None:
    identity = embedder_named("packaged").identity
    once = TuneSettings(method="head").decided()
    assert once.embedder == f"packaged#{identity[:12]}" and once.decided() == once
    assert TuneSettings().embedder == AUTO and TuneSettings(embedder="packaged").decided().embedder == NONE
    with pytest.raises(BadInput, match="ollama:MODEL"):
        TuneSettings(embedder="nothing")
