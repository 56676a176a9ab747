"""Discovery: which kinds of call repeat.

    all calls ─► survey (a bounded sample) ─► density (groups) ─► templates, identity
                                                                        │
    all calls ─► assign, tally ◄────────────────────────────────────────┘

The calls are read twice: a sample is looked at closely, then every call is assigned by the very code that assigns in
the agent. Time is linear in the calls, memory bounded by the sample.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..call import Call, Request
from ..task import Task
from .assign import Assigner, weight_of
from .density import group
from .document import Document
from .identity import fresh_id, identify
from .naming import names_for
from .survey import survey
from .tally import Tally
from .templates import templates_for
from .wording import Wording

_RUN = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Discovery:
    """tasks: largest first. assignment: task id by call id, None where a call fits no task."""

    tasks: tuple[Task, ...]
    assignment: dict[str, str | None]


def discover(calls: Iterable[Call] | Callable[[], Iterable[Call]], known: Sequence[Task] = ()) -> Discovery:
    """The kinds of call that repeat, and which of them each call is; the same for the same calls in any order.

    calls: read twice; a function that starts them afresh (`workspace.calls`) needs no memory for them, a generator is
    held. known: the tasks of the last discovery, whose ids, names and templates live on.
    """
    again = _replayable(calls)
    sample = survey(again())
    wordings = [Wording.of(call.request) for call in sample]
    found = group(wordings, [call.node for call in sample])
    members: dict[int, list[int]] = defaultdict(list)
    for i, label in enumerate(found.labels):
        if label >= 0:
            members[label].append(i)
    order = sorted(members)
    requests = [[sample[i].request for i in members[label]] for label in order]
    documents = [[found.documents[i] for i in members[label]] for label in order]
    drafts = _drafts(requests, documents, [found.centres[label] for label in order], known)
    return _counted(drafts, [_constant_sentences(d) for d in documents], again(), known)


def _replayable(calls: Iterable[Call] | Callable[[], Iterable[Call]]) -> Callable[[], Iterable[Call]]:
    if callable(calls):
        return calls
    held = list(calls) if isinstance(calls, Iterator) else calls
    return lambda: held


def _drafts(
    requests: Sequence[Sequence[Request]],
    documents: Sequence[Sequence[Document]],
    centres: Sequence[dict[str, float]],
    known: Sequence[Task],
) -> list[Task]:
    """The tasks without their figures and names. Templates that are known stay; new ones are made for the rest."""
    taken = {i for task in known for i in (task.id, *task.merged)}
    drafts: list[Task] = []
    for theirs, docs, centre, same in zip(requests, documents, centres, identify(requests, known), strict=True):
        uncovered = [i for i, r in enumerate(theirs) if all(t.slots(r) is None for t in same.templates)]
        new = templates_for([theirs[i] for i in uncovered], [docs[i] for i in uncovered])
        templates = (*same.templates, *(t for t in new if t not in same.templates))
        if same.known is not None:
            draft = replace(same.known, merged=same.merged)
        else:
            signature = max(new, key=weight_of).signature if new else repr(sorted(centre.items()))
            draft = Task(fresh_id(signature, taken), "", "text")
            taken.add(draft.id)
        drafts.append(replace(draft, templates=templates, centre=centre))
    return drafts


def _constant_sentences(documents: Sequence[Document]) -> list[str]:
    """The most frequent prompt of a group, without the words that most others lack."""
    counts = Counter(documents)
    first = max(counts, key=lambda d: (counts[d], d.constant))
    frequency: Counter[str] = Counter()
    for document, n in counts.items():
        for word in set(_RUN.findall(" ".join(document.constant))):
            frequency[word] += n
    return [_RUN.sub(lambda m: m[0] if 2 * frequency[m[0]] >= len(documents) else "", s) for s in first.constant]


def _counted(
    drafts: Sequence[Task], sentences: Sequence[list[str]], calls: Iterable[Call], known: Sequence[Task]
) -> Discovery:
    """Every call assigned, the tasks with their figures and names; tasks that no call is left for are dropped."""
    gone = [task for task in known if task.id not in {i for d in drafts for i in (d.id, *d.merged)}]
    tasks = [*drafts, *gone]
    assigner = Assigner(tasks)
    tallies = {task.id: Tally() for task in tasks}
    assignment: dict[str, str | None] = {}
    for call in calls:
        task = assigner.assign(call.request)
        assignment[call.id] = task.id if task else None
        if task:
            tallies[task.id].add(call)
    figured = [_with_figures(task, tallies[task.id]) for task in tasks]
    said = [*sentences, *([] for _ in gone)]
    named = _with_names([(t, s) for t, s in zip(figured, said, strict=True) if t.calls])
    return Discovery(tuple(sorted(named, key=lambda task: (-task.calls, task.id))), assignment)


def _with_figures(task: Task, tally: Tally) -> Task:
    return replace(
        task,
        kind=tally.kind,
        labels=tally.label_texts(),
        nodes=tuple(node for node, _ in sorted(tally.nodes.items(), key=lambda item: (-item[1], item[0]))),
        tools=tuple(name for name, _ in sorted(tally.tools.items(), key=lambda item: (-item[1], item[0]))),
        calls=tally.calls,
        input_tokens=tally.input_tokens.value,
        output_tokens=tally.output_tokens.value,
        cost_usd=tally.cost_usd.value,
        latency_ms=tally.latency_ms.value,
    )


def _with_names(tasks: Sequence[tuple[Task, list[str]]]) -> list[Task]:
    """Names for the tasks that have none yet; the largest chooses first."""
    named = [task for task, _ in tasks if task.name]
    new = sorted(((t, s) for t, s in tasks if not t.name), key=lambda item: (-item[0].calls, item[0].id))
    names = names_for([s for _, s in new], [t.node for t, _ in new], [t.tools for t, _ in new], [t.name for t in named])
    return named + [replace(task, name=name) for (task, _), name in zip(new, names, strict=True)]
