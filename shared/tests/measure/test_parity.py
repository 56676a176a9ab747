"""Whether what is served is what was tuned: which differences count, and which are near ties."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from memory_engine import MemoryEngine
from protege import Call, Request, Workspace
from protege.evaluate import Parity
from protege.measure.parity import NEAR_TIE, check_parity
from protege.task import Example
from protege.tune import Scored
from watched import colour_task, specialist

TASK = colour_task()
REQUEST = Request(({"role": "user", "content": "Name the colour of a thing."},))
OWN = Scored(True, (math.log(0.9),), 5, 0.0)
NEAR = Scored(False, (math.log(0.9),), 5, NEAR_TIE)
APART = Scored(False, (math.log(0.9),), 5, NEAR_TIE + 0.1)


def compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scored: Sequence[Scored]) -> Parity:
    """The check of 24 answers, of which the tuned model makes this."""
    left = iter(scored)
    reference = SimpleNamespace(score=lambda prompt, answer, ended: next(left))
    monkeypatch.setattr("protege.tune.reference", lambda *_: reference)
    monkeypatch.setattr("protege.measure.parity.messages_for", lambda *_: REQUEST.messages)
    workspace = Workspace(tmp_path)
    examples = [Example(f"c{i}", Call(id=f"c{i}", request=REQUEST), "red", "s") for i in range(len(scored))]
    engine = MemoryEngine()
    return check_parity(workspace, TASK, specialist(1, "candidate"), engine, examples)


def test_near_ties_are_counted_and_refuse_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parity = compared(tmp_path, monkeypatch, [OWN] * 16 + [NEAR] * 8)
    assert (parity.n, parity.same, parity.near_ties, parity.holds) == (24, 24, 8, True)
    assert "24 of 24 answers are the tuned model's own (8 but for near ties)" in parity.reason


@pytest.mark.parametrize(("apart", "holds"), [(0, True), (3, True), (4, False), (24, False)])
def test_answers_that_the_model_would_clearly_not_have_given_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apart: int, holds: bool
) -> None:
    parity = compared(tmp_path, monkeypatch, [APART] * apart + [OWN] * (24 - apart))
    assert (parity.same, parity.near_ties, parity.holds) == (24 - apart, 0, holds)


def test_a_tuner_that_tells_no_gap_has_no_near_ties(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    untold = Scored(False, OWN.logprobs, 5)
    assert not compared(tmp_path, monkeypatch, [untold] * 24).holds


@pytest.mark.parametrize("fault", [replace(NEAR, prompt_tokens=4), replace(NEAR, logprobs=(math.log(0.9) - 0.2,))])
def test_a_near_tie_excuses_no_other_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Scored) -> None:
    assert not compared(tmp_path, monkeypatch, [fault] * 24).holds


@pytest.mark.parametrize(("known", "by"), [(True, "tokens"), (False, "text")])
def test_an_answer_is_scored_in_the_tokens_that_the_engine_wrote_where_they_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool, by: str
) -> None:
    asked: list[str] = []

    class Reads:
        def score(self, prompt: str, answer: str, *, ended: bool) -> Scored:
            asked.append("text")
            return OWN

        def score_tokens(self, prompt: str, tokens: Sequence[str], *, ended: bool) -> Scored | None:
            assert "".join(tokens)
            asked.append("tokens")
            return OWN if known else None

    monkeypatch.setattr("protege.tune.reference", lambda *_: Reads())
    monkeypatch.setattr("protege.measure.parity.messages_for", lambda *_: REQUEST.messages)
    example = Example("c", Call(id="c", request=REQUEST), "red", "s")
    assert check_parity(Workspace(tmp_path), TASK, specialist(1, "candidate"), MemoryEngine(), [example]).holds
    assert asked[-1] == by and asked[0] == "tokens"
