"""Figures for Prometheus: what specialists do with calls, in its text format, version 0.0.4.

The format takes a dozen lines here. A client library would add nothing, since the figures are read from the workspace
at each scrape. Labels hold the names of tasks and specialists, and nothing that comes from a call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from ..common.terminal import printable
from ..specialist import Specialist, State
from ..store.records import AttemptCount
from ..task import Task
from ..workspace import Workspace
from .gather import asked_after, savings

Labels: TypeAlias = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with its samples. A counter's name ends in `_total`."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    samples: Sequence[tuple[Labels, float]]


def exposition(workspace: Workspace) -> str:
    """The workspace's figures in Prometheus' text format. docs/report.md describes each."""
    return "".join(f"{line}\n" for family in families(workspace) for line in _written(family))


def families(workspace: Workspace) -> list[Family]:
    """The workspace's figures, by metric."""
    tasks, specialists = workspace.tasks(), workspace.specialists()
    names = _Names(tasks, specialists)
    counted = workspace.history.count_attempts()
    calls = [({"task": task.name}, task.calls) for task in tasks]
    return [
        Family("protege_recorded_calls_total", "counter", "Calls recorded.", [({}, workspace.count_calls())]),
        Family("protege_calls_total", "counter", "Calls of a task, as of the last time that tasks were found.", calls),
        *_of_attempts(counted, names, savings(workspace, tasks), asked_after(workspace)),
        *_of_routes(workspace, names),
        _states(specialists, names),
        _events(workspace, names),
    ]


class _Names:
    """Labels by id. A task or specialist that no longer exists is labelled with its id."""

    def __init__(self, tasks: Sequence[Task], specialists: Sequence[Specialist]) -> None:
        self._names = {task.id: task.name for task in tasks} | {s.id: s.name for s in specialists}

    def labels(self, task_id: str, specialist_id: str | None = None, **others: str) -> dict[str, str]:
        labels = {"task": self._names.get(task_id, task_id)}
        if specialist_id is not None:
            labels["specialist"] = self._names.get(specialist_id, specialist_id)
        return labels | others


def _of_attempts(
    counted: Sequence[AttemptCount], names: _Names, saved_usd: Mapping[str, float | None], after: Collection[str]
) -> Iterator[Family]:
    """after: the ids of specialists that are asked only what another handed back, so that no call counts twice."""
    attempts: Counter[tuple[str, str, str, str]] = Counter()
    compared: Counter[tuple[str, str]] = Counter()
    disagreed: Counter[tuple[str, str]] = Counter()
    asked: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    would: Counter[str] = Counter()
    for count in counted:
        who, n = (count.task_id, count.specialist_id), count.n
        attempts[*who, count.outcome, count.reason] += n
        asked[count.task_id] += n * (count.outcome != "shadowed" and count.specialist_id not in after)
        kept[count.task_id] += n * (count.outcome == "kept")
        if (count.outcome, count.reason) == ("audited", "kept"):
            would[count.task_id] += n
            if count.agreed is not None:
                compared[who] += n
                disagreed[who] += n * (not count.agreed)
    asking = [(names.labels(t, s, outcome=o, reason=r), n) for (t, s, o, r), n in attempts.items()]
    yield Family("protege_attempts_total", "counter", "Calls that specialists were asked, by outcome.", asking)
    coverage = [(names.labels(t), (kept[t] + would[t]) / n) for t, n in asked.items() if n]
    yield Family(
        "protege_coverage_ratio", "gauge", "Share of live calls kept, or that would be if not audited.", coverage
    )
    for name, help_, of in (
        ("protege_audited_total", "Audited answers that would have been kept, compared with the teacher's.", compared),
        ("protege_audited_disagreed_total", "Those of them that differ from the teacher's.", disagreed),
    ):
        yield Family(name, "counter", help_, [(names.labels(*who), n) for who, n in of.items()])
    saved = [(names.labels(t), kept[t] * usd) for t in asked if (usd := saved_usd.get(t)) is not None]
    yield Family("protege_saved_usd", "gauge", "US dollars that kept answers saved, at today's prices.", saved)


def _of_routes(workspace: Workspace, names: _Names) -> Iterator[Family]:
    routes = sorted(workspace.routes().values(), key=lambda route: (route.task_id, route.specialist_id))
    helps = {
        "threshold": "Confidence from which answers are kept.",
        "epsilon": "Share of kept answers that may disagree.",
        "delta": "Chance that more disagree.",
    }
    for name, help_ in helps.items():
        samples = [(names.labels(r.task_id, r.specialist_id), float(getattr(r, name))) for r in routes]
        yield Family(f"protege_certified_{name}", "gauge", help_, samples)


def _states(specialists: Sequence[Specialist], names: _Names) -> Family:
    samples = [
        (names.labels(s.task_id, s.id, state=state), float(s.state == state))
        for s in specialists
        for state in get_args(State)
    ]
    return Family("protege_specialist_state", "gauge", "1 for the state that a specialist is in, else 0.", samples)


def _events(workspace: Workspace, names: _Names) -> Family:
    counted = Counter((event.task_id, event.what) for event in workspace.history.events())
    samples = [(names.labels(task_id, what=what), n) for (task_id, what), n in counted.items()]
    return Family("protege_events_total", "counter", "Changes of who answers, and the reasons for them.", samples)


def _written(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {family.help}"
    yield f"# TYPE {family.name} {family.kind}"
    for labels, value in family.samples:
        inside = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
        yield f"{family.name}{{{inside}}} {value}" if inside else f"{family.name} {value}"


def _escaped(text: str) -> str:
    return printable(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
