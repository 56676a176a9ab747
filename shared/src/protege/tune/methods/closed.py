"""Whether a task's answers come out of a finite set, and which: whole, or field by field.

A label is chosen whole. JSON may be taken apart at the values of its fields: three closed fields of ten values each are
thirty things to learn, and not a thousand. What stands between the values is kept as it was written, so an answer that
is put together again has the teacher's spacing and order of keys.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ...heads import Shape

SEEN = 2
"""A form or a value that comes less often is not learnt."""
ROWS_A_CHOICE = 4
"""A set is closed if each of its choices has so many rows on average …"""
REACHED = 0.9
"""… and this share of the training answers can be given."""
LONGEST = 20_000
"""A longer answer, in characters, is not taken apart."""

Path: TypeAlias = tuple[str, ...]
"""The keys that lead to a value."""
Form: TypeAlias = tuple[tuple[str, ...], tuple[Path, ...]]
"""What stands around an answer's gaps (`Shape.texts`), and which values fill them."""

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Parts:
    """An answer taken apart."""

    form: Form
    values: tuple[str, ...] = ()
    """What stands in each gap, as it was written."""


@dataclass(frozen=True, slots=True)
class Space:
    """The answers that can be given."""

    forms: tuple[Form, ...]
    paths: tuple[Path, ...]
    values: tuple[tuple[str, ...], ...]
    """For each of `paths`, the most frequent first."""

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The forms, as a head has them."""
        numbers = {path: number for number, path in enumerate(self.paths)}
        return tuple(Shape(texts, tuple(numbers[path] for path in paths)) for texts, paths in self.forms)

    def places(self, parts: Parts) -> tuple[int, ...]:
        """The number of the answer's form, then for each of `paths` that of its value; -1 where there is none."""
        form = self.forms.index(parts.form) if parts.form in self.forms else -1
        given = dict(zip(parts.form[1], parts.values, strict=True))
        return (form, *(_number(given.get(path), known) for path, known in zip(self.paths, self.values, strict=True)))

    def reached(self, answers: Sequence[Parts]) -> float:
        """The share of these answers that can be given."""
        return sum(self._reaches(parts) for parts in answers) / max(1, len(answers))

    def _reaches(self, parts: Parts) -> bool:
        known = dict(zip(self.paths, self.values, strict=True))
        pairs = zip(parts.form[1], parts.values, strict=True)
        return parts.form in self.forms and all(value in known[path] for path, value in pairs)


def whole(texts: Iterable[str]) -> list[Parts]:
    """Answers that are not taken apart."""
    return [Parts(((text,), ())) for text in texts]


def by_field(texts: Iterable[str]) -> list[Parts]:
    """Answers taken apart at the values of their fields. What is no JSON object stays whole."""
    return [_apart(text) or Parts(((text,), ())) for text in texts]


def space_of(answers: Sequence[Parts]) -> Space:
    """What can be put together from the forms and values that these answers show often enough."""
    counted = Counter(parts.form for parts in answers)
    forms = [form for form, times in counted.most_common() if times >= SEEN]
    paths = tuple(dict.fromkeys(path for _, of_form in forms for path in of_form))
    seen: dict[Path, Counter[str]] = {path: Counter() for path in paths}
    for parts in answers:
        for path, value in zip(parts.form[1], parts.values, strict=True):
            if path in seen:
                seen[path][value] += 1
    values = tuple(tuple(value for value, times in seen[path].most_common() if times >= SEEN) for path in paths)
    empty = {path for path, listed in zip(paths, values, strict=True) if not listed}
    kept = tuple(form for form in forms if not empty & set(form[1]))
    left = [(path, listed) for path, listed in zip(paths, values, strict=True) if path not in empty]
    return Space(kept, tuple(path for path, _ in left), tuple(listed for _, listed in left))


def openness(space: Space, answers: Sequence[Parts]) -> str | None:
    """Why the answers come out of no finite set, in words that hold none of them; None if they do."""
    if (reached := space.reached(answers)) < REACHED:
        return f"{1 - reached:.0%} of the training answers, or of a field's values, come but once"
    for path, listed in zip(space.paths, space.values, strict=True):
        if len(listed) * ROWS_A_CHOICE > sum(path in parts.form[1] for parts in answers):
            return f"the field {'.'.join(path)} has {len(listed)} values in {len(answers)} training answers"
    if len(space.forms) * ROWS_A_CHOICE > len(answers):
        return f"there are {len(space.forms)} different answers in {len(answers)} training answers"
    return None


def _number(value: str | None, known: Sequence[str]) -> int:
    return known.index(value) if value is not None and value in known else -1


def _apart(text: str) -> Parts | None:
    """A JSON object taken apart; None if the text is none, or has no field with a value."""
    texts, paths, values = [""], list[Path](), list[str]()

    def read(at: int, path: Path) -> int:
        """Read the value that begins at `at`; where it ends."""
        if text[at : at + 1] != "{" or text[_after_space(text, at + 1)] == "}":
            _, end = _DECODER.raw_decode(text, at)
            if path:
                paths.append(path)
                values.append(text[at:end])
                texts.append("")
            else:
                texts[-1] += text[at:end]
            return end
        while True:
            begin, at = at, _after_space(text, at + 1)
            key, at = _decoded(text, at)
            at = _after_space(text, at)
            if not isinstance(key, str) or text[at] != ":":
                raise ValueError("no key")
            at = _after_space(text, at + 1)
            texts[-1] += text[begin:at]
            at = read(at, (*path, key))
            begin, at = at, _after_space(text, at)
            texts[-1] += text[begin:at]
            if text[at] == "}":
                texts[-1] += "}"
                return at + 1
            if text[at] != ",":
                raise ValueError("no comma")

    if not text.startswith("{") or len(text) > LONGEST:
        return None
    try:
        if read(0, ()) != len(text):
            return None
    except (ValueError, IndexError, RecursionError):
        return None
    if not paths or len(set(paths)) < len(paths):
        return None
    return Parts((tuple(texts), tuple(paths)), tuple(values))


def _decoded(text: str, at: int) -> tuple[Any, int]:
    return _DECODER.raw_decode(text, at)


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
