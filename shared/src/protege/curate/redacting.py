"""The rows that train, without personal data.

Only train is redacted: what a model is taught it may repeat to anyone. Validation, calibration and test stay what a
route will see, since a threshold that was calibrated on surrogates would speak of surrogates; they are never taught,
never exported, and shown redacted only.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from ..call import request_from
from ..collect.masking import mask_text
from ..prompt import fitting_template
from ..redact import Policy, Redactor
from ..task import Task, Template, TemplatePart
from .rows import Row, has_structure

OFTEN = 0.02
"""A word that this share of a task's answers, and ten of them, say without having read it in the prompt, names nobody:
it is a label, or a key."""
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Redaction:
    """rows: those that may train. rejected: why others may not, by id. found: spans replaced, by type."""

    rows: list[Row]
    rejected: dict[str, str]
    found: dict[str, int]


def redact(rows: Sequence[Row], task: Task, policy: Policy) -> Redaction:
    """The rows with surrogates for personal data, the same ones for all calls of a run; in the order given.

    A row is rejected where a last look still finds something in it, where it is too long to be looked through, or where
    its wording would be another. Raises NoModel where the policy asks for the model and it is not installed.
    """
    kept = kept_words(task, rows)
    finished: dict[str, Row] = {}
    rejected: dict[str, str] = {}
    found: Counter[str] = Counter()
    for conversation, theirs in _conversations(rows).items():
        records = {row.id: orjson.loads(row.request) for row in theirs}
        asked = [record.get(name) for record in records.values() for name in ("tools", "response_format")]
        offered = _words(orjson.dumps(asked).decode())
        redactor = Redactor(policy, conversation, kept.union(offered))
        for row in theirs:  # what a later call shows of a person goes from the earlier ones too
            with contextlib.suppress(ValueError):
                redactor.learn(_texts(row, records[row.id], task))
        for row in theirs:
            outcome = _redacted(row, records[row.id], task, redactor)
            if isinstance(outcome, str):
                rejected[row.id] = outcome
            else:
                finished[row.id] = outcome[0]
                found += outcome[1]
    return Redaction([finished[row.id] for row in rows if row.id in finished], rejected, dict(found.most_common()))


def kept_words(task: Task, rows: Sequence[Row]) -> frozenset[str]:
    """What the agent's author wrote, and what the task's answers say of their own again and again; case-folded."""
    constant = " ".join(
        text for t in task.templates for part in t.parts for text in (*part.lines, part.prefix, part.suffix)
    )
    own = Counter(word for row in rows for word in set(_words(row.answer)).difference(row.folded.split()))
    often = {word for word, n in own.items() if n >= max(10, OFTEN * len(rows))}
    return frozenset({*_words(constant), *_words(" ".join((*task.labels, *task.tools))), *often})


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def _conversations(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by run, each by itself where it has none, in an order that does not hang on the one given."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.id):
        found[row.run or row.id].append(row)
    return found


def _redacted(row: Row, record: dict[str, Any], task: Task, redactor: Redactor) -> tuple[Row, Counter[str]] | str:
    """The row without personal data, and what was found; or why it may not train."""
    fitting = fitting_template(task, request_from(record))
    if fitting is None:
        return "other wording"
    places = _variable(record, fitting[0])
    try:
        done = redactor.redact([*(place.text for place in places), row.answer])
    except ValueError:
        return "too long to look for personal data"
    for place, text in zip(places, done.texts, strict=False):
        place.put(text)
    if fitting[0].slots(request_from(record)) is None:
        return "other wording without its personal data"
    if any(mask_text(text) != text for text in done.texts) or redactor.left(done.texts):
        return "personal data is left"
    request = orjson.dumps(record, option=orjson.OPT_NON_STR_KEYS).decode()
    finished = replace(row, request=request, answer=done.texts[-1])
    if not has_structure(finished, task):
        return "answer without the task's structure, redacted"
    return finished, done.found


def _texts(row: Row, record: dict[str, Any], task: Task) -> list[str]:
    fitting = fitting_template(task, request_from(record))
    return [row.answer, *(place.text for place in _variable(record, fitting[0]))] if fitting else [row.answer]


@dataclass(slots=True)
class _Place:
    """A text of a record that varies, and where it stands. part: the constant text around it, None where none is."""

    inside: dict[str, Any]
    name: str
    part: TemplatePart | None

    @property
    def text(self) -> str:
        if self.part is None:
            return self.inside[self.name]
        return self.part.slot(self.inside) or ""

    def put(self, text: str) -> None:
        if self.part is None:
            self.inside[self.name] = text
        else:
            self.inside[self.name] = _around(self.part, self.inside[self.name], text)


def _variable(record: dict[str, Any], template: Template) -> list[_Place]:
    parts: Mapping[int, TemplatePart] = {part.position: part for part in template.parts}
    places: list[_Place] = []
    for position, message in enumerate(record["messages"]):
        if isinstance(message.get("content"), str):
            places.append(_Place(message, "content", parts.get(position)))
        functions = [call.get("function") or call for call in message.get("tool_calls") or ()]
        places += [_Place(f, "arguments", None) for f in functions if isinstance(f.get("arguments"), str)]
    return places


def _around(part: TemplatePart, content: str, slot: str) -> str:
    """The message with another slot: the inverse of `TemplatePart.slot`, line by line.

    A surrogate breaks no line, so that there are as many lines as there were.
    """
    variable = iter(f"{part.prefix}{slot}{part.suffix}".split("\n"))
    constant = set(part.lines)
    return "\n".join(line if line in constant else next(variable) for line in content.split("\n"))
