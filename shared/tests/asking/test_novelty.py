"""The share of a prompt's words that no training prompt had."""

from __future__ import annotations

import json
import random
import string
import time

import pytest
from protege import Call, Request, Task, Template
from protege.asking.novelty import Novelty, novelty_from
from protege.task import Example, TemplatePart

TASK = Task(
    id="colour",
    name="colour",
    kind="label",
    templates=(Template("sig", (TemplatePart(0, "system", lines=("Say the colour.",)),)),),
)


def row(text: str, system: str = "Say the colour.") -> Example:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    return Example("c", Call(id="c", request=Request(tuple(messages))), "")


def words(n: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return ["".join(chance.choices(string.ascii_lowercase, k=12)) for _ in range(n)]


def test_words_of_the_training_prompts_are_known_whatever_their_case_and_signs() -> None:
    known = novelty_from(TASK, "slots", [row("a red rose"), row("the sky, Élan vital")])
    assert known.share("Red ROSE!") == 0.0
    assert known.share("the ÉLAN of a zebra") == pytest.approx(2 / 5)
    assert known.share("zebra crossing") == 1.0


def test_the_constant_text_is_no_slot() -> None:
    assert novelty_from(TASK, "slots", [row("rose")]).share("colour") == 1.0
    assert novelty_from(TASK, "whole", [row("rose")]).share("colour") == 0.0


def test_rows_that_cannot_be_shown_are_passed_over() -> None:
    known = novelty_from(TASK, "slots", [row("hidden", system="Other."), row("rose")])
    assert (known.share("hidden"), known.share("rose")) == (1.0, 0.0)


def test_no_words_are_nothing_new_and_without_training_prompts_all_words_are() -> None:
    known = novelty_from(TASK, "slots", [row("rose")])
    assert known.share("") == known.share(" … 🙂 ") == 0.0
    empty = novelty_from(TASK, "slots", [])
    assert (empty.share("rose"), empty.share("")) == (1.0, 0.0)


def test_scripts_without_blanks_count_by_the_sign() -> None:
    known = novelty_from(TASK, "slots", [row("天空是蓝色的")])
    assert known.share("蓝天") == 0.0
    assert known.share("蓝马") == 0.5


def test_a_lone_surrogate_is_a_word_like_others() -> None:
    assert novelty_from(TASK, "slots", [row("rose")]).share("rose \ud800x") == 0.5


@pytest.mark.parametrize(("known", "kilobytes", "mistaken"), [(2_000, 4, 0.05), (20_000, 32, 0.05), (60_000, 64, 0.06)])
def test_it_stays_small_forgets_no_word_and_seldom_takes_a_new_one_for_known(
    known: int, kilobytes: int, mistaken: float
) -> None:
    taught, new = words(known, seed=1), words(1_000, seed=2)
    found = novelty_from(TASK, "slots", [row(" ".join(taught[i : i + 500])) for i in range(0, known, 500)])
    assert len(found.bits) <= kilobytes * 1024
    assert all(found.share(" ".join(taught[i : i + 500])) == 0.0 for i in range(0, known, 500))
    assert sum(found.share(word) for word in new) / len(new) >= 1 - mistaken


def test_it_survives_json() -> None:
    known = novelty_from(TASK, "slots", [row("rose")])
    assert Novelty.from_record(json.loads(json.dumps(known.to_record()))) == known


def test_a_kilobyte_costs_the_agent_little() -> None:
    known = novelty_from(TASK, "slots", [row(" ".join(words(5_000, seed=1)))])
    kilobyte = " ".join(words(80, seed=2))
    took: list[float] = []
    for _ in range(50):
        begin = time.perf_counter()
        known.share(kilobyte)
        took.append(time.perf_counter() - begin)
    assert min(took) < 1e-3  # measured: 0.07 ms; the bound leaves room for a slow machine
