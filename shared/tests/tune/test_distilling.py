"""Token probabilities of a larger model are learnt besides the recorded answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from protege.common.progress import Silent
from protege.curate import Curated
from protege.errors import BaseModelError, ResourceError
from protege.select.base import load_base
from protege.specialist import Base
from protege.task import Task
from protege.tune import TuneSettings, resources, try_out
from protege.tune.distilling import SHARE, Mentor, drawn_to
from protege.tune.examples import IGNORED, Padded, encode
from protege.tune.methods.lora import Lora
from protege.tune.model import Encoder
from protege.tune.training import AnswerTrainer, answer_loss

SHORT = TuneSettings(steps=4, batch=4, learning_rate=5e-3, warmup_steps=1, evaluations=1, validation_rows=8)


@pytest.fixture(scope="module")
def mentor(make_base: Callable[..., Base]) -> Base:
    """Another model with the student's vocabulary."""
    return load_base(Path(make_base("qwen2").path))


def test_divergence_is_that_of_the_two_distributions_over_what_both_have() -> None:
    student, mentor = torch.randn(5, 8), torch.randn(5, 11)
    ours, theirs = student.softmax(-1), mentor[:, :8].softmax(-1)
    expected = (theirs * (theirs / ours).log()).sum(-1).mean()
    assert float(drawn_to(student, mentor)) == pytest.approx(float(expected), rel=1e-4)
    assert float(drawn_to(student, student)) == pytest.approx(0, abs=1e-6)


def test_the_mentor_reads_the_whole_prompt_and_the_same_answer(
    curated: Curated, colours: Task, tiny: Base, mentor: Base
) -> None:
    encoder = Encoder(tiny)
    found = Mentor.at(mentor.path, encoder)
    rows = encode(curated.examples("train")[:8], colours, tiny, "slots", encoder, 512, found).rows
    alone = encode(curated.examples("train")[:8], colours, tiny, "slots", encoder, 512).rows
    for row, without in zip(rows, alone, strict=True):
        assert {name: row[name] for name in without} == without
        assert len(row["mentor_ids"]) > len(row["input_ids"])
        answer = [label for label in row["labels"] if label != IGNORED]
        assert [label for label in row["mentor_labels"] if label != IGNORED] == answer

    trainer, student = AnswerTrainer.__new__(AnswerTrainer), Lora().student(tiny, SHORT).eval()
    student.requires_grad_(False)
    batch = Padded(encoder.pad_id)(rows)
    recorded = float(answer_loss(student, batch["input_ids"], batch["labels"]))
    trainer.mentor = student  # which reads another prompt than itself
    apart = (float(trainer._loss(student, batch)) - (1 - SHARE) * recorded) / SHARE
    assert apart > 0
    same: dict[str, Any] = {**batch, "mentor_ids": batch["input_ids"], "mentor_labels": batch["labels"]}
    assert float(trainer._loss(student, same)) == pytest.approx((1 - SHARE) * recorded, abs=1e-4)


def test_a_run_with_a_mentor_is_judged_by_the_recorded_answers_alone(
    curated: Curated, colours: Task, tiny: Base, mentor: Base, tmp_path: Path
) -> None:
    plain = try_out(curated, colours, tiny, tmp_path / "plain", SHORT, Silent())
    taught = try_out(curated, colours, tiny, tmp_path / "taught", replace(SHORT, mentor=mentor.path), Silent())
    assert taught["losses"][0] != plain["losses"][0]
    assert taught["validation_loss"] == pytest.approx(plain["validation_loss"], rel=0.5), "of the same kind"


def test_what_cannot_be_a_mentor_is_refused_before_anything_is_trained(
    curated: Curated, colours: Task, tiny: Base, mentor: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Encoder(tiny)
    found.tokenizer.add_tokens(["another"])
    with pytest.raises(BaseModelError, match="vocabulary"):
        Mentor.at(mentor.path, found)
    for path in (tmp_path / "none.gguf", tmp_path):
        with pytest.raises(BaseModelError):
            try_out(curated, colours, tiny, tmp_path / "x", replace(SHORT, mentor=str(path)), Silent())
    monkeypatch.setattr(resources, "count_weights", lambda base: 10**9 if base.architecture == "qwen2" else 10**6)
    monkeypatch.setattr("protege.tune.distilling.count_weights", resources.count_weights)
    monkeypatch.setattr(resources.psutil, "virtual_memory", lambda: type("M", (), {"available": 3 * 2**30})())
    with pytest.raises(ResourceError):
        try_out(curated, colours, tiny, tmp_path / "y", replace(SHORT, mentor=mentor.path), Silent())
