"""Near-duplicates: found where texts share their slots, in bounded time whatever the texts are."""

from __future__ import annotations

import base64
import random
import time
import tracemalloc

import numpy as np
import pytest
from protege.curate.near import ALIKE, CLOSE, COMPARED_CHARS, components, near_pairs

rng = random.Random(3)
VOCABULARY = ["".join(rng.choices("abcdefghijklmnoprstuvwyz", k=rng.randint(2, 9))) for _ in range(3000)]


def sentence(seed: int, words: int = 12) -> str:
    return " ".join(random.Random(seed).choices(VOCABULARY, k=words))


def groups(texts: list[str], least: float = ALIKE) -> list[int]:
    return components(len(texts), *near_pairs(texts).above(least)).tolist()


def exact(one: str, other: str) -> float:
    first, second = ({f"   {t}   "[i : i + 4] for i in range(len(t) + 3)} for t in (one, other))
    return len(first & second) / len(first | second)


def test_a_word_more_or_a_letter_less_is_a_near_duplicate_and_another_sentence_is_none():
    texts = [sentence(i) for i in range(200)]
    more = [f"{text} please" for text in texts]
    less = [text[:20] + text[21:] for text in texts]
    found = groups([*texts, *more, *less])
    assert found[:200] == found[200:400] == found[400:]
    assert len(set(found)) == 200


def test_of_pairs_as_similar_as_eight_tenths_nearly_all_are_linked():
    draw = random.Random(5)
    texts = [sentence(i, 30) for i in range(1500)]
    copies = [" ".join(draw.choice(VOCABULARY) if draw.random() < 0.06 else w for w in t.split()) for t in texts]
    found = groups([*texts, *copies])
    alike = [i for i in range(1500) if exact(texts[i], copies[i]) >= 0.8]
    assert len(alike) > 500
    assert sum(found[i] == found[1500 + i] for i in alike) >= 0.995 * len(alike)


def test_the_estimate_is_the_jaccard_similarity():
    texts = [sentence(i, 40) for i in range(50)]
    pairs = near_pairs([*texts, *(f"{text} {sentence(900 + i, 4)}" for i, text in enumerate(texts))])
    both = [*texts, *(f"{text} {sentence(900 + i, 4)}" for i, text in enumerate(texts))]
    errors = [s - exact(both[a], both[b]) for a, b, s in zip(pairs.left, pairs.right, pairs.similarity, strict=True)]
    assert len(errors) >= 50
    assert abs(np.mean(errors)) < 0.02 and np.std(errors) < 0.06


def test_wording_that_most_texts_share_makes_nobody_a_near_duplicate():
    wording = sentence(1, 80)
    texts = [f"{wording} {sentence(i, 6)}" for i in range(100, 300)]
    assert len(set(groups(texts))) == 200
    assert groups([*texts, f"{texts[0]} x"])[-1] == groups([*texts, f"{texts[0]} x"])[0]


def test_short_answers_after_long_wording_are_like_nothing_but_themselves():
    wording = sentence(1, 80)
    texts = [f"{wording} {a}" for a in ("yes", "no", "ok", "five")] * 3
    texts += [f"{wording} {sentence(i, 5)}" for i in range(40)]
    found = groups(texts)
    assert found[:4] == found[4:8] and len(set(found[:4])) == 4


def test_two_wordings_in_the_calls_of_a_loop_are_both_seen():
    """The sample that says what is wording must not step in time with the agent."""
    texts = [f"{sentence(i % 20, 30)} {i}" for i in range(6000)]
    assert len(set(groups(texts))) == 20


def test_details_are_told_apart_by_the_stricter_bound():
    long = sentence(4, 60)
    texts = [long, f"{long}s", " ".join([*long.split()[:50], sentence(8, 10)])]
    assert len(set(groups(texts))) == 1
    assert len(set(groups(texts, CLOSE))) == 2


@pytest.mark.parametrize(
    "script",
    ["今天天气怎么样请告诉我北京的情况谢谢", "где мой заказ подскажите пожалуйста срочно", "🍕🍔🍟🌭🍿🧂🥓🥚🍳🧇🥞"],
)
def test_scripts_without_spaces_or_latin_letters_are_compared_too(script: str):
    long = script + script[::-1]
    assert len(set(groups([long, long + script[0], sentence(1), sentence(2)]))) == 3


@pytest.mark.parametrize("texts", [[], ["one"], [""], ["", "", "?"], ["a", "b"], ["x"] * 7])
def test_few_empty_and_equal_texts(texts: list[str]):
    assert len(set(groups(texts))) == len(set(texts))


def test_the_same_texts_give_the_same_pairs():
    texts = [sentence(i % 90) for i in range(300)]
    first, second = near_pairs(texts), near_pairs(texts)
    assert first.left.tolist() == second.left.tolist() and first.right.tolist() == second.right.tolist()


def test_lone_surrogates_and_zero_bytes_are_characters_like_others():
    texts = [f"\ud800 {sentence(1)} \x00", f"\ud800 {sentence(1)} \x00!", f"\udfff {sentence(2)}"]
    assert groups(texts)[0] == groups(texts)[1] != groups(texts)[2]


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("equal", ["where is my parcel"] * 50_000),
        ("alike", [f"{sentence(1, 20)} {i}" for i in range(10_000)]),
        ("one family in four", [f"{sentence(i % 4, 30)} {i}" for i in range(10_000)]),
        ("different", [sentence(i, 8) for i in range(10_000)]),
        ("5 MB", [str(i) + "lorem ipsum " * 420_000 for i in range(4)]),
        ("base64", [base64.b64encode(random.Random(i).randbytes(150_000)).decode() for i in range(40)]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_time_and_memory_are_bounded_whatever_the_texts_are(name: str, texts: list[str]):
    tracemalloc.start()
    start = time.process_time()
    near_pairs(texts)
    seconds, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < 5, name
    assert peak < 300e6, name


def test_of_a_long_text_only_the_ends_count():
    ends = sentence(1, COMPARED_CHARS // 14)
    one, other = (f"{ends}{sentence(i, 60_000)}{ends}" for i in (7, 8))
    assert len(set(groups([one, other, sentence(9)]))) == 2
