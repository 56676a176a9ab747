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
from ..redact import RedactionPolicy, Redactor, readable
from ..task import Task, Template, TemplatePart
from .rows import Row, has_structure

OFTEN = 0.02
"""A word that at least this share of a task's answers, and at least ten, use without having read it in the prompt names
nobody: it is a label or a key."""
SAID = frozenset({"description", "title", "enum", "const", "default", "examples"})
"""The keys of a JSON schema or tool whose values are text to read or values to choose from."""
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
        counts = [_read(opened, redactor) for opened in opened_rows]
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
    variable: list[_Text | _ToolText]
    """The variable texts of the request."""
    texts: list[str]
    """Their contents, and the answer last."""
    said: list[str]
    """The parts of `texts` that are searched for personal data."""


@dataclass(frozen=True, slots=True)
class _Text:
    """A variable text of a record: a value of an object, or the slot in it."""

    inside: dict[str, Any]
    """The object that holds the text."""
    name: str
    """The text's key in it."""
    part: TemplatePart | None
    """The constant text around the slot; None if there is none."""

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
class _ToolText:
    """One of a record's tools, if these vary: its descriptions may name people."""

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
    variable = [*_variable(record, template), *(_ToolText(tools, i) for i in range(len(tools)))]
    texts = [part.text for part in variable]
    said = [part.said if isinstance(part, _ToolText) else text for part, text in zip(variable, texts, strict=True)]
    return _Opened(row, record, template, variable, [*texts, row.answer], [*said, row.answer])


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


def _read(opened: _Opened, redactor: Redactor) -> Counter[str] | str:
    """The number of findings by type; or why the row could not be searched."""
    try:
        return redactor.learn(opened.said)
    except TooLong:
        return "too long to look for personal data"


def _redacted(opened: _Opened, task: Task, redactor: Redactor) -> Row | str:
    """The row without personal data, or why it may not train."""
    if opened.template is None:
        return "other wording"
    texts = redactor.replaced(opened.texts)
    for part, text in zip(opened.variable, texts[:-1], strict=True):
        part.put(text)
    if opened.template.slots(request_from(opened.record)) is None:
        return "other wording without its personal data"
    if any(mask_text(text) != text for text in texts) or redactor.left(texts):
        return "personal data is left"
    request = orjson.dumps(opened.record, option=orjson.OPT_NON_STR_KEYS).decode()
    finished = replace(opened.row, request=request, answer=texts[-1])
    return finished if has_structure(finished, task) else "answer without the task's structure, redacted"


def _variable(record: dict[str, Any], template: Template) -> list[_Text]:
    parts: Mapping[int, TemplatePart] = {part.position: part for part in template.parts}
    """The variable texts in the messages of a record."""
    variable: list[_Text] = []
    for position, message in enumerate(record["messages"]):
        if isinstance(message.get("content"), str):
            variable.append(_Text(message, "content", parts.get(position)))
        functions = [call.get("function") or call for call in message.get("tool_calls") or ()]
        variable += [_Text(f, "arguments", None) for f in functions if isinstance(f.get("arguments"), str)]
    return variable


def _around(part: TemplatePart, content: str, slot: str) -> str:
    """The message with another slot: the inverse of `TemplatePart.slot`, line by line.

    No surrogate contains a line break, so the number of lines stays the same.
    """
    variable = iter(f"{part.prefix}{slot}{part.suffix}".split("\n"))
    constant = set(part.lines)
    return "\n".join(line if line in constant else next(variable) for line in content.split("\n"))
