"""What every tuner must do: a class of tests for pytest to subclass.

class TestMine(TunerConformance):
    settings = TuneSettings(method="mine")

    @pytest.fixture
    def curated(self): ...  # a data set, and so on for `task` and `base`
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ..chat.prompt import render
from ..curate import Curated
from ..specialist import Base, Specialist
from ..task import Task
from ..tune import Tuned, TuneSettings, Written, reference, tune, tuner_named, tuner_names

_tuned: dict[type, tuple[Tuned, Path]] = {}
"""By class of tests."""


class Interrupts:
    """A progress that is interrupted once so much is done; `done` tells how much was."""

    def __init__(self, after: float) -> None:
        self.after = after
        self.done = 0.0

    @contextlib.contextmanager
    def step(self, name: str, total: float | None = None) -> Iterator[Interrupts]:
        """As `Progress.step`."""
        yield self

    def advance(self, amount: float = 1, note: str = "") -> None:
        """As `Bar.advance`. Raises KeyboardInterrupt."""
        self.done += amount
        if self.done >= self.after:
            raise KeyboardInterrupt


class TunerConformance:
    """The tests of a tuner.

    A subclass gives `settings`, which name its method and take seconds, and the fixtures `curated`, `task` and `base`.
    """

    settings: TuneSettings
    """Naming the method."""

    @pytest.fixture
    def curated(self) -> Curated:
        """A data set. A subclass gives it."""
        raise NotImplementedError("Give a fixture `curated`.")

    @pytest.fixture
    def task(self) -> Task:
        """The task of the data set. A subclass gives it."""
        raise NotImplementedError("Give a fixture `task`.")

    @pytest.fixture
    def base(self) -> Base:
        """A base that can be tuned. A subclass gives it."""
        raise NotImplementedError("Give a fixture `base`.")

    @pytest.fixture
    def tuned(
        self, curated: Curated, task: Task, base: Base, tmp_path_factory: pytest.TempPathFactory
    ) -> tuple[Tuned, Path]:
        """What it made, once a class, for the tests that only look at it."""
        if type(self) not in _tuned:
            folder = tmp_path_factory.mktemp("tuned") / "specialist"
            _tuned[type(self)] = tune(curated, task, base, folder, self.settings), folder
        return _tuned[type(self)]

    @pytest.fixture
    def copy(self, tuned: tuple[Tuned, Path], tmp_path: Path) -> Path:
        """Its folder, for the tests that do harm."""
        return Path(shutil.copytree(tuned[1], tmp_path / "copy"))

    def test_it_is_registered_under_its_name(self) -> None:
        assert self.settings.method in tuner_names()
        assert tuner_named(self.settings.method).name == self.settings.method

    def test_its_files_are_there_and_are_what_is_recorded(self, tuned: tuple[Tuned, Path]) -> None:
        result, folder = tuned
        assert result.files and result.max_tokens > 0
        for name, path in result.files.items():
            assert (folder / path).exists() and not Path(path).is_absolute()
            if (folder / path).is_file():
                assert hashlib.sha256((folder / path).read_bytes()).hexdigest() == result.digests[name]
        assert Tuned(**json.loads((folder / "tuned.json").read_bytes())) == result
        assert not list(folder.glob("checkpoints-*"))

    def test_what_it_was_made_from_is_recorded(self, tuned: tuple[Tuned, Path], curated: Curated, base: Base) -> None:
        result, _ = tuned
        assert result.settings["method"] == self.settings.method
        assert result.lineage["curated"] == curated.hash and result.lineage["base"]["sha256"] == base.sha256
        assert set(result.lineage["versions"]) == set(tuner_named(self.settings.method).libraries)

    def test_the_bases_file_stays_as_it_was(self, tuned: tuple[Tuned, Path], base: Base) -> None:
        path = Path(base.path)
        if path.is_file():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == base.sha256

    def test_a_complete_folder_is_returned_as_it_is(
        self, tuned: tuple[Tuned, Path], curated: Curated, task: Task, base: Base
    ) -> None:
        result, folder = tuned
        written = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        assert tune(curated, task, base, folder, self.settings, progress=Interrupts(1)) == result
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == written

    def test_a_damaged_or_missing_file_is_made_again(
        self, tuned: tuple[Tuned, Path], copy: Path, curated: Curated, task: Task, base: Base
    ) -> None:
        result, _ = tuned
        for harm in (lambda path: path.write_bytes(path.read_bytes()[:-1]), Path.unlink):
            harm(copy / result.files[next(iter(result.digests))])
            assert tune(curated, task, base, copy, self.settings).digests == result.digests

    def test_other_settings_are_tuned_anew(
        self, tuned: tuple[Tuned, Path], copy: Path, curated: Curated, task: Task, base: Base
    ) -> None:
        other = replace(self.settings, seed=self.settings.seed + 1)
        assert tune(curated, task, base, copy, other).inputs != tuned[0].inputs

    def test_the_same_inputs_give_the_same_files(
        self, tuned: tuple[Tuned, Path], curated: Curated, task: Task, base: Base, tmp_path: Path
    ) -> None:
        again = tune(curated, task, base, tmp_path / "again", self.settings)
        assert (again.digests, again.inputs) == (tuned[0].digests, tuned[0].inputs)

    def test_an_interrupted_run_goes_on_to_the_same_files(
        self, tuned: tuple[Tuned, Path], curated: Curated, task: Task, base: Base, tmp_path: Path
    ) -> None:
        folder = tmp_path / "interrupted"
        after = max(1, self.settings.steps // 2 + 1)
        with contextlib.suppress(KeyboardInterrupt):  # a tuner that takes no steps is through before
            tune(curated, task, base, folder, self.settings, progress=Interrupts(after))
            assert (folder / "tuned.json").exists()
        again = tune(curated, task, base, folder, self.settings)
        assert again.digests == tuned[0].digests
        assert not list(folder.glob("checkpoints-*"))

    def test_the_tuned_model_scores_answers_in_this_process(
        self, tuned: tuple[Tuned, Path], task: Task, base: Base
    ) -> None:
        result, folder = tuned
        specialist = Specialist(
            "sp", "task-v1", task.id, 1, base, "slots", files=result.files, settings=result.settings
        )
        prompt = render(base, [{"role": "user", "content": "red"}])
        (scored,) = reference(specialist, folder).score([Written(prompt, "red", ended=True)])
        assert scored.prompt_tokens > 0 and scored.logprobs
        assert all(logprob <= 0 for logprob in scored.logprobs)
