"""Redact the rows that train.

Only train is redacted, because a model may repeat to anyone what it learnt. Validation, calibration and test stay as a
route will see them, since a threshold calibrated on surrogates would hold for surrogates only. They are never taught
and never exported, and they are shown only redacted.
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
from ..redact import RedactionPolicy, Redactor, readable, unread_script
from ..task import Task, Template, TemplatePart
from .rows import Row, has_structure

OFTEN = 0.02
"""A word that at least this share of a task's answers, and at least ten, use without having read it in the prompt names
nobody: it is a label or a key."""
SAID = frozenset({"description", "title", "enum", "const", "default", "examples"})
"""The keys of a JSON schema or tool whose values are text to read or values to choose from."""
IDS = ("id", "run", "parent", "group")
"""The fields that tie calls together: they stay as they are, or become a pseudonym as a whole."""
ELSEWHERE = frozenset({"messages", "tools", "response_format", *IDS})
"""The fields of a record that are not searched with all others."""
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Redaction:
    """The outcome of redacting rows."""

    rows: list[Row]
    """The redacted rows, which may train."""
    rejected: dict[str, str]
    """Why other rows may not train, by id."""
    found: dict[str, int]
    """The number of spans that were replaced, by type."""


def redact(rows: Sequence[Row], task: Task, policy: RedactionPolicy) -> Redaction:
    """The rows with surrogates for personal data, the same throughout a run, in the order given.

    A row is rejected if a last check still finds personal data in it, if it is too long to search, or if redaction
    changes its wording. Raises NoModel if the policy asks for the model and it is not installed.
    """
    keep = kept_words(task, rows)
    finished: dict[str, Row] = {}
    rejected: dict[str, str] = {}
    replaced: Counter[str] = Counter()
    read: dict[str, list[tuple[str, str]]] = {}
    for conversation, theirs in _conversations(rows).items():
        opened_rows = [_opened(row, task) for row in theirs]
        redactor = Redactor(policy, conversation, keep.union(*(_offered(opened) for opened in opened_rows)), read)
        # All rows are read before any is written: a person that a later call reveals is replaced in earlier ones too.
        counts = [_unread(opened, policy) or _read(opened, redactor) for opened in opened_rows]
        for opened, count in zip(opened_rows, counts, strict=True):
            outcome = _redacted(opened, task, redactor) if isinstance(count, Counter) else count
            if isinstance(outcome, str):
                rejected[opened.row.id] = outcome
            else:
                finished[opened.row.id] = outcome
                replaced.update(count)
    return Redaction([finished[row.id] for row in rows if row.id in finished], rejected, dict(replaced.most_common()))


def kept_words(task: Task, rows: Sequence[Row]) -> frozenset[str]:
    """The words to keep, case-folded: those that the agent's author wrote, and those that answers often add
    themselves."""
    constant = " ".join(
        text for t in task.templates for part in t.parts for text in (*part.lines, part.prefix, part.suffix)
    )
    own = Counter(word for row in rows for word in set(_words(readable(row.answer))).difference(row.folded.split()))
    often = {word for word, n in own.items() if n >= max(10, OFTEN * len(rows))}
    return frozenset({*_words(constant), *_words(" ".join((*task.labels, *task.tools))), *often})


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def _conversations(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows by run (a row without a run stands alone), in an order that does not depend on the given one."""
    by_run: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.id):
        by_run[row.run or row.id].append(row)
    return by_run


@dataclass(frozen=True, slots=True)
class _Opened:
    """A row, taken apart into its variable texts."""

    row: Row
    record: dict[str, Any]
    """The row's request, decoded; redaction changes it in place."""
    template: Template | None
    """The template that the request fits; None if it fits none."""
    variable: list[_Slot | _Fields | _Schema]
    """All that the request holds beside its constant text."""

    @property
    def texts(self) -> list[str]:
        """The contents of `variable`."""
        return [part.text for part in self.variable]

    @property
    def said(self) -> list[str]:
        """The parts of `texts` that are searched for personal data, before and after redaction."""
        return [part.said for part in self.variable]


@dataclass(frozen=True, slots=True)
class _Slot:
    """The content of a message, or the slot in it."""

    message: dict[str, Any]
    part: TemplatePart | None
    """The constant text around the slot; None if there is none."""

    @property
    def text(self) -> str:
        return self.message["content"] if self.part is None else self.part.slot(self.message) or ""

    @property
    def said(self) -> str:
        return self.text

    def put(self, text: str) -> None:
        content = self.message["content"]
        self.message["content"] = text if self.part is None else _around(self.part, content, text)


@dataclass(frozen=True, slots=True)
class _Fields:
    """Other fields of an object, whatever their names and values, as JSON."""

    whose: str
    """Who wrote the message; "call" for fields of the call. It tells whose `name` is."""
    inside: dict[str, Any]
    names: tuple[str, ...]

    @property
    def text(self) -> str:
        return orjson.dumps({self.whose: {name: self.inside[name] for name in self.names}}).decode()

    @property
    def said(self) -> str:
        return self.text

    def put(self, text: str) -> None:
        # Only names that are a number or an e-mail address change, and the fields of a call have none such.
        for name, value in zip(self.names, orjson.loads(text)[self.whose].values(), strict=True):
            self.inside[name] = value


@dataclass(frozen=True, slots=True)
class _Schema:
    """A tool or a response format that varies: its descriptions and choices may name people."""

    inside: Any
    """The list or object that holds it."""
    at: int | str

    @property
    def text(self) -> str:
        return orjson.dumps(self.inside[self.at]).decode()

    @property
    def said(self) -> str:
        return "\n".join(text for text, said in _parts(self.inside[self.at]) if said)

    def put(self, text: str) -> None:
        self.inside[self.at] = orjson.loads(text)


def _opened(row: Row, task: Task) -> _Opened:
    record = orjson.loads(row.request)
    fitting = fitting_template(task, request_from(record))
    template = None if fitting is None else fitting[0]
    return _Opened(row, record, template, [] if template is None else list(_variable(record, template)))


def _variable(record: dict[str, Any], template: Template) -> Iterator[_Slot | _Fields | _Schema]:
    """All that a record holds beside the constant text of its template, whatever the fields are called."""
    parts: Mapping[int, TemplatePart] = {part.position: part for part in template.parts}
    for position, message in enumerate(record["messages"]):
        own = isinstance(message.get("content"), str)
        if own:
            yield _Slot(message, parts.get(position))
        if names := tuple(name for name in message if name != "role" and not (own and name == "content")):
            yield _Fields(message["role"], message, names)
    tools = record.get("tools") or []
    if not template.constant_tools:
        yield from (_Schema(tools, number) for number in range(len(tools)))
    if template.offered is None and record.get("response_format"):
        yield _Schema(record, "response_format")
    if names := tuple(name for name in record if name not in ELSEWHERE):
        yield _Fields("call", record, names)


def _offered(opened: _Opened) -> list[str]:
    """The words that an answer may have to repeat exactly: all words of constant tools, the names in other tools."""
    tools = opened.record.get("tools")
    if opened.template is not None and not opened.template.constant_tools:
        tools = [text for text, said in _parts(tools) if not said]
    return _words(orjson.dumps([tools, opened.record.get("response_format")]).decode())


def _parts(schema: Any, *, said: bool = False) -> Iterator[tuple[str, bool]]:
    """The texts in tools and their schemas, and whether each is a description or a value to choose from.

    Other texts are names of tools and parameters, or words of the schema language.
    """
    if isinstance(schema, dict):
        for key, value in schema.items():
            yield key, False
            # A parameter may have one of these names too, but then the value is an object.
            yield from _parts(value, said=key in SAID and not isinstance(value, dict))
    elif isinstance(schema, list):
        for item in schema:
            yield from _parts(item, said=said)
    elif isinstance(schema, str):
        yield schema, said


def _unread(opened: _Opened, policy: RedactionPolicy) -> str | None:
    """Why names in the row's language would not be found; None if they would, or if they are not looked for."""
    if "PERSON" not in policy.types or not policy.model:
        return None
    script = unread_script(readable("\n".join([*opened.said, opened.row.answer])))
    return f"names are not found in its language: {script}" if script else None


def _read(opened: _Opened, redactor: Redactor) -> Counter[str] | str:
    """The number of findings by type; or why the row could not be searched."""
    try:
        return redactor.learn([*opened.said, opened.row.answer])
    except TooLong:
        return "too long to look for personal data"


def _redacted(opened: _Opened, task: Task, redactor: Redactor) -> Row | str:
    """The row without personal data, or why it may not train."""
    if opened.template is None:
        return "other wording"
    *texts, answer = redactor.replaced([*opened.texts, opened.row.answer])
    for part, text in zip(opened.variable, texts, strict=True):
        part.put(text)
    opened.record.update(_pseudonyms(opened.record, redactor))
    if opened.template.slots(request_from(opened.record)) is None:
        return "other wording without its personal data"
    if any(mask_text(text) != text for text in (*texts, answer)) or redactor.left([*opened.said, answer]):
        return "personal data is left"
    request = orjson.dumps(opened.record, option=orjson.OPT_NON_STR_KEYS).decode()
    named = {"id": opened.row.id, "run": opened.row.run, "group": opened.row.group}
    finished = replace(opened.row, request=request, answer=answer, **_pseudonyms(named, redactor))
    return finished if has_structure(finished, task) else "answer without the task's structure, redacted"


def _pseudonyms(ids: Mapping[str, Any], redactor: Redactor) -> dict[str, str]:
    """Those of these ids that name somebody, as pseudonyms."""
    given = {name: value for name in IDS if isinstance(value := ids.get(name), str)}
    return {name: redactor.pseudonym(value) for name, value in given.items()}


def _around(part: TemplatePart, content: str, slot: str) -> str:
    """The message with another slot: the inverse of `TemplatePart.slot`, line by line.

    No surrogate contains a line break, so the number of lines stays the same.
    """
    variable = iter(f"{part.prefix}{slot}{part.suffix}".split("\n"))
    constant = set(part.lines)
    return "\n".join(line if line in constant else next(variable) for line in content.split("\n"))
