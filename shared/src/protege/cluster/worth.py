"""What a task is worth: how well a small model may be expected to take it over, and what that would save.

Nothing is tuned for it. The expected fit rests on what one small model (SmolLM2-135M) was measured to keep of a dozen
tasks at 5% disagreement; it tells a task of three labels from one of SQL, not two tasks of JSON from each other, and
has one digit. `protege improve` measures: from then on its figure stands in the place of the estimate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..call import Call, Request, canonical_json
from ..chat.answer import answer_text
from ..chat.prompt import fitting_template
from ..errors import InvalidAnswer
from ..task import Task
from .tally import Mean, Repeats, estimated_tokens

MACHINE_USD_PER_HOUR = 0.10
"""What an hour of this machine is taken to cost, all cores: about the list price of a 2-core cloud machine in 2026."""
WINDOW_TOKENS = 2048
"""Longer calls, answer included, are not learnt from."""
FEW_ANSWERS = 5
LONG_ANSWER_TOKENS = 30
COMES_AGAIN = 0.8
"""The share of answers seen before from which on a task is a choice among known answers: .89 and more in those that
were measured to be one, .45 and less in the others."""
MIN_REPEATS = 20
"""Fewer repeated requests do not tell how often the teacher contradicts itself."""
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
"""How each figure was come by, for people."""


@dataclass(frozen=True, slots=True)
class Worth:
    """What a task is worth, estimated; `HOW` says how.

    fit: 0 to 1. why: what it rests on. fit_measured: whether `protege improve` found it. requests_seen_before,
    answers_seen_before, answered_alike, beyond_window: shares, 0 to 1; answered_alike is None where too few requests
    came again. answer_entropy_bits: of whole answers. slot_tokens: mean a call. first, last: seconds since 1970, of the
    `timed` calls. calls_a_month: None where the calls' times do not tell. cost_usd, saving_usd: US dollars a call, None
    without a price. saving_tokens: a call.
    """

    task_id: str
    calls: int
    fit: float
    why: tuple[str, ...]
    fit_measured: bool = False
    requests_seen_before: float = 0.0
    answers_seen_before: float = 0.0
    answered_alike: float | None = None
    answer_entropy_bits: float = 0.0
    slot_tokens: float | None = None
    beyond_window: float = 0.0
    timed: int = 0
    first: float | None = None
    last: float | None = None
    calls_a_month: float | None = None
    cost_usd: float | None = None
    saving_usd: float | None = None
    saving_tokens: float = 0.0

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
        """All figures as users read them: rounded to what they can bear, savings a month and in 1,000 calls."""
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
    """What a task is worth; `calls` are all of its own, read once.

    barred: why no specialist may have it, whatever its calls. measured: the coverage that was certified for it.
    price_as: see `teacher_usd`.
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
    """US dollars a call: as recorded, else its tokens at the list price of `price_as`; None without either."""
    if task.cost_usd is not None:
        return task.cost_usd
    if price_as is None or task.input_tokens is None or task.output_tokens is None:
        return None
    from ..common.prices import cost_usd

    thousand = cost_usd(price_as, round(task.input_tokens * 1000), round(task.output_tokens * 1000))
    return _times(thousand, 1 / 1000)


def ranked(worths: Sequence[Worth]) -> list[Worth]:
    """The most worth first: by dollars saved in the calls watched; those without a price after them, by tokens.

    Says also how many calls a month that is, by the time that all of them were watched.
    """
    watched = _days(worths)
    told = [replace(w, calls_a_month=w.timed / watched * MONTH_DAYS if watched and w.timed else None) for w in worths]
    return sorted(
        told, key=lambda w: (-(w.saving_usd or 0.0) * w.calls, -w.saving_tokens * w.calls, -w.calls, w.task_id)
    )


def _days(worths: Sequence[Worth]) -> float | None:
    """From the first call to the last; None where less than a day, of which a month cannot be told."""
    first = min((w.first for w in worths if w.first is not None), default=0.0)
    last = max((w.last for w in worths if w.last is not None), default=0.0)
    return (last - first) / DAY if last - first >= DAY else None


class _Habits:
    """What one pass over a task's calls counts. Bounded memory: see `Repeats`."""

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
        """Of the requests that came again, the share whose answer had come with them; None where they are few."""
        again = self.requests.total - self.requests.distinct
        return min(1.0, (self.pairs.total - self.pairs.distinct) / again) if again >= MIN_REPEATS else None


def _shown(task: Task, request: Request) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
    """Messages and tools that a specialist would be shown: the slots, or all where no wording fits."""
    found = fitting_template(task, request)
    if found is None:
        return request.messages, request.tools
    template, slots = found
    return slots, () if template.constant_tools else request.tools


def _answer(response: Mapping[str, Any]) -> bytes:
    try:
        return answer_text(response).encode(errors="replace")
    except InvalidAnswer:  # arguments that are no JSON
        return canonical_json(response)


def _fit(task: Task, habits: _Habits, barred: str | None, measured: float | None) -> tuple[float, tuple[str, ...]]:
    """The share of calls that a small model may be expected to keep, and why."""
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
    """By the kind of answers alone; `HOW` names the measurements."""
    if task.kind == "label" or answers.seen_before >= COMES_AGAIN:
        effective = 2**answers.entropy_bits  # so many answers, were they all as frequent
        said = f"about {effective:,.0f} answers, again and again"
        if task.labels:
            said = f"{len(task.labels)} label{'s' if len(task.labels) > 1 else ''}"
        return (0.9 if effective <= FEW_ANSWERS else 0.6), said
    tokens = task.output_tokens or 0.0
    if task.kind in ("sql", "code", "text"):
        return 0.1, f"answers of {tokens:,.0f} tokens, new each time"
    return (0.4 if tokens <= LONG_ANSWER_TOKENS else 0.2), f"mostly new answers of {tokens:,.0f} tokens"


def _machine_usd(task: Task) -> float:
    """A specialist's call. Measured on two cores, SmolLM2-135M: 69 ms for a label, 252 ms for a city with its state,
    323 to 350 ms for 20 to 28 tokens."""
    return (40 + 15 * (task.output_tokens or 0.0)) / 3_600_000 * MACHINE_USD_PER_HOUR


def _times(value: float | None, factor: float | None) -> float | None:
    return None if value is None or factor is None else value * factor


def _rounded(value: Any) -> Any:
    """Three significant digits."""
    return float(f"{value:.3g}") if isinstance(value, float) else value
