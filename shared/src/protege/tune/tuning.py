"""From a curated data set to a tuned specialist's files."""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from ..common.files import write_private
from ..common.progress import Progress, Silent
from ..curate import Curated
from ..errors import MissingDependency, NotEnoughCalls, ResourceError
from ..specialist import Base, Specialist
from ..task import Task
from .settings import Tuned, TuneSettings

if TYPE_CHECKING:
    from .inprocess import Generator
    from .training import Run

MIN_ROWS = 16
"""Fewer examples than this teach nothing."""

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

    `lora/` (peft), `lora.gguf` (LoRA weights for llama.cpp), `model.gguf` (merged), and last `tuned.json`. A folder
    that is complete for the same inputs is returned as it is; an interrupted run goes on from its last checkpoint. A
    base in Hugging Face form gives `lora/` alone ("full": `model/`).

    Raises TypeError for data that `curate` did not make, BaseModelError, ResourceError, NotEnoughCalls,
    MissingDependency, and ProtegeError where the loss is not finite.
    """
    if not isinstance(curated, Curated):
        raise TypeError("tune takes a Curated data set only: make it with protege.curate.curate(task, calls).")
    from .model import check_base

    settings, progress, folder = settings or TuneSettings(), progress or Silent(), Path(folder)
    inputs = inputs_hash(curated, task, base, settings)
    check_base(base)
    if (done := _complete(folder, inputs)) is not None:
        return done
    (folder / "tuned.json").unlink(missing_ok=True)
    return _tune(curated, task, base, folder, settings, inputs, progress)


def reference(specialist: Specialist, folder: Path) -> Generator:
    """The tuned model in this process, as it was tuned; from the merged file where every weight was.

    Raises BaseModelError, MissingDependency.
    """
    try:
        from .inprocess import Generator
    except ImportError as error:
        raise MissingDependency(str(error.name), "tune") from None
    from .model import compute_dtype, quiet

    with quiet():
        if "lora" in specialist.files:
            return Generator(specialist.base, folder / specialist.files["lora"], compute_dtype())
        whole = specialist.files.get("gguf") or specialist.files["model"]
        return Generator(replace(specialist.base, path=str(folder / whole)), None, compute_dtype())


def inputs_hash(curated: Curated, task: Task, base: Base, settings: TuneSettings) -> str:
    """SHA-256 over all that the result depends on."""
    record = task.to_record()
    content = [
        FORMAT,
        curated.hash,
        record["id"],
        record["templates"],
        base.sha256,
        base.chat_template,
        asdict(settings),
    ]
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _tune(
    curated: Curated, task: Task, base: Base, folder: Path, settings: TuneSettings, inputs: str, progress: Progress
) -> Tuned:
    began = time.perf_counter()
    try:
        from .learning import learn
    except ImportError as error:
        raise MissingDependency(str(error.name), "tune") from None
    from .examples import encode
    from .model import Encoder, reading

    with reading(base):
        encoder = Encoder(base)
    longest = min(settings.max_tokens, base.context)
    train = encode(curated.examples("train"), task, base, settings.form, encoder, longest)
    if (missing := MIN_ROWS - len(train.rows)) > 0:
        raise NotEnoughCalls(
            f"Only {len(train.rows)} training examples can be used; {MIN_ROWS} are needed.",
            "Record more calls.",
            missing=missing,
        )
    validation = encode(curated.examples("validation"), task, base, settings.form, encoder, longest)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    checkpoints = _checkpoints(folder, inputs)
    about = {
        "general.name": f"{task.name} ({base.name})",
        "protege.task": task.id,
        "protege.data": curated.hash,
        "protege.base": base.sha256,
        "protege.inputs": inputs,
    }
    try:
        run, files = learn(base, train, validation, settings, folder, checkpoints, encoder.pad_id, about, progress)
    except OSError as error:
        raise ResourceError(
            f"{folder} cannot be written: {error.strerror}.", "Free some disk, or choose another home."
        ) from error
    tuned = Tuned(
        inputs=inputs,
        files=files,
        digests={name: _sha256(folder / path) for name, path in files.items() if (folder / path).is_file()},
        settings=asdict(settings),
        lineage=_lineage(curated, base),
        # Room for answers somewhat longer than any that was taught.
        max_tokens=max(train.longest_answer, validation.longest_answer) * 5 // 4 + 8,
        figures=_figures(run, train, validation, time.perf_counter() - began),
    )
    write_private(folder / "tuned.json", orjson.dumps(tuned.to_record(), option=orjson.OPT_INDENT_2))
    shutil.rmtree(checkpoints, ignore_errors=True)
    return tuned


def _complete(folder: Path, inputs: str) -> Tuned | None:
    """What the folder holds, where it is whole and was made from the same inputs."""
    try:
        tuned = Tuned(**orjson.loads((folder / "tuned.json").read_bytes()))
    except (OSError, orjson.JSONDecodeError, TypeError):
        return None
    whole = all((folder / path).exists() for path in tuned.files.values())
    if tuned.inputs != inputs or not whole:
        return None
    return tuned if all(_sha256(folder / tuned.files[n]) == d for n, d in tuned.digests.items()) else None


def _checkpoints(folder: Path, inputs: str) -> Path:
    """Where this run's checkpoints stand; those of other inputs are removed."""
    wanted = folder / f"checkpoints-{inputs[:12]}"
    for other in folder.glob("checkpoints-*"):
        if other != wanted:
            shutil.rmtree(other, ignore_errors=True)
    wanted.mkdir(mode=0o700, exist_ok=True)
    return wanted


def _lineage(curated: Curated, base: Base) -> dict[str, Any]:
    return {
        "curated": curated.hash,
        "rows": {"train": len(curated.train), "validation": len(curated.validation)},
        "base": {"name": base.name, "sha256": base.sha256, "licence": base.licence},
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "transformers", "peft", "gguf")},
    }


def _figures(run: Run, train: Any, validation: Any, seconds: float) -> Mapping[str, Any]:
    return {
        **asdict(run),
        "train_seconds": run.seconds,
        "seconds": seconds,
        "examples": len(train.rows),
        "left_out": {"train": train.left_out, "validation": validation.left_out},
        "tokens_an_example": train.tokens / len(train.rows),
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
