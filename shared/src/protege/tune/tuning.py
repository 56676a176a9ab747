"""From a curated data set to a tuned specialist's files."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from ..common.digest import sha256_of
from ..common.files import write_private
from ..common.progress import Progress, Silent
from ..curate import Curated
from ..errors import MissingDependency, ResourceError
from ..select.base import load_base
from ..specialist import Base, Specialist
from ..task import Task
from .registry import tuners
from .settings import Tuned, TuneSettings
from .tuner import Lesson, Reference, Tuner

FORMAT = 3
"""Of what this step writes; part of the hash of its inputs."""


def tune(
    curated: Curated,
    task: Task,
    base: Base,
    folder: Path,
    settings: TuneSettings | None = None,
    *,
    progress: Progress | None = None,
) -> Tuned:
    """Teach `base` the task on the data set's training rows, and write what comes of it into `folder`.

    Last of all `tuned.json` is written. What else, the method says: "lora" gives `lora/` (peft), `lora.gguf` (LoRA
    weights for llama.cpp) and `model.gguf` (merged), of a base in Hugging Face form `lora/` alone. A folder that is
    complete for the same inputs is returned as it is; an interrupted run goes on from its last checkpoint.

    Raises TypeError for data that `curate` did not make, BaseModelError, ResourceError, NotEnoughCalls,
    MissingDependency, and ProtegeError where the loss is not finite.
    """
    tuner, lesson = _lesson(curated, task, base, folder, settings or TuneSettings())
    if (complete := _complete(lesson.folder, lesson.inputs)) is not None:
        return complete
    (lesson.folder / "tuned.json").unlink(missing_ok=True)
    return _tune(tuner, lesson, progress or Silent())


def try_out(
    curated: Curated, task: Task, base: Base, folder: Path, settings: TuneSettings, progress: Progress
) -> Mapping[str, Any]:
    """Train without writing the specialist's files; the run's figures. `tune` with the same inputs writes them.

    Raises as `tune`.
    """
    tuner, lesson = _lesson(curated, task, base, folder, settings)
    with _on_disk(folder):
        return tuner.try_out(lesson, progress)


def _lesson(curated: Curated, task: Task, base: Base, folder: Path, settings: TuneSettings) -> tuple[Tuner, Lesson]:
    if not isinstance(curated, Curated):
        raise TypeError("tune takes a Curated data set only: make it with protege.curate.curate(task, calls).")
    settings = settings.decided()
    tuner = tuner_named(settings.method)
    tuner.check_base(base)
    return tuner, Lesson(curated, task, base, settings, Path(folder), inputs_hash(curated, task, base, settings))


@contextlib.contextmanager
def _on_disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ResourceError(
            f"{folder} cannot be written: {error.strerror}.", "Free some disk, or choose another home."
        ) from error


def reference(specialist: Specialist, folder: Path) -> Reference:
    """The tuned model in this process, as it was tuned. folder: the specialist's.

    Raises BaseModelError, MissingDependency, BadInput where its method is not installed any more.
    """
    return tuner_named(str(specialist.settings.get("method", TuneSettings.method))).reference(specialist, folder)


def tuner_named(name: str) -> Tuner:
    """The tuner of this name. Raises BadInput if there is none, MissingDependency where it lacks a library."""
    try:
        return tuners.get(name)
    except ImportError as error:
        raise MissingDependency(str(error.name), "tune") from None


def inputs_hash(curated: Curated, task: Task, base: Base, settings: TuneSettings) -> str:
    """SHA-256 (hex) over all that the result depends on."""
    record = task.to_record()
    content = [
        FORMAT,
        curated.hash,
        record["id"],
        record["templates"],
        base.sha256,
        base.chat_template,
        asdict(settings),
        *([base.gguf_sha256] if base.gguf else []),
        *([load_base(Path(settings.mentor)).sha256] if settings.mentor else []),
    ]
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _tune(tuner: Tuner, lesson: Lesson, progress: Progress) -> Tuned:
    began = time.perf_counter()
    folder = lesson.folder
    with _on_disk(folder):
        learned = tuner.learn(lesson, progress)
    tuned = Tuned(
        inputs=lesson.inputs,
        files=dict(learned.files),
        digests={name: sha256_of(folder / path) for name, path in learned.files.items() if (folder / path).is_file()},
        settings=asdict(lesson.settings),
        lineage=_lineage(tuner, lesson),
        max_tokens=learned.max_tokens,
        figures={**learned.figures, "seconds": time.perf_counter() - began},
    )
    write_private(folder / "tuned.json", orjson.dumps(tuned.to_record(), option=orjson.OPT_INDENT_2))
    shutil.rmtree(lesson.checkpoints, ignore_errors=True)
    return tuned


def _complete(folder: Path, inputs: str) -> Tuned | None:
    """What the folder holds, if it is whole and was made from the same inputs."""
    try:
        tuned = Tuned(**orjson.loads((folder / "tuned.json").read_bytes()))
    except (OSError, orjson.JSONDecodeError, TypeError):
        return None
    whole = all((folder / path).exists() for path in tuned.files.values())
    if tuned.inputs != inputs or not whole:
        return None
    same = all(sha256_of(folder / tuned.files[name]) == digest for name, digest in tuned.digests.items())
    return tuned if same else None


def _lineage(tuner: Tuner, lesson: Lesson) -> dict[str, Any]:
    curated, base = lesson.curated, lesson.base
    return {
        "curated": curated.hash,
        "rows": {"train": len(curated.train), "validation": len(curated.validation)},
        "base": {"name": base.name, "sha256": base.sha256, "licence": base.licence},
        "versions": {name: importlib.metadata.version(name) for name in tuner.libraries},
    }
