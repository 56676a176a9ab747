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
from protege.tune import Scored, Written
from watched import colour_task, specialist

TASK = colour_task()
REQUEST = Request(({"role": "user", "content": "Name the colour of a thing."},))
OWN = Scored(True, (math.log(0.9),), 5, 0.0)
NEAR = Scored(False, (math.log(0.9),), 5, NEAR_TIE)
APART = Scored(False, (math.log(0.9),), 5, NEAR_TIE + 0.1)


def compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scored: Sequence[Scored]) -> Parity:
    """The check of 24 answers, of which the tuned model makes this."""
    reference = SimpleNamespace(score=lambda _answers: list(scored))
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


def test_the_tuned_model_is_asked_once_for_all_answers_with_their_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sequence[Written]] = []
    reference = SimpleNamespace(score=lambda answers: asked.append(answers) or [OWN] * len(answers))
    monkeypatch.setattr("protege.tune.reference", lambda *_: reference)
    monkeypatch.setattr("protege.measure.parity.messages_for", lambda *_: REQUEST.messages)
    examples = [Example(f"c{i}", Call(id=f"c{i}", request=REQUEST), "red", "s") for i in range(3)]
    assert check_parity(Workspace(tmp_path), TASK, specialist(1, "candidate"), MemoryEngine(), examples).holds
    ((first, *others),) = asked
    assert len(others) == 2 and (first.text, first.ended, first.tokens) == ("red", True, ("red",))
