"""The rows that train, without personal data.

Only train is redacted: what a model is taught it may repeat to anyone. Validation, calibration and test stay what a
route will see, since a threshold that was calibrated on surrogates would speak of surrogates; they are never taught,
never exported, and shown redacted only.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from ..call import request_from
from ..chat.prompt import fitting_template
from ..errors import TooLong
from ..masking.masking import mask_text
from ..redact import RedactionPolicy, Redactor, readable
from ..task import Task, Template, TemplatePart
from .rows import Row, has_structure

OFTEN = 0.02
"""A word that this share of a task's answers, and ten of them, say without having read it in the prompt, names nobody:
it is a label, or a key."""
SAID = frozenset({"description", "title", "enum", "const", "default", "examples"})
"""Of a JSON schema, and of a tool, what is text for the model to read or values to choose from."""
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Redaction:
    """rows: those that may train. rejected: why others may not, by id. found: spans replaced, by type."""

    rows: list[Row]
    rejected: dict[str, str]
    found: dict[str, int]


def redact(rows: Sequence[Row], task: Task, policy: RedactionPolicy) -> Redaction:
    """The rows with surrogates for personal data, the same ones for all calls of a run; in the order given.

    A row is rejected where a last look still finds something in it, where it is too long to be looked through, or where
    its wording would be another. Raises NoModel where the policy asks for the model and it is not installed.
    """
    kept = kept_words(task, rows)
    finished: dict[str, Row] = {}
    rejected: dict[str, str] = {}
    found: Counter[str] = Counter()
    read: dict[str, list[tuple[str, str]]] = {}
    for conversation, theirs in _conversations(rows).items():
        opened = [_opened(row, task) for row in theirs]
        redactor = Redactor(policy, conversation, kept.union(*(_offered(one) for one in opened)), read)
        # All are read before one is written: what a later call shows of a person goes from the earlier ones too.
        counts = [_read(one, redactor) for one in opened]
        for one, count in zip(opened, counts, strict=True):
            outcome = _redacted(one, task, redactor) if isinstance(count, Counter) else count
            if isinstance(outcome, str):
                rejected[one.row.id] = outcome
            else:
                finished[one.row.id] = outcome
                found.update(count)
    return Redaction([finished[row.id] for row in rows if row.id in finished], rejected, dict(found.most_common()))


def kept_words(task: Task, rows: Sequence[Row]) -> frozenset[str]:
    """What the agent's author wrote, and what the task's answers say of their own again and again; case-folded."""
    constant = " ".join(
        text for t in task.templates for part in t.parts for text in (*part.lines, part.prefix, part.suffix)
    )
    own = Counter(word for row in rows for word in set(_words(readable(row.answer))).difference(row.folded.split()))
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


@dataclass(frozen=True, slots=True)
class _Opened:
    """A row's record, the wording that it fits, None where it fits none, and its texts that vary, the answer last.

    said: what of these is looked through.
    """

    row: Row
    record: dict[str, Any]
    template: Template | None
    places: list[_Place | _Tool]
    texts: list[str]
    said: list[str]


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class _Tool:
    """One of a record's tools, where these vary: what is said of it may name people."""

    tools: list[Any]
    number: int

    @property
    def text(self) -> str:
        return orjson.dumps(self.tools[self.number]).decode()

    @property
    def said(self) -> str:
        return "\n".join(text for text, said in _parts(self.tools[self.number]) if said)

    def put(self, text: str) -> None:
        self.tools[self.number] = orjson.loads(text)


def _opened(row: Row, task: Task) -> _Opened:
    record = orjson.loads(row.request)
    fitting = fitting_template(task, request_from(record))
    if fitting is None:
        return _Opened(row, record, None, [], [row.answer], [row.answer])
    template = fitting[0]
    tools = [] if template.constant_tools else record.get("tools") or []
    places = [*_variable(record, template), *(_Tool(tools, i) for i in range(len(tools)))]
    texts = [*(place.text for place in places), row.answer]
    said = [place.said if isinstance(place, _Tool) else text for place, text in zip(places, texts, strict=False)]
    return _Opened(row, record, template, places, texts, [*said, row.answer])


def _offered(opened: _Opened) -> list[str]:
    """The words of what the answer has to keep to: all of constant tools, of others what they name."""
    tools = opened.record.get("tools")
    if opened.template is not None and not opened.template.constant_tools:
        tools = [text for text, said in _parts(tools) if not said]
    return _words(orjson.dumps([tools, opened.record.get("response_format")]).decode())


def _parts(schema: Any, *, said: bool = False) -> Iterator[tuple[str, bool]]:
    """The texts of tools and their schemas, and whether each is said of them or a value to choose from, rather than a
    name of a tool or a parameter, or a word of the schema's own."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            yield key, False
            # A parameter, which is an object, may have one of these names.
            yield from _parts(value, said=key in SAID and not isinstance(value, dict))
    elif isinstance(schema, list):
        for item in schema:
            yield from _parts(item, said=said)
    elif isinstance(schema, str):
        yield schema, said


def _read(opened: _Opened, redactor: Redactor) -> Counter[str] | str:
    """What was found in the row; or why it could not be looked through."""
    try:
        return redactor.learn(opened.said)
    except TooLong:
        return "too long to look for personal data"


def _redacted(opened: _Opened, task: Task, redactor: Redactor) -> Row | str:
    """The row without personal data; or why it may not train."""
    if opened.template is None:
        return "other wording"
    texts = redactor.replaced(opened.texts)
    for place, text in zip(opened.places, texts, strict=False):
        place.put(text)
    if opened.template.slots(request_from(opened.record)) is None:
        return "other wording without its personal data"
    if any(mask_text(text) != text for text in texts) or redactor.left(texts):
        return "personal data is left"
    request = orjson.dumps(opened.record, option=orjson.OPT_NON_STR_KEYS).decode()
    finished = replace(opened.row, request=request, answer=texts[-1])
    return finished if has_structure(finished, task) else "answer without the task's structure, redacted"


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
