"""Discovery: find the kinds of call that repeat.

    all calls ─► survey (a bounded sample) ─► density (groups) ─► templates, identity
                                                                        │
    all calls ─► assign, tally ◄────────────────────────────────────────┘

The calls are read twice: a sample is examined closely, then every call is assigned by the same code that assigns calls
in the agent. Time is linear in the number of calls; memory is bounded by the sample.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from ..call import Call, Request
from ..common.confinement import Aside, Confinement
from ..task import Task, Template
from .answers import forms_of
from .assign import Assigner, weight_of
from .density import group
from .document import Document
from .identity import fresh_id, identify, put_together
from .naming import names_for
from .states import state_of
from .steps import Counted, kind_of, known_steps, step_name, steps_of
from .survey import survey
from .tally import Tally
from .templates import templates_for
from .wording import FREE, Wording, free_words, opening_text

VAGUE = 0.05
"""At most this share of a template's requests may belong to other tasks."""
_RUN = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Discovery:
    """The tasks that were found, and which of them each call is."""

    tasks: tuple[Task, ...]
    """Largest first."""
    assignment: dict[str, str | None]
    """Task id by call id; None for a call that fits no task."""


def discover(
    calls: Iterable[Call] | Callable[[], Iterable[Call]],
    known: Sequence[Task] = (),
    on_aside: Callable[[Aside], None] | None = None,
    undivided: Collection[str] = (),
) -> Discovery:
    """The kinds of call that repeat, and which of them each call is. The order of the calls makes no difference, but to
    which states are counted of a conversation that has more than `steps.MOST_STATES`.

    calls: read twice. A function that starts them anew (`workspace.calls`) needs no memory for them; a generator is
    read into memory.
    known: the tasks of the last discovery; their ids, names and templates live on.
    on_aside: is told of each call that cannot be read: it belongs to no task, and the others go on.
    undivided: ids of known tasks that get no new parts by state, such as those that a specialist answers.
    """
    again = _replayable(calls)
    confinement = Confinement("discovery", on_aside)
    sample, wordings, openings = _read(survey(again(), confinement), confinement)
    grouping = group(wordings, [call.node for call in sample], forms_of(sample), openings)
    members: dict[int, list[int]] = defaultdict(list)
    for i, label in enumerate(grouping.labels):
        if label >= 0:
            members[label].append(i)
    whole = [task for task in known if not task.is_part]
    order = sorted(members)
    merged = put_together([[sample[i].request for i in members[label]] for label in order], whole)
    groups = [[label for label, g in zip(order, merged, strict=True) if g == n] for n in sorted(set(merged))]
    numbers = [[i for label in labels for i in members[label]] for labels in groups]
    requests = [[sample[i].request for i in theirs] for theirs in numbers]
    documents = [[grouping.documents[i] for i in theirs] for theirs in numbers]
    centres = [_mean([grouping.centres[label] for label in labels]) for labels in groups]
    drafts = _drafts(requests, documents, centres, whole)
    sentences = [_constant_sentences(d) for d in documents]
    return _Counting(drafts, sentences, known, undivided).of(again(), confinement)


def _read(sample: Sequence[Call], confinement: Confinement) -> tuple[list[Call], list[Wording], list[Any]]:
    """The calls of the sample that can be read, with what is read of each."""
    calls: list[Call] = []
    wordings: list[Wording] = []
    openings: list[Any] = []
    for call in sample:
        with confinement.each(call.id):
            wording, opening = Wording.of(call.request), free_words(opening_text(call.request))
            forms_of([call])
            calls.append(call)
            wordings.append(wording)
            openings.append(opening)
    return calls, wordings, openings


def _mean(centres: Sequence[dict[str, float]]) -> dict[str, float]:
    """One centre of length one for several groups. Groups without constant text are recognised by another rule."""
    if len(centres) == 1:
        return centres[0]
    total: Counter[str] = Counter()
    for centre in centres:
        if not FREE.intersection(centre):
            total.update(centre)
    length = math.sqrt(sum(weight * weight for weight in total.values())) or 1.0
    return {word: round(weight / length, 4) for word, weight in total.items()} or centres[0]


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
    """The tasks without figures and names. Known templates stay; new ones are made for requests that fit none."""
    taken = {i for task in known for i in (task.id, *task.merged)}
    drafts: list[Task] = []
    for theirs, docs, centre, same in zip(requests, documents, centres, identify(requests, known), strict=True):
        uncovered = [i for i, r in enumerate(theirs) if all(t.slots(r) is None for t in same.templates)]
        new = templates_for([theirs[i] for i in uncovered], [docs[i] for i in uncovered])
        templates = (*same.templates, *(t for t in new if t not in same.templates))
        if same.known is not None:
            draft = replace(same.known, merged=same.merged)
        else:
            signature = max(templates, key=weight_of).signature if templates else repr(sorted(centre.items()))
            draft = Task(fresh_id(signature, taken), "", "text", split_from=same.part_of)
            taken.add(draft.id)
        drafts.append(replace(draft, templates=templates, centre=centre))
    return _telling(drafts, requests, {t for task in known for t in task.templates})


def _telling(drafts: Sequence[Task], requests: Sequence[Sequence[Request]], known: Set[Template]) -> list[Task]:
    """The drafts without those new templates that are too vague: more than `VAGUE` of their requests are others'."""
    assigner = Assigner(drafts)
    right, wrong = Counter[Template](), Counter[Template]()
    for draft, theirs in zip(drafts, requests, strict=True):
        for request in theirs:
            if match := assigner.fit(request):
                task, template = match
                (right if task.id == draft.id else wrong)[template] += 1
    vague = {t for t, n in wrong.items() if n > VAGUE * (n + right[t])} - known
    return [replace(draft, templates=tuple(t for t in draft.templates if t not in vague)) for draft in drafts]


def _constant_sentences(documents: Sequence[Document]) -> list[str]:
    """The constant sentences of a group's most frequent prompt, without words that most other prompts lack."""
    counts = Counter(documents)
    first = max(counts, key=lambda d: (counts[d], d.constant))
    frequency: Counter[str] = Counter()
    for document, n in counts.items():
        for word in set(_RUN.findall(" ".join(document.constant))):
            frequency[word] += n
    return [_RUN.sub(lambda m: m[0] if 2 * frequency[m[0]] >= len(documents) else "", s) for s in first.constant]


class _Counting:
    """Assigns every call, divides conversations into their steps, and gives the tasks their figures and names.

    Tasks without any call are dropped, except parts and what they are parts of.
    """

    def __init__(
        self, drafts: Sequence[Task], sentences: Sequence[list[str]], known: Sequence[Task], undivided: Collection[str]
    ) -> None:
        taken = {i: draft for draft in drafts for i in (draft.id, *draft.merged)}
        gone = [task for task in known if not task.is_part and task.id not in taken]
        home = {**{task.id: task for task in gone}, **taken}
        self._whole = [*drafts, *gone]
        self._sentences = {draft.id: said for draft, said in zip(drafts, sentences, strict=True)}
        self._by_phrase = [_part(t, home[t.split_from]) for t in known if t.phrase and t.split_from in home]
        self._steps = known_steps(known, home)
        self._undivided = undivided

    def of(self, calls: Iterable[Call], confinement: Confinement) -> Discovery:
        tasks = [*self._whole, *self._by_phrase]
        assigner = Assigner(tasks)
        states = {
            task.id: frozenset(step.state for step in self._steps if step.split_from == task.id) for task in tasks
        }
        counted = {task.id: Counted(states[task.id]) for task in tasks}
        keys: dict[tuple[str, str], tuple[str, str]] = {}  # each pair is held once, however many calls it has
        placed: dict[str, tuple[str, str] | None] = {}
        for call in calls:
            placed[call.id] = None
            with confinement.each(call.id):
                if task := assigner.assign(call.request):
                    state = "" if task.phrase else state_of(call.request)
                    key = task.id, counted[task.id].add(state, call)
                    placed[call.id] = keys.setdefault(key, key)
        ids = {i for task in (*tasks, *self._steps) for i in (task.id, *task.merged)}
        figured: list[Task] = []
        step_of: dict[tuple[str, str], str] = {}
        for task in tasks:
            steps = [] if task.phrase else steps_of(task, counted[task.id], self._steps, ids, self._undivided)
            by_state = counted[task.id].by_state
            rest = set(by_state) - {step.state for step in steps}
            own = _with_figures(task, counted[task.id].of(sorted(rest)), bool(steps))
            if own.calls or own.is_part or steps:
                figured += [own, *(_with_figures(step, by_state.get(step.state, Tally()), True) for step in steps)]
            step_of |= {(task.id, step.state): step.id for step in steps}
            ids |= {step.id for step in steps}
        named = _with_names([(task, self._sentences.get(task.id, [])) for task in figured if not task.state])
        named += _with_step_names([task for task in figured if task.state], named)
        assignment = {call_id: None if key is None else step_of.get(key, key[0]) for call_id, key in placed.items()}
        return Discovery(tuple(sorted(named, key=lambda task: (-task.calls, task.id))), assignment)


def _part(task: Task, whole: Task) -> Task:
    """A part, with the prompts of the task that it is a part of."""
    return replace(task, split_from=whole.id, templates=whole.templates, centre=whole.centre)


def _with_figures(task: Task, tally: Tally, divided: bool = False) -> Task:
    return replace(
        task,
        kind=kind_of(tally) if divided else tally.kind,
        labels=tally.label_texts(),
        nodes=tuple(node for node, _ in sorted(tally.nodes.items(), key=lambda item: (-item[1], item[0]))),
        tools=tuple(name for name, _ in sorted(tally.tools.items(), key=lambda item: (-item[1], item[0]))),
        calls=tally.calls,
        wrapper=tuple(tally.wrapper),
        input_tokens=tally.input_tokens.value,
        output_tokens=tally.output_tokens.value,
        cost_usd=tally.cost_usd.value,
        latency_ms=tally.latency_ms.value,
    )


def _with_names(tasks: Sequence[tuple[Task, list[str]]]) -> list[Task]:
    """The tasks, each with a name. Of those that had none, the largest chooses first."""
    named = [task for task, _ in tasks if task.name]
    new = sorted(((t, s) for t, s in tasks if not t.name), key=lambda item: (-item[0].calls, item[0].id))
    names = names_for([s for _, s in new], [t.node for t, _ in new], [t.tools for t, _ in new], [t.name for t in named])
    return named + [replace(task, name=name) for (task, _), name in zip(new, names, strict=True)]


def _with_step_names(steps: Sequence[Task], named: Sequence[Task]) -> list[Task]:
    """The steps, each with a name. Those that have one keep it."""
    names = {task.id: task.name for task in named}
    taken = {*names.values(), *(step.name for step in steps)}
    told: list[Task] = []
    for step in sorted(steps, key=lambda step: (-step.calls, step.id)):
        name = step.name or step_name(names[step.split_from], step.state, taken)
        taken.add(name)
        told.append(replace(step, name=name))
    return told
