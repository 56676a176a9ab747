"""The model card of a specialist that travels, in the form that the Hugging Face Hub reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..specialist import Specialist
from ..task import Task


def card_of(specialist: Specialist, task: Task, figures: Mapping[str, Any]) -> str:
    """The card: front matter, what it is, its figures where it was made, and what the file tells about its calls."""
    base = specialist.base
    front = {
        "license": base.licence.lower() if not base.licence.startswith("LicenseRef-") else "other",
        "license_name": base.licence,
        "base_model": base.name,
        "library_name": "protege",
        "pipeline_tag": "text-classification" if specialist.serve_as == "head" else "text-generation",
        "tags": ["protege", task.kind, *([] if specialist.serve_as == "head" else ["gguf"])],
    }
    lines = ["---", *(f"{key}: {json.dumps(value)}" for key, value in front.items()), "---", ""]
    lines += [f"from {base.name} by the method {specialist.settings.get('method', 'lora')!r}.", ""]
    lines += ["Its certificate, if it had one, holds only in the home where it was shown.", "", "## Figures", ""]
    listed = [f"- {part}.{name}: {value}" for part, values in figures.items() for name, value in values.items()]
    lines += listed or ["None."]
    return "\n".join([*lines, "", "## What this file tells of its calls", "", *_told(specialist, task), ""])


def _told(specialist: Specialist, task: Task) -> list[str]:
    told = ["No call and no example is in it. It holds the constant text of the prompts, by which its calls are known."]
    if task.labels:
        told.append(f"It holds the {len(task.labels)} answers that its task has.")
    if "head" in specialist.files:
        told.append(
            "A head holds its answers, or the values that they are filled from, as texts; and of its training prompts "
            "32-bit hashes of words and pieces: whoever guesses a word can tell whether it was among them. Where it "
            "uses an embedding, it holds vectors of training prompts, from which their gist can be guessed."
        )
    if specialist.serve_as != "head":
        told.append("Weights can reproduce parts of what they were trained on: share them as you would share that.")
    return told
