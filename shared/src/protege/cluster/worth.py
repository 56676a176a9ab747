"""What a task is worth: how well a small model can be expected to take it over, and what that would save.

Nothing is tuned for this. The expected fit rests on the share of calls that one small model (SmolLM2-135M) was measured
to keep of a dozen tasks at 5% disagreement. It tells a task of three labels from one of SQL, but not two JSON tasks
from each other, and it has one digit. `protege improve` measures the fit; its figure then replaces the estimate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..call import Call, Request, canonical_json
from ..chat.answer import answer_text
from ..chat.prompt import fitting_template
from ..chat.tokens import estimated_tokens
from ..common.prices import cost_usd
from ..errors import InvalidAnswer
from ..task import Task
from .tally import Mean, Repeats

MACHINE_USD_PER_HOUR = 0.10
"""The assumed cost of an hour of this machine, all cores: about the list price of a 2-core cloud machine in 2026."""
WINDOW_TOKENS = 2048
"""Longer calls, answer included, are not learnt from."""
FEW_ANSWERS = 5
"""A task with at most this many effective answers is an easy choice."""
LONG_ANSWER_TOKENS = 30
"""Answers with more tokens are long."""
COMES_AGAIN = 0.8
"""If at least this share of answers was seen before, the task is a choice among known answers. The share was .89 or
more in tasks measured to be one, and .45 or less in the others."""
MIN_REPEATS = 20
"""Fewer repeated requests do not show how often the teacher contradicts itself."""
DAY, MONTH_DAYS = 86_400, 30

HOW: Mapping[str, str] = {
    "volume": "Calls a month: the task's calls that have a time, over the days from the first to the last call of all "
    "tasks. Not said where that is less than a day.",
    "tokens": "Means a call, as recorded; where that is unknown, four characters a token.",
    "cost": "Means a call, as recorded; where that is unknown, tokens at the model's list price.",
    "latency": "Mean of the calls that tell it.",
    "repetition": "Of calls that the teacher answered. requests_seen_before: the same slots (what is not constant in "
    "the prompt), or the same whole request where no wording fits, had come before. answered_alike: of these, the "
    "share whose answer had come with that request too. Exact up to 50,000 distinct ones, then by distinct sampling.",
    "fit": "The share of calls that a small model is expected to keep at 5% disagreement, to one digit, by what "
    "SmolLM2-135M was measured to keep with the best threshold in hindsight. Few answers that come again: .9 (spam "
    "1.0, kind of entry 1.0; none that takes thought was measured). Many that come again: .6 (tickets .945, routing "
    ".535; of 77 intents .565 were right). New JSON or tool calls: .4 up to 30 tokens (city and state .675, booking "
    "slots .41, names .285), .2 beyond (contacts .385, addresses .105). SQL, code and text: .1 (SQL .09). Tool calls, "
    "code and text were not measured. "
    "Times the share of calls within 2,048 tokens, and the share answered alike. That requests come again does not "
    "raise it, since the calls it is certified on are none of those learnt from. Where fit_measured is true: the "
    "certified coverage of the last `protege improve`.",
    "saving": "Cost a call times fit, less what every call costs here: 40 ms, and 15 ms a token of the answer, at "
    f"${MACHINE_USD_PER_HOUR:.2f} an hour of this machine. Tokens: input and output times fit. Tuning is not counted.",
}
"""How each figure was obtained, for people.

`weigh_tasks` hashes these texts: a change here makes it weigh every task again.
"""


@dataclass(frozen=True, slots=True)
class Worth:
    """What a task is worth, estimated; `HOW` says how."""

    task_id: str
    calls: int
    """All calls of the task."""
    fit: float
    """The share of calls that a small model is expected to keep, 0 to 1."""
    why: tuple[str, ...]
    """What `fit` rests on."""
    fit_measured: bool = False
    """Whether `protege improve` measured `fit`."""
    requests_seen_before: float = 0.0
    """Share of requests that had occurred before, 0 to 1."""
    answers_seen_before: float = 0.0
    """Share of answers that had occurred before, 0 to 1."""
    answered_alike: float | None = None
    """Share of repeated requests whose answer was repeated too, 0 to 1; None if too few requests came again."""
    answer_entropy_bits: float = 0.0
    """Entropy of whole answers."""
    slot_tokens: float | None = None
    """Mean tokens per call of what a specialist would be shown."""
    beyond_window: float = 0.0
    """Share of calls that are too long to learn from, 0 to 1."""
    timed: int = 0
    """Calls that have a time."""
    first: float | None = None
    """Time of the first of them, in seconds since 1970."""
    last: float | None = None
    """Time of the last of them, in seconds since 1970."""
    calls_a_month: float | None = None
    """None if the calls' times do not show it."""
    cost_usd: float | None = None
    """US dollars per call that the teacher costs; None without a price."""
    saving_usd: float | None = None
    """US dollars per call that a specialist would save; None without a price."""
    saving_tokens: float = 0.0
    """Teacher's tokens per call that a specialist would save."""

    @property
    def saving_usd_a_month(self) -> float | None:
        return _times(self.saving_usd, self.calls_a_month)

    @property
    def saving_tokens_a_month(self) -> float | None:
        return _times(self.saving_tokens, self.calls_a_month)

    @property
    def cost_usd_a_month(self) -> float | None:
        return _times(self.cost_usd, self.calls_a_month)

    def to_record(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Worth:
        plain: dict[str, Any] = {**record, "why": tuple(record["why"])}
        return cls(**plain)

    def figures(self) -> dict[str, Any]:
        """All figures as users read them: three significant digits, savings per month and per 1,000 calls."""
        left_out = ("task_id", "calls", "cost_usd", "saving_usd", "saving_tokens", "first", "last")
        return {
            **{name: _rounded(value) for name, value in self.to_record().items() if name not in left_out},
            "first": self.first,
            "last": self.last,
            "cost_usd_per_1000": _rounded(_times(self.cost_usd, 1000)),
            "cost_usd_a_month": _rounded(self.cost_usd_a_month),
            "saving_usd_per_1000": _rounded(_times(self.saving_usd, 1000)),
            "saving_usd_a_month": _rounded(self.saving_usd_a_month),
            "saving_tokens_per_1000": _rounded(self.saving_tokens * 1000),
            "saving_tokens_a_month": _rounded(self.saving_tokens_a_month),
        }


def weigh(
    task: Task,
    calls: Iterable[Call],
    *,
    barred: str | None = None,
    measured: float | None = None,
    price_as: str | None = None,
) -> Worth:
    """What a task is worth.

    calls: all calls of this task, read once.
    barred: the reason why no specialist may take the task, whatever its calls.
    measured: the coverage that was certified for it, 0 to 1.
    price_as: as in `teacher_usd`.
    """
    habits = _Habits()
    for call in calls:
        habits.add(task, call)
    fit, why = _fit(task, habits, barred, measured)
    cost = teacher_usd(task, price_as)
    return Worth(
        task.id,
        task.calls,
        fit,
        why,
        fit_measured=barred is None and measured is not None,
        requests_seen_before=habits.requests.seen_before,
        answers_seen_before=habits.answers.seen_before,
        answered_alike=habits.answered_alike,
        answer_entropy_bits=habits.answers.entropy_bits,
        slot_tokens=habits.slot_tokens.value,
        beyond_window=habits.beyond_window.value or 0.0,
        timed=habits.timed,
        first=habits.first,
        last=habits.last,
        cost_usd=cost,
        saving_usd=None if cost is None else max(0.0, fit * cost - (_machine_usd(task) if fit else 0.0)),
        saving_tokens=fit * ((task.input_tokens or 0.0) + (task.output_tokens or 0.0)),
    )


def teacher_usd(task: Task, price_as: str | None = None) -> float | None:
    """US dollars per call: as recorded, else the task's tokens at the list price of `price_as`; None without either."""
    if task.cost_usd is not None:
        return task.cost_usd
    if price_as is None or task.input_tokens is None or task.output_tokens is None:
        return None
    thousand = cost_usd(price_as, round(task.input_tokens * 1000), round(task.output_tokens * 1000))
    return _times(thousand, 1 / 1000)


def ranked(worths: Sequence[Worth]) -> list[Worth]:
    """The tasks by what they would save, most first: by dollars, then, for tasks without a price, by tokens.

    Sets `calls_a_month`, by the days over which all tasks were watched.
    """
    days = _days(worths)
    monthly = [replace(w, calls_a_month=w.timed / days * MONTH_DAYS if days and w.timed else None) for w in worths]
    return sorted(
        monthly, key=lambda w: (-(w.saving_usd or 0.0) * w.calls, -w.saving_tokens * w.calls, -w.calls, w.task_id)
    )


def _days(worths: Sequence[Worth]) -> float | None:
    """Days from the first call to the last; None if less than one, from which no month can be projected."""
    first = min((w.first for w in worths if w.first is not None), default=0.0)
    last = max((w.last for w in worths if w.last is not None), default=0.0)
    return (last - first) / DAY if last - first >= DAY else None


class _Habits:
    """The counts of one pass over a task's calls. Memory is bounded: see `Repeats`."""

    def __init__(self) -> None:
        self.requests, self.answers, self.pairs = Repeats(), Repeats(), Repeats()
        self.slot_tokens, self.beyond_window = Mean(), Mean()
        self.timed = 0
        self.first: float | None = None
        self.last: float | None = None

    def add(self, task: Task, call: Call) -> None:
        if call.time is not None:
            self.timed += 1
            self.first = call.time if self.first is None else min(self.first, call.time)
            self.last = call.time if self.last is None else max(self.last, call.time)
        if call.response is None or call.error is not None or not call.from_teacher:
            return
        messages, tools = _shown(task, call.request)
        tokens = estimated_tokens(messages, tools)
        self.slot_tokens.add(tokens)
        self.beyond_window.add(tokens + estimated_tokens((call.response,)) > WINDOW_TOKENS)
        request, answer = canonical_json([messages, tools]), _answer(call.response)
        self.requests.add(request)
        self.answers.add(answer)
        self.pairs.add(request + b"\n" + answer)

    @property
    def answered_alike(self) -> float | None:
        """The share of repeated requests whose answer was repeated too; None if fewer than `MIN_REPEATS` came again."""
        again = self.requests.total - self.requests.distinct
        return min(1.0, (self.pairs.total - self.pairs.distinct) / again) if again >= MIN_REPEATS else None


def _shown(task: Task, request: Request) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
    """The messages and tools that a specialist would be shown: the slots, or everything if no wording fits."""
    fitting = fitting_template(task, request)
    if fitting is None:
        return request.messages, request.tools
    template, slots = fitting
    return slots, () if template.constant_tools else request.tools


def _answer(response: Mapping[str, Any]) -> bytes:
    try:
        return answer_text(response).encode(errors="replace")
    except InvalidAnswer:  # arguments that are no JSON
        return canonical_json(response)


def _fit(task: Task, habits: _Habits, barred: str | None, measured: float | None) -> tuple[float, tuple[str, ...]]:
    """The share of calls that a small model can be expected to keep, and why."""
    if barred is not None:
        return 0.0, (barred,)
    if measured is not None:
        return measured, ("certified by the last protege improve",)
    if not habits.answers.total:
        return 0.0, ("no answer of the teacher to learn from",)
    fit, reason = _fit_of_answers(task, habits.answers)
    why = [reason]
    beyond, alike = habits.beyond_window.value or 0.0, habits.answered_alike
    if beyond >= 0.01:
        why.append(f"{beyond:.0%} of calls exceed {WINDOW_TOKENS:,} tokens")
    if alike is not None and alike < 0.95:
        why.append(f"the teacher contradicts itself in {1 - alike:.0%} of repeats")
    return round(fit * (1 - beyond) * (1.0 if alike is None else alike), 1), tuple(why)


def _fit_of_answers(task: Task, answers: Repeats) -> tuple[float, str]:
    """The fit by the kind of answers alone; `HOW` names the measurements."""
    if task.kind == "label" or answers.seen_before >= COMES_AGAIN:
        effective = 2**answers.entropy_bits  # this many equally frequent answers have the same entropy
        said = f"about {effective:,.0f} answers, again and again"
        if task.labels:
            said = f"{len(task.labels)} label{'s' if len(task.labels) > 1 else ''}"
        return (0.9 if effective <= FEW_ANSWERS else 0.6), said
    tokens = task.output_tokens or 0.0
    if task.kind in ("sql", "code", "text"):
        return 0.1, f"answers of {tokens:,.0f} tokens, new each time"
    return (0.4 if tokens <= LONG_ANSWER_TOKENS else 0.2), f"mostly new answers of {tokens:,.0f} tokens"


def _machine_usd(task: Task) -> float:
    """The cost of a specialist's call on this machine, in US dollars.

    Measured on two cores with SmolLM2-135M: 69 ms for a label, 252 ms for a city with its state, 323 to 350 ms for 20
    to 28 tokens.
    """
    return (40 + 15 * (task.output_tokens or 0.0)) / 3_600_000 * MACHINE_USD_PER_HOUR


def _times(value: float | None, factor: float | None) -> float | None:
    return None if value is None or factor is None else value * factor


def _rounded(value: Any) -> Any:
    """The value, rounded to three significant digits if it is a float."""
    return float(f"{value:.3g}") if isinstance(value, float) else value
