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
from protege.serve import TemplateCheck
from protege.specialist import Specialist
from protege.task import Example
from protege.tune import Scored, Written
from watched import colour_task, specialist

TASK = colour_task()
REQUEST = Request(({"role": "user", "content": "Name the colour of a thing."},))
OWN = Scored(True, (math.log(0.9),), 5, 0.0)
NEAR = Scored(False, (math.log(0.9),), 5, NEAR_TIE)
APART = Scored(False, (math.log(0.9),), 5, NEAR_TIE + 0.1)


def compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scored: Sequence[Scored], given: Specialist | None = None
) -> Parity:
    """The check of 24 answers, of which the tuned model makes this."""
    reference = SimpleNamespace(score=lambda _answers: list(scored))
    monkeypatch.setattr("protege.tune.reference", lambda *_: reference)
    monkeypatch.setattr("protege.measure.parity.messages_for", lambda *_: REQUEST.messages)
    workspace = Workspace(tmp_path)
    examples = [Example(f"c{i}", Call(id=f"c{i}", request=REQUEST), "red", "s") for i in range(len(scored))]
    engine = MemoryEngine()
    return check_parity(workspace, TASK, given or specialist(1, "candidate"), engine, examples)


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


def sure(probability: float) -> Scored:
    """The same answer, of which the tuned model is this sure; the engine was sure to .9."""
    return replace(OWN, logprobs=(math.log(probability),))


@pytest.mark.parametrize(
    ("scored", "shift", "holds"),
    [
        ([sure(0.9)], 0.0, True),
        ([sure(0.92)], 0.25, True),  # as rounding does
        ([sure(0.95)], 0.75, False),  # the same answers, by another model
        ([sure(0.9)] * 23 + [sure(0.5)], 0.09, True),  # one answer does not decide
        ([replace(OWN, logprobs=(math.log(0.92),) * 2)], 0.25, True),  # other tokens: the mean one counts
        ([replace(OWN, logprobs=())], 0.0, True),
        ([replace(OWN, logprobs=(0.0,))], math.log(1e5) - math.log(9), False),
        ([replace(OWN, logprobs=(-math.inf,))], math.log(1e5) + math.log(9), False),
    ],
)
def test_the_log_odds_of_tokens_must_be_those_of_the_tuned_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scored: list[Scored], shift: float, holds: bool
) -> None:
    parity = compared(tmp_path, monkeypatch, scored * (24 // len(scored)))
    assert (parity.same, parity.prompts, parity.holds) == (24, 24, holds)
    assert parity.shift == pytest.approx(shift, abs=0.006)


def test_where_the_engine_tells_no_end_the_end_is_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryEngine, "tells_end", False)
    ended = replace(OWN, logprobs=(math.log(0.9), math.log(0.1)))
    assert compared(tmp_path, monkeypatch, [ended] * 24).shift == 0.0


@pytest.mark.parametrize(("quantisation", "holds"), [("Q4_K_M", True), ("Q8_0", False), ("", False)])
def test_weights_that_an_engine_was_given_in_four_bits_may_differ_by_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quantisation: str, holds: bool
) -> None:
    placed = {"toy": {"quantisation": quantisation}} if quantisation else {}
    given = replace(specialist(1, "candidate"), engine="toy", placed=placed)
    monkeypatch.setattr("protege.measure.parity.template", lambda _: TemplateCheck(None))
    assert compared(tmp_path, monkeypatch, [sure(0.94)] * 24, given).holds is holds


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
