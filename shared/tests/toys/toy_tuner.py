"""A tuner in 40 lines, as somebody else's package may bring one: it writes down which answers there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from protege.tune import Learned, Lesson, Scored, Tuner, Written


class ToyReference:
    def __init__(self, answers: Mapping[str, int]) -> None:
        self.answers = answers

    def score(self, answers: Sequence[Written]) -> list[Scored]:
        return [self._score(answer) for answer in answers]

    def _score(self, answer: Written) -> Scored:
        words = answer.prompt.partition("<|im_start|>assistant")[0].replace("<|im_end|>", " ").split()
        return Scored(answer.text == words[-1], (-0.01, -0.01), len(words) + 10)


class ToyTuner(Tuner):
    name = "toy"
    libraries = ("orjson",)

    def learn(self, lesson: Lesson, progress: Any) -> Learned:
        lesson.begin()
        answers: dict[str, int] = {}
        with progress.step("toy: counting", len(lesson.curated.train)) as bar:
            for row in lesson.curated.train.to_list():
                answers[row["answer"]] = answers.get(row["answer"], 0) + 1
                bar.advance()
        (lesson.folder / "answers.json").write_bytes(orjson.dumps(answers, option=orjson.OPT_SORT_KEYS))
        return Learned({"answers": "answers.json"}, max_tokens=8, figures={"answers": len(answers)})

    def reference(self, specialist: Any, folder: Path) -> ToyReference:
        return ToyReference(orjson.loads((folder / specialist.files["answers"]).read_bytes()))
