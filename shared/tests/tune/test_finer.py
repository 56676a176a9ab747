"""Where what is served is not what was tuned, weights that are less rounded are tried before it is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFReader
from protege import measure
from protege.common.progress import Silent
from protege.curate import Curated
from protege.evaluate import Parity
from protege.loop import steps
from protege.loop.run import Run
from protege.loop.settings import Settings
from protege.select.base import load_base
from protege.serve.finer import precision
from protege.specialist import Base, Specialist
from protege.task import Task
from protege.tune import TuneSettings, tune
from protege.workspace import Workspace
from tiny_models import to_gguf, write_folder

QUICK = TuneSettings(steps=6, batch=8, learning_rate=5e-3, warmup_steps=2, evaluations=1, validation_rows=8)
AWRY = Parity(24, 3, 24, 1.7, None, "", False, "What is served is not what was tuned.")


@pytest.fixture(scope="module")
def made(curated: Curated, colours: Task, tmp_path_factory: pytest.TempPathFactory) -> tuple[Specialist, Path]:
    """A tuned specialist, and the folder with its files."""
    folder = tmp_path_factory.mktemp("made")
    file = to_gguf(write_folder(folder / "tiny", "llama"), folder / "tiny.gguf")
    base: Base = replace(load_base(file), licence="Apache-2.0", parameters=2_000_000_000)  # so that it counts as large
    tuned = tune(curated, colours, base, folder / "out", QUICK)
    given = {"files": tuned.files, "digests": tuned.digests, "settings": tuned.settings, "max_tokens": 8}
    return Specialist("sp-tiny", "colours-v1", "colours", 1, base, "slots", **given), folder / "out"


@pytest.fixture
def run(made: tuple[Specialist, Path], colours: Task, tmp_path: Path) -> Run:
    workspace = Workspace(tmp_path / "home")
    shutil.copytree(made[1], workspace.specialist_folder(made[0]))
    workspace.save_specialist(made[0])
    return Run(workspace, colours, Settings(engine="embedded"), Silent())


@pytest.fixture
def refused_at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Has these types of weights refused, whatever they are; gives the list of those that are compared."""

    def have(*types: str) -> list[str]:
        seen: list[str] = []
        check = measure.check_parity

        def judged(workspace: Workspace, task: Task, specialist: Specialist, *others: Any) -> Parity:
            seen.append(precision(specialist))
            return AWRY if seen[-1] in types else check(workspace, task, specialist, *others)

        monkeypatch.setattr("protege.measure.check_parity", judged)
        return seen

    return have


@pytest.fixture
def quantiser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for llama-quantize, which is not here: it copies, and adds a byte, so that it is another file."""
    program = tmp_path / "llama-quantize"
    program.write_text('#!/bin/sh\ncp "$2" "$3" && printf x >> "$3"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PROTEGE_QUANTIZE", str(program))


def test_the_embedded_engine_is_given_16_bits_where_8_are_refused(
    run: Run, made: tuple[Specialist, Path], curated: Curated, refused_at: Callable[..., list[str]]
) -> None:
    seen = refused_at("Q8_0")
    served, compared = steps.served_alike(run, made[0], curated)
    assert seen == ["Q8_0", "F16"] and compared.holds
    assert compared.reason.startswith("F16 was taken: ") and f"As Q8_0: {AWRY.reason}" in compared.reason
    folder = run.workspace.specialist_folder(served)
    kinds = {t.name: t.tensor_type.name for t in GGUFReader(folder / served.files["gguf"]).tensors}
    assert kinds["blk.0.attn_q.weight"] == "F16" and kinds["token_embd.weight"] == "F32"
    assert run.workspace.specialist(served.id) == served
    again, same = steps.served_alike(run, served, curated)
    assert (again, same) == (served, compared) and seen == ["Q8_0", "F16"], "what was compared is not compared anew"


@pytest.mark.usefixtures("quantiser")
@pytest.mark.parametrize("refused", [("Q4_K_M", "Q8_0"), ("Q4_K_M", "Q8_0", "F16")])
def test_ollama_is_given_8_bits_and_then_16_where_4_are_refused(
    refused: tuple[str, ...],
    run: Run,
    made: tuple[Specialist, Path],
    curated: Curated,
    refused_at: Callable[..., list[str]],
    ollama_server: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", ollama_server.url)
    seen = refused_at(*refused)
    run = replace(run, settings=Settings(engine="ollama"))
    served, compared = steps.served_alike(run, made[0], curated)
    assert seen == ["Q4_K_M", "Q8_0", "F16"][: len(refused) + 1]
    assert all(f"As {kind}: " in compared.reason for kind in seen[:-1])
    assert compared.holds is (len(refused) < 3)
    assert list(ollama_server.client().models()) == ([served.placed["ollama"]["model"]] if compared.holds else [])
    if compared.holds:
        assert served.placed["ollama"]["quantisation"] == seen[-1]
        assert steps.place(run, served) == served, "what was taken stays"
        steps.serve.remove(run.workspace, served)


def test_no_weights_are_tried_where_the_prompts_were_read_otherwise(
    run: Run, made: tuple[Specialist, Path], curated: Curated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("protege.measure.check_parity", lambda *given: replace(AWRY, prompts=23))
    _, compared = steps.served_alike(run, made[0], curated)
    assert compared.reason == AWRY.reason


def test_what_cannot_be_written_anew_is_refused_as_it_is(
    run: Run, made: tuple[Specialist, Path], curated: Curated, refused_at: Callable[..., list[str]]
) -> None:
    seen = refused_at("Q8_0")
    whole = replace(made[0], files={"gguf": "model.gguf"})  # as one whose every weight was tuned
    assert not steps.served_alike(run, whole, curated)[1].holds and seen == ["Q8_0"]
