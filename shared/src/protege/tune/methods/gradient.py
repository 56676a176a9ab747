"""What the methods share that train by gradient descent: examples as tokens, the run, its figures, the reference."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import PreTrainedModel, set_seed

from ...common.progress import Progress
from ...errors import NotEnoughCalls
from ...specialist import Base, Specialist
from ..distilling import Mentor
from ..examples import TrainingData, encode
from ..inprocess import Generator
from ..model import Encoder, check_base, compute_dtype, quiet, reading
from ..resources import Needs, check_resources
from ..settings import TuneSettings
from ..training import TrainingRun, train
from ..tuner import Learned, Lesson, Tuner

MIN_ROWS = 16
"""Fewer examples than this teach nothing."""


class GradientTuner(Tuner):
    """Trains by gradient descent on the answers' tokens. A method says what is trained, and what is written."""

    libraries = ("torch", "transformers", "peft", "gguf")

    @abstractmethod
    def student(self, base: Base, settings: TuneSettings) -> PreTrainedModel | PeftModel:
        """The base, made trainable. Raises ResourceError, BaseModelError, MissingDependency."""

    @abstractmethod
    def write(self, model: Any, lesson: Lesson) -> dict[str, str]:
        """Write the trained model into the lesson's folder; the paths by what they are, relative to it."""

    @abstractmethod
    def needs(self, weights: int, settings: TuneSettings) -> Needs:
        """What tuning a base of so many weights takes."""

    @abstractmethod
    def learning_rate(self, answer_tokens: float) -> float:
        """The peak learning rate where the settings name none. answer_tokens: in a batch, on average."""

    def check_base(self, base: Base) -> None:
        """It must be a GGUF file of a known architecture, or a folder in Hugging Face form."""
        check_base(base)

    def learn(self, lesson: Lesson, progress: Progress) -> Learned:
        """Train, then write. Goes on from the last whole checkpoint."""
        with quiet():
            model, data, figures = self._trained(lesson, progress)
            with progress.step(f"{_title(lesson)}: writing the tuned model"), reading(lesson.base):
                files = self.write(model, lesson)
        longest = max(data.train.longest_answer, data.validation.longest_answer)
        # Room for answers somewhat longer than any that was taught.
        return Learned(files, longest * 5 // 4 + 8, figures)

    def try_out(self, lesson: Lesson, progress: Progress) -> dict[str, Any]:
        """The figures of training alone."""
        with quiet():
            return self._trained(lesson, progress)[2]

    def variations(self, settings: TuneSettings, figures: Mapping[str, Any]) -> Sequence[TuneSettings]:
        """Twice and half the learning rate, and another seed."""
        rate = float(figures["learning_rate"])
        rates = [replace(settings, learning_rate=factor * rate) for factor in (2, 0.5)]
        return [*rates, replace(settings, seed=settings.seed + 1)]

    def _trained(self, lesson: Lesson, progress: Progress) -> tuple[Any, TrainingData, dict[str, Any]]:
        """The trained model, what it learnt from, and the figures."""
        settings, mentor = lesson.settings, mentor_of(lesson)
        data = encoded(lesson, mentor)
        lesson.begin()
        beside = 0 if mentor is None else mentor.bytes
        thrifty = check_resources(
            lesson.base, lesson.folder, lambda weights: self.needs(weights, settings).beside(beside)
        )
        answer_tokens = settings.batch * data.train.answer_tokens / len(data.train.rows)
        rate = self.learning_rate(answer_tokens) if settings.learning_rate is None else settings.learning_rate
        set_seed(settings.seed)
        model = self.student(lesson.base, settings)
        if thrifty:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        with progress.step(f"{_title(lesson)}: tuning", settings.steps) as bar:
            run = train(model, data, settings, rate, lesson.checkpoints, bar, mentor and mentor.model())
        figures = {**figures_of(run, data), "learning_rate": rate, "gradient_checkpointing": thrifty}
        return model, data, figures

    def reference(self, specialist: Specialist, folder: Path) -> Generator:
        """From the LoRA weights, or from the whole model where every weight was tuned."""
        with quiet():
            if "lora" in specialist.files:
                return Generator(specialist.base, folder / specialist.files["lora"], compute_dtype())
            whole = specialist.files.get("model") or specialist.files["gguf"]
            return Generator(replace(specialist.base, path=str(folder / whole)), None, compute_dtype())


def _title(lesson: Lesson) -> str:
    return lesson.about["general.name"]


def mentor_of(lesson: Lesson) -> Mentor | None:
    """Whose token probabilities are to be learnt too. Raises BaseModelError."""
    if not lesson.settings.mentor:
        return None
    with reading(lesson.base):
        student = Encoder(lesson.base)
    return Mentor.at(lesson.settings.mentor, student)


def encoded(lesson: Lesson, mentor: Mentor | None = None) -> TrainingData:
    """The lesson's rows as token ids. Raises NotEnoughCalls, BaseModelError."""
    base, settings, curated = lesson.base, lesson.settings, lesson.curated
    with reading(base):
        encoder = Encoder(base)
    longest = min(settings.max_tokens, base.context)
    train = encode(curated.examples("train"), lesson.task, base, settings.form, encoder, longest, mentor)
    if (missing := MIN_ROWS - len(train.rows)) > 0:
        raise NotEnoughCalls(
            f"Only {len(train.rows)} training examples can be used; {MIN_ROWS} are needed.",
            "Record more calls.",
            missing=missing,
        )
    validation = encode(curated.examples("validation"), lesson.task, base, settings.form, encoder, longest)
    return TrainingData(train, validation, encoder.pad_id)


def figures_of(run: TrainingRun, data: TrainingData) -> dict[str, Any]:
    """A run's figures, and what its examples were."""
    return {
        **asdict(run),
        "train_seconds": run.seconds,
        "examples": len(data.train.rows),
        "left_out": {"train": data.train.left_out, "validation": data.validation.left_out},
        "tokens_an_example": data.train.tokens / len(data.train.rows),
    }
