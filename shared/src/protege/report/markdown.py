"""The report as Markdown, for a pull request or a wiki: the page's figures without its plots."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from . import formatting
from .data import ReportData, ShownExample, TaskReport

_ACTIVE = re.compile(r"([\\`*_{}\[\]<>#|~!&$]|:(?=//)|(?<=www)\.)")
"""What may act as markup within a line; `plain` removes the line breaks that other markup needs."""


def markdown(data: ReportData) -> str:
    """The report. Text from calls is escaped, or put in a fence that it cannot close."""
    return "\n".join(_lines(data)) + "\n"


def _lines(data: ReportData) -> Iterator[str]:
    yield "# What small models answer here\n"
    yield f"{formatting.when(data.created)} UTC. {plain(data.machine)}\n"
    yield (
        f"{formatting.count(data.calls)} calls watched, tasks found: {len(data.tasks)}; specialists answer "
        f"{formatting.percent(data.share_kept)}; saved in 1,000 calls: {_money(data.saved_usd)}.\n"
    )
    for note in data.notes:
        yield f"> {plain(note)}\n"
    if data.tasks:
        headings = ("task", "state", "calls", "agreement", "95%", "coverage", "latency", "cost of 1,000")
        yield from _table(headings, (_row(task) for task in data.tasks))
        yield f"{plain(data.prices)}\n"
    if data.over_time.periods:
        yield "## Over time\n"
        headings = (f"{data.over_time.unit} (UTC)", "asked", "kept", "coverage", "audited agreement", "saved")
        yield from _table(headings, ([plain(cell) for cell in cells] for cells in formatting.periods(data.over_time)))
    if data.incidents:
        yield "## Incidents\n"
        yield from (f"- {plain(formatting.incident(incident))}" for incident in data.incidents)
        yield ""
    if data.end_to_end:
        yield "## The whole agent\n"
        yield f"- With the teacher alone: {plain(formatting.runs(data.end_to_end.without))}"
        yield f"- With specialists: {plain(formatting.runs(data.end_to_end.with_specialists))}"
        yield f"- {plain(formatting.end_to_end(data.end_to_end))}\n"
    for task in data.tasks:
        yield from _task(task)


def _row(task: TaskReport) -> list[str]:
    cells = (
        task.name,
        formatting.state(task),
        formatting.count(task.calls),
        formatting.agreement(task),
        formatting.interval(task),
        formatting.certified_coverage(task),
        formatting.latencies(task),
        formatting.costs(task),
    )
    return [plain(cell) for cell in cells]


def _task(task: TaskReport) -> Iterator[str]:
    yield f"## {plain(task.name)}\n"
    yield f"{plain(task.reason)}\n"
    facts = [
        ("Specialist", f"{task.specialist or 'none'}, from {task.base}" if task.base else task.specialist or "none"),
        ("Agreement", f"{formatting.agreement(task)} {formatting.interval(task)} {formatting.sample(task)}".strip()),
        ("Ceiling, the teacher's agreement with itself", formatting.ceiling(task.ceiling)),
        ("Answers that look wrong", formatting.doubted(task.doubted)),
        ("Corrected by people", formatting.corrected(task)),
        ("Guarantee", formatting.guarantee(task)),
        ("Calibration", formatting.calibration(task)),
        ("Confidence", formatting.confidence_figures(task)),
        ("Median latency", formatting.latencies(task)),
        ("Cost of 1,000 calls", formatting.costs(task)),
        ("Tokens in", formatting.tokens(task)),
        *([("Images", formatting.pictures(task.pictures))] if task.pictures else []),
    ]
    yield from (f"- {name}: {plain(value)}" for name, value in facts)
    yield ""
    if task.slices:
        yield "### By kind of call\n"
        rows = (
            [s.by, plain(s.value), f"{s.n:,}", formatting.percent(s.agreement), formatting.between(s.interval)]
            for s in task.slices
        )
        yield from _table(("by", "is", "calls", "agreement", "95%"), rows)
    if task.confusions:
        yield "### Confusions\n"
        yield from _table(
            ("teacher", "specialist", "calls"),
            ([plain(c.teacher), plain(c.specialist), f"{c.n:,}"] for c in task.confusions),
        )
    if task.fields:
        yield "### Fields that differ\n"
        yield from _table(
            ("field", "calls", "missing", "extra", "different"),
            (
                [plain(f.field), f"{f.calls:,}", f"{f.missing:,}", f"{f.extra:,}", f"{f.different:,}"]
                for f in task.fields
            ),
        )
    if task.worst:
        yield "### The surest mistakes\n"
        for example in task.worst:
            yield from _example(example)


def _example(example: ShownExample) -> Iterator[str]:
    sure = "" if example.confidence is None else f" at confidence {formatting.number(example.confidence)}"
    corrected = ", and what a person says is right" if example.correction else ""
    yield f"Asked, and answered wrongly{sure}; the teacher's answer last{corrected}:\n"
    for text in (example.prompt, example.answer, example.teacher, *filter(None, (example.correction,))):
        longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
        fence = "`" * max(3, longest + 1)
        yield f"{fence}text\n{text}\n{fence}\n"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield "|" + "---|" * len(headings)
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _ACTIVE.sub(r"\\\1", " ".join(text.split()))


def _money(value: float | None) -> str:
    return plain(formatting.money(value))
