"""Divides a conversation into its steps: one task for each state that enough of its calls show.

An agent that calls tools asks one prompt for all of its steps, so its calls are one task. Some steps nearly always go
on in one way, others in many; as one task the hard ones keep the easy ones from being certified.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..call import Call
from ..task import ANY_STATE, Kind, Task
from .identity import fresh_id
from .states import OPENING
from .tally import Tally

LEAST = 80
"""A state with fewer calls stays with the rest. With half of them held out, 29 kept calls without an error certify
ε = .10 at δ = .05, where three quarters are kept."""
GOES_ON = 0.5
"""A task is a conversation if at least this share of its calls shows an earlier turn …"""
ACTS = 0.1
"""… and at least this share of its answers calls tools, or is JSON. A mere chat has no easy steps."""
MOST_STATES = 300
"""Of one task are counted beside those of its known steps; calls of others stay with the rest."""


@dataclass(slots=True)
class Counted:
    """A task's calls, by the state that they show. known: the states of its known steps."""

    known: Collection[str] = ()
    by_state: dict[str, Tally] = field(default_factory=dict[str, Tally])

    def add(self, state: str, call: Call) -> str:
        """Count a call; the state under which it was counted."""
        if state not in self.by_state and state not in self.known and len(self.by_state) >= MOST_STATES:
            state = ""
        self.by_state.setdefault(state, Tally()).add(call)
        return state

    def of(self, states: Iterable[str]) -> Tally:
        """The figures of the calls that show one of these states."""
        total = Tally()
        for state in states:
            total.include(self.by_state.get(state, Tally()))
        return total


def steps_of(
    task: Task, counted: Counted, known: Sequence[Task], taken: Collection[str], undivided: Collection[str] = ()
) -> list[Task]:
    """The steps of a conversation, without names and figures; the known ones live on, however few calls they have.

    known: the steps of the last discovery (`known_steps`). taken: ids that no new step may get. undivided: ids of tasks
    that get no new steps, or of tasks that became part of them.
    """
    if ANY_STATE in task.whole:
        return []
    steps = {part.state: part for part in known if part.split_from == task.id}
    new = () if any(i in undivided for i in (task.id, *task.merged)) else _new_states(counted)
    ids = {*taken, *(part.id for part in steps.values())}
    for state in new:
        if state not in steps:
            steps[state] = Task(fresh_id(founding(task.id, state), ids), "", "text", split_from=task.id, state=state)
            ids.add(steps[state].id)
    return [
        replace(part, templates=task.templates, centre=task.centre)
        for state, part in sorted(steps.items())
        if state not in task.whole
    ]


def known_steps(known: Sequence[Task], home: Mapping[str, Task]) -> list[Task]:
    """The steps among the known tasks, each a part of what the task that it was a part of has become.

    Where several tasks have become one, a state has one step: that of the task whose id lives on, else the largest. The
    others become part of it.

    home: by the id of a task, what it has become.
    """
    steps = [task for task in known if task.state and task.split_from in home]
    steps.sort(key=lambda step: (home[step.split_from].id != step.split_from, -step.calls, step.id))
    one: dict[tuple[str, str], Task] = {}
    for step in steps:
        place = home[step.split_from].id, step.state
        one[place] = with_merged(one[place], step) if place in one else replace(step, split_from=place[0])
    return list(one.values())


def with_merged(step: Task, other: Task) -> Task:
    """A step that another has become part of."""
    return replace(step, merged=tuple(dict.fromkeys((*step.merged, other.id, *other.merged))))


def founding(task_id: str, state: str) -> str:
    """What a step's id is made of."""
    return f"{task_id} state {state}"


def kind_of(tally: Tally) -> Kind:
    """What the answers of a step, or of the rest, are. Calls of tools count where there are some: words are the
    teacher's."""
    acts = tally.kinds["tool_calls"] >= ACTS * max(1, tally.kinds.total())
    return "tool_calls" if acts and tally.kind == "text" else tally.kind


def step_name(task: str, state: str, taken: Collection[str]) -> str:
    """The name of a step: its task's, and its state in words joined by low lines."""
    words = state.replace("+", "_and_").replace(",", "").split()
    name = f"{task}.{'_'.join(words)}"
    return next(each for each in (name, *(f"{name}_{n}" for n in range(2, len(taken) + 3))) if each not in taken)


def _new_states(counted: Counted) -> list[str]:
    """The states that enough calls show, if they are those of a conversation."""
    calls = {state: tally.calls for state, tally in counted.by_state.items() if state}
    all_calls, opening = sum(tally.calls for tally in counted.by_state.values()), calls.get(OPENING, 0)
    enough = sorted(state for state, count in calls.items() if count >= LEAST)
    if len(enough) < 2 or all_calls - opening < GOES_ON * all_calls or not _acts(counted.by_state):
        return []
    return enough


def _acts(by_state: Mapping[str, Tally]) -> bool:
    answers = sum(tally.kinds.total() for tally in by_state.values())
    acts = sum(tally.kinds["tool_calls"] + tally.kinds["json"] for tally in by_state.values())
    return acts >= ACTS * max(1, answers)
