"""A specialist is taught, interrupted, taught on, and written as files from which llama.cpp answers alike."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from protege.call import request_from
from protege.chat.prompt import messages_for, render
from protege.common.progress import Silent
from protege.curate import Curated
from protege.errors import BadInput, BaseModelError, ProtegeError, ResourceError
from protege.specialist import Base
from protege.task import Task
from protege.tune import Tuned, TuneSettings, try_out, tune

QUICK = TuneSettings(steps=60, batch=8, learning_rate=5e-3, warmup_steps=4, evaluations=3)
SHORT = replace(QUICK, steps=6)
LEARNT = {"llama": 60, "qwen2": 60, "qwen3": 40, "gemma3": 45}
"""Steps after which a tiny model of each architecture knows the task; those of wide heads take few, and long ones."""


class Stops:
    """A progress that is interrupted when so many steps are done."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.done: list[float] = []

    @contextmanager
    def step(self, name: str, total: float | None = None) -> Iterator[Stops]:
        yield self

    def advance(self, amount: float = 1, note: str = "") -> None:
        self.done.append(amount)
        if sum(self.done) >= self.after:
            raise KeyboardInterrupt


def prompts_of(curated: Curated, task: Task, base: Base) -> list[str]:
    requests = [request_from(orjson.loads(row["request"])) for row in curated.test.to_list()]
    return [render(base, messages_for(task, request, "slots")) for request in requests]


@pytest.fixture(scope="module")
def tuned(curated: Curated, colours: Task, tiny: Base, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tuned, Path]:
    folder = tmp_path_factory.mktemp("tuned")
    return tune(curated, colours, tiny, folder, QUICK), folder


def test_the_result_names_its_files_and_what_it_was_made_from(tuned: tuple[Tuned, Path], curated: Curated) -> None:
    result, folder = tuned
    assert dict(result.files) == {"lora": "lora", "lora_gguf": "lora.gguf", "gguf": "model.gguf"}
    assert all((folder / path).exists() for path in result.files.values())
    assert set(result.digests) == {"lora_gguf", "gguf"}
    assert result.lineage["curated"] == curated.hash
    assert result.settings == asdict(QUICK.decided())
    assert result.figures["validation_loss"] < 0.5
    losses = result.figures["losses"]
    assert [loss["step"] for loss in losses if "validation" in loss] == [20, 40, 60]
    trained = [loss["train"] for loss in losses if "train" in loss]
    assert trained[-1] < trained[0]
    assert not list(folder.glob("checkpoints-*")) and not list(folder.glob(".*"))


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3", "gemma3"])
def test_llama_cpp_answers_as_the_model_in_this_process(
    architecture: str,
    make_base: Callable[..., Base],
    curated: Curated,
    colours: Task,
    tmp_path: Path,
    llama_cpp: Callable[..., list[str]],
) -> None:
    from gguf import GGUFReader
    from protege.tune.inprocess import Generator

    base = make_base(architecture)
    tune(curated, colours, base, tmp_path, replace(QUICK, steps=LEARNT[architecture], evaluations=1))
    prompts = prompts_of(curated, colours, base)
    here = [answer.text for answer in Generator(base, tmp_path / "lora").answers(prompts, 16)]
    assert sum(a == row["answer"] for a, row in zip(here, curated.test.to_list(), strict=True)) > 0.8 * len(here)
    assert llama_cpp(tmp_path / "model.gguf", prompts) == here
    assert llama_cpp(Path(base.path), prompts, tmp_path / "lora.gguf") == here
    assert {tensor.tensor_type.name for tensor in GGUFReader(tmp_path / "lora.gguf").tensors} == {"F16"}


def test_a_complete_folder_is_returned_as_it_is(
    tuned: tuple[Tuned, Path], curated: Curated, colours: Task, tiny: Base
) -> None:
    result, folder = tuned
    assert tune(curated, colours, tiny, folder, QUICK, progress=Stops(1)) == result


def test_a_damaged_file_is_not_taken_for_whole(curated: Curated, colours: Task, tiny: Base, tmp_path: Path) -> None:
    first = tune(curated, colours, tiny, tmp_path, SHORT)
    with (tmp_path / "model.gguf").open("r+b") as file:
        file.truncate(1000)
    assert tune(curated, colours, tiny, tmp_path, SHORT).digests == first.digests


def test_the_same_inputs_give_the_same_weights(curated: Curated, colours: Task, tiny: Base, tmp_path: Path) -> None:
    one, other = (tune(curated, colours, tiny, tmp_path / name, SHORT) for name in "ab")
    assert one.digests == other.digests


def test_an_interrupted_run_goes_on_from_its_last_checkpoint_to_the_same_weights(
    curated: Curated, colours: Task, tiny: Base, tuned: tuple[Tuned, Path], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        tune(curated, colours, tiny, tmp_path, QUICK, progress=Stops(30))
    assert not (tmp_path / "tuned.json").exists()
    watch = Stops(1000)
    again = tune(curated, colours, tiny, tmp_path, QUICK, progress=watch)
    assert watch.done[0] == 20
    assert again.digests == tuned[0].digests


@pytest.mark.parametrize("early", [False, True], ids=["to its end", "stopped early"])
def test_what_was_tried_out_is_written_without_training_again(
    early: bool, curated: Curated, colours: Task, tiny: Base, tuned: tuple[Tuned, Path], tmp_path: Path
) -> None:
    settings = replace(QUICK, steps=12, learning_rate=0.5, evaluations=6, patience=1) if early else QUICK
    tried = try_out(curated, colours, tiny, tmp_path / "tried", settings, Silent())
    assert tried["stopped_early"] == early and not list((tmp_path / "tried").glob("*.gguf"))
    watch = Stops(1000)
    written = tune(curated, colours, tiny, tmp_path / "tried", settings, progress=watch)
    assert watch.done[0] == tried["steps"] and sum(watch.done) <= tried["steps"] + 1
    assert written.figures["validation_loss"] == tried["validation_loss"]
    at_once = tune(curated, colours, tiny, tmp_path / "at once", settings) if early else tuned[0]
    assert written.digests == at_once.digests


def test_a_killed_run_goes_on(curated: Curated, colours: Task, tiny: Base, tmp_path: Path) -> None:
    curated.save(tmp_path / "data")
    given = {"task": colours.to_record(), "base": asdict(tiny), "settings": asdict(QUICK)}
    (tmp_path / "given.json").write_bytes(orjson.dumps(given))
    script = f"""
        import os, orjson, torch
        from contextlib import contextmanager
        from pathlib import Path
        from protege.curate import Curated
        from protege.specialist import Base
        from protege.task import Task
        from protege.tune import TuneSettings, tune
        torch.set_num_threads(1)
        class Kills:
            count = 0
            @contextmanager
            def step(self, name, total=None):
                yield self
            def advance(self, amount=1, note=""):
                self.count += amount
                if self.count >= 30:
                    os.kill(os.getpid(), {int(signal.SIGKILL)})
        home = Path({str(tmp_path)!r})
        given = orjson.loads((home / "given.json").read_bytes())
        base = Base(**{{**given["base"], "eos": tuple(given["base"]["eos"])}})
        tune(Curated.load(home / "data"), Task.from_record(given["task"]), base, home / "out",
             TuneSettings(**given["settings"]), progress=Kills())
    """
    child = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False, capture_output=True)
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    watch = Stops(1000)
    result = tune(curated, colours, tiny, tmp_path / "out", QUICK, progress=watch)
    assert watch.done[0] == 20
    assert result.figures["steps"] == QUICK.steps


def test_a_half_written_checkpoint_is_passed_over(tmp_path: Path) -> None:
    from protege.tune.training import last_checkpoint

    for step, state in ((10, '{"global_step": 10}'), (20, '{"global_st')):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    (tmp_path / "checkpoint-30").mkdir()
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-10"]


def test_training_stops_early_when_the_validation_loss_rises(
    curated: Curated, colours: Task, tiny: Base, tmp_path: Path
) -> None:
    hasty = replace(QUICK, steps=200, learning_rate=0.05, evaluations=20, patience=1)
    result = tune(curated, colours, tiny, tmp_path, hasty)
    assert result.figures["stopped_early"] and result.figures["steps"] < 200
    assert result.figures["best_step"] < result.figures["steps"]


def test_time_ends_a_run_with_the_weights_of_its_best_evaluation(
    curated: Curated, colours: Task, tiny: Base, tmp_path: Path
) -> None:
    result = tune(curated, colours, tiny, tmp_path, replace(QUICK, steps=3_000, minutes=0.02, patience=3))
    assert 3 <= result.figures["steps"] < 3_000 and not result.figures["stopped_early"]
    assert len([entry for entry in result.figures["losses"] if "validation" in entry]) == 3
    assert (tmp_path / "model.gguf").is_file()


def test_a_run_without_validation_rows_ends_with_its_last_weights(
    curated: Curated, colours: Task, tiny: Base, tmp_path: Path
) -> None:
    """None may be left: those that are too long are left out."""
    from protege.tune.examples import Examples, TrainingData, encode
    from protege.tune.methods.lora import Lora
    from protege.tune.model import Encoder
    from protege.tune.training import train

    encoder, settings = Encoder(tiny), replace(SHORT, variant="rslora")
    rows = encode(curated.examples("train"), colours, tiny, "slots", encoder, 512)
    data = TrainingData(rows, Examples([], {}, 0), encoder.pad_id)
    run = train(Lora().student(tiny, settings), data, settings, 1e-3, tmp_path, Silent())
    assert (run.steps, run.best_step, run.validation_loss) == (6, 6, None)


def test_batches_are_of_one_length_in_random_order_and_every_row_has_its_turn() -> None:
    from protege.tune.training import in_batches

    lengths = [n % 40 + 5 for n in range(400)]
    rows = [{"input_ids": [n] * length} for n, length in enumerate(lengths)]
    ordered = in_batches(rows, batch=8, steps=100, seed=3)
    assert len(ordered) == 800
    assert sorted(row["input_ids"][0] for row in ordered[:400]) == list(range(400))
    batches = [[len(row["input_ids"]) for row in ordered[i : i + 8]] for i in range(0, 800, 8)]
    assert sum(max(batch) * 8 - sum(batch) for batch in batches) < 0.15 * sum(map(sum, batches))
    longest = [max(batch) for batch in batches[:50]]
    assert longest != sorted(longest) and longest != sorted(longest, reverse=True)
    assert ordered == in_batches(rows, batch=8, steps=100, seed=3) != in_batches(rows, batch=8, steps=100, seed=4)


@pytest.mark.parametrize("count", [20, 403])
def test_no_row_is_left_out_of_every_turn(count: int) -> None:
    from protege.tune.training import in_batches

    rows = [{"input_ids": [n] * (n + 1)} for n in range(count)]
    ordered = in_batches(rows, batch=8, steps=6 * count // 8, seed=1)
    assert {row["input_ids"][0] for row in ordered} == set(range(count))


def test_fewer_rows_than_a_batch_are_taken_more_than_once() -> None:
    from protege.tune.training import in_batches

    rows = [{"input_ids": [n]} for n in range(3)]
    ordered = in_batches(rows, batch=8, steps=2, seed=0)
    assert len(ordered) == 16 and {row["input_ids"][0] for row in ordered} == {0, 1, 2}


def test_lora_is_computed_in_the_type_of_the_base(
    curated: Curated, colours: Task, tiny: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from protege.tune import training
    from protege.tune.model import compute_dtype

    seen: set[bool] = set()
    plain = training.answer_loss

    def watched(*given: Any) -> Any:
        seen.add(torch.is_autocast_enabled("cpu"))
        return plain(*given)

    monkeypatch.setattr(training, "answer_loss", watched)
    tune(curated, colours, tiny, tmp_path, SHORT)
    assert seen == {compute_dtype() == torch.bfloat16}


def test_every_weight_can_be_tuned(
    curated: Curated, colours: Task, tiny: Base, tmp_path: Path, llama_cpp: Callable[..., list[str]]
) -> None:
    result = tune(curated, colours, tiny, tmp_path, replace(QUICK, method="full", learning_rate=2e-3))
    assert dict(result.files) == {"gguf": "model.gguf"}
    answers = llama_cpp(tmp_path / "model.gguf", prompts_of(curated, colours, tiny), None)
    right = sum(a == row["answer"] for a, row in zip(answers, curated.test.to_list(), strict=True))
    assert right > 0.8 * len(answers)


def test_only_what_curate_made_is_taken(colours: Task, tiny: Base, tmp_path: Path) -> None:
    rows: Any = [{"request": "{}", "answer": "red"}]
    with pytest.raises(TypeError, match="curate"):
        tune(rows, colours, tiny, tmp_path, QUICK)


def test_bad_bases_are_refused_with_a_remedy(curated: Curated, colours: Task, tiny: Base, tmp_path: Path) -> None:
    text = tmp_path / "notes.gguf"
    text.write_text("no model")
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(Path(tiny.path).read_bytes()[:5000])
    bad = {
        "does not exist": replace(tiny, path=str(tmp_path / "none.gguf")),
        "not a GGUF file": replace(tiny, path=str(text)),
        "cannot be tuned here": replace(tiny, architecture="mamba"),
        "config.json": replace(tiny, path=str(tmp_path), format="huggingface"),
        "cannot be read": replace(tiny, path=str(cut)),
        "end of turn": replace(tiny, eos=("no token",)),
    }
    for message, base in bad.items():
        with pytest.raises(BaseModelError, match=message) as caught:
            tune(curated, colours, base, tmp_path / "out", QUICK)
        assert caught.value.remedy
    assert not (tmp_path / "out").exists()


def test_too_little_memory_or_disk_is_said_before_anything_is_written(
    curated: Curated, colours: Task, tiny: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from protege.tune import resources
    from protege.tune.methods.lora import Lora
    from protege.tune.resources import Needs

    needs = Lora.needs

    monkeypatch.setattr(resources, "count_weights", lambda base: 10**13)
    with pytest.raises(ResourceError, match="memory"):
        tune(curated, colours, tiny, tmp_path, QUICK)
    monkeypatch.setattr(Lora, "needs", lambda self, weights, settings: Needs(0, needs(self, weights, settings)[1]))
    with pytest.raises(ResourceError, match="disk"):
        tune(curated, colours, tiny, tmp_path, QUICK)
    assert not (tmp_path / "model.gguf").exists()


def test_where_memory_asks_for_it_activations_are_computed_again_to_the_same_losses(
    curated: Curated, colours: Task, tiny: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    from protege.tune import resources
    from protege.tune.methods.lora import Lora
    from torch.utils.checkpoint import checkpoint

    plain = tune(curated, colours, tiny, tmp_path / "plain", SHORT)
    needs = Lora().needs(resources.count_weights(tiny), SHORT)
    free = resources._RUNTIME_BYTES + needs.memory_bytes - needs.activations_bytes // 2
    monkeypatch.setattr(resources.psutil, "virtual_memory", lambda: SimpleNamespace(available=free))
    again: list[None] = []

    def watched(*given: Any, **named: Any) -> Any:
        again.append(None)
        return checkpoint(*given, **named)

    monkeypatch.setattr("transformers.modeling_utils.checkpoint", watched)
    thrifty = tune(curated, colours, tiny, tmp_path / "thrifty", SHORT)
    assert thrifty.figures["gradient_checkpointing"] and not plain.figures["gradient_checkpointing"] and again
    assert thrifty.figures["validation_loss"] == pytest.approx(plain.figures["validation_loss"], rel=0.01)


def test_a_loss_that_is_not_finite_stops_the_run(curated: Curated, colours: Task, tiny: Base, tmp_path: Path) -> None:
    with pytest.raises(ProtegeError, match="not a finite number"):
        tune(curated, colours, tiny, tmp_path, replace(QUICK, learning_rate=math.inf))
    assert not (tmp_path / "tuned.json").exists()


def test_qlora_without_a_gpu_says_what_to_use_instead(
    curated: Curated, colours: Task, tiny: Base, tmp_path: Path
) -> None:
    with pytest.raises(ProtegeError, match="lora"):
        tune(curated, colours, tiny, tmp_path, replace(QUICK, method="qlora"))


@pytest.mark.parametrize("wrong", [{"rank": 0}, {"steps": 0}, {"method": "prompt"}])
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        TuneSettings(**wrong)
