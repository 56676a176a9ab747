"""Which kind of specialist a task gets, and which prompt it sees, where there is a choice.

A head chooses among known answers: it learns in a second and answers in a millisecond. A tagger copies an answer's
fields out of the prompt. A pointer chooses the next action of an agent and copies its arguments. A tuned model makes
its answers, and takes some minutes and a hundred times as long. Which of them answers more of a task's calls as the
teacher did cannot be told beforehand, so each is made, cheapest first, and asked the validation calls; the one that
saves most there goes on. The calibration and test calls have no part in it: they are looked at once, for the one that
was chosen, so its certificate is worth what it would be without a choice.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from .. import serve
from ..certify import as_routed, hindsight_coverage
from ..common.hashing import hash_of
from ..common.tracing import traced
from ..curate import CurateSettings
from ..errors import NotClosed, NotEnoughCalls, ProtegeError
from ..rollout.lifecycle import refuse
from ..rollout.policy import fields_of
from ..specialist import PromptForm, Specialist
from ..tune import TuneSettings
from ..watch.reasons import last_reason
from . import steps
from .retraining import ENOUGH
from .run import Run
from .worth import saving_usd

if TYPE_CHECKING:
    from ..curate import Curated

HEAD, TAGGER, POINTER = "head", "tagger", "pointer"
ADVISERS = (HEAD, TAGGER)
"""Methods whose specialists can say what they make of another's answer."""
IN_PROCESS = (*ADVISERS, POINTER)
"""Methods whose specialists answer in the agent's process, cheapest first."""
WRITTEN = ("tool_calls", "json")
"""Kinds of answers that all of these can give; others only a head."""
LASTING = (NotClosed, NotEnoughCalls)
"""What stands in a contender's way as long as the data set is the same."""


@dataclass(frozen=True, slots=True)
class Showing:
    """What a contender's answers to the validation calls come to."""

    coverage: float
    """The share that some threshold would have kept with observed disagreement ≤ ε."""
    saving_usd: float | None
    """US dollars saved by each call; None if a cost is unknown."""

    @property
    def worth(self) -> float:
        """What to compare by: money, or calls where costs are unknown."""
        return self.coverage if self.saving_usd is None else self.saving_usd


def contenders(run: Run) -> dict[str, Run]:
    """The run as each kind and prompt would have it, cheapest first."""
    settings = run.settings.tune or TuneSettings()
    forms: tuple[PromptForm, ...] = ("slots", "whole") if run.settings.compare_prompts else (settings.form,)
    heads = IN_PROCESS if run.task.kind in WRITTEN else (HEAD,)
    methods = tuple(dict.fromkeys((*heads, settings.method))) if run.settings.compete else (settings.method,)
    if run.settings.budget_s is not None:
        run = replace(run, settings=replace(run.settings, budget_s=run.settings.budget_s / len(forms)))
    named = {f"{m}, {f} prompt" if len(forms) > 1 else m: (m, f) for m in methods for f in forms}
    return {name: _as(run, replace(settings, method=m, form=f).decided()) for name, (m, f) in named.items()}


def _as(run: Run, tune: TuneSettings) -> Run:
    if tune.method == POINTER:
        tune = replace(tune, fields=fields_of(run.workspace, run.task))
    if tune.method not in IN_PROCESS or (run.settings.tune or tune).method == tune.method:
        return replace(run, settings=replace(run.settings, tune=tune))
    engine = serve.choose("auto", "head").name
    return replace(run, settings=replace(run.settings, tune=tune, base=None, serve_as="head", engine=engine))


@traced
def recent(run: Run, curated: Curated) -> Curated:
    """The data set, without what is from before the last change if that teaches what is wrong by now.

    What answers in the agent's process is taught with it and without it, where one can be, and both are asked the
    validation calls, which are from after the change. A prompt that was reworded leaves the older answers right; a
    teacher that answers otherwise, under whatever name, does not. The dearer kinds go by what the cheap one shows.
    """
    reason, least = last_reason(run.workspace, run.task.id), (run.settings.curate or CurateSettings()).min_train
    probes = [each for each in contenders(run).values() if _method(each) in IN_PROCESS]
    if reason is None or not probes:
        return curated
    later = curated.since(reason.since)
    if not least <= len(later.train) < len(curated.train):
        return curated
    key = f"recent:{hash_of(run.task.id, run.task.to_record()['templates'], curated.hash, later.hash)}"
    if (cached := run.workspace.cached(key)) is None:
        for probe in probes:
            with contextlib.suppress(ProtegeError):  # no such specialist can be made of these answers
                cached = _tells_more(probe, later, curated)
                break
        else:
            return curated
        run.workspace.cache(key, cached)
    if cached:
        later.save(run.workspace.home / "datasets" / later.hash)  # `protege evaluate` looks for it there
    return later if cached else curated


def _tells_more(run: Run, later: Curated, whole: Curated) -> bool:
    shown: list[tuple[float, int]] = []
    for curated in (later, whole):
        specialist = _specialist(run, curated)
        agreed = sum(answer.agreed for answer in steps.validated(run, specialist, curated))
        shown.append((_showing(run, specialist, curated).worth, agreed))
        _let_go(run, specialist)
    return shown[0] > shown[1]


@traced
def chosen(run: Run, curated: Curated) -> tuple[Run, list[tuple[str, str]]]:
    """The run that goes on, and the other contenders, each with the reason.

    Once one keeps nearly all validation calls, dearer ones are not made. Where none can be made, the last goes on and
    tells why.
    """
    runs = contenders(run)
    if len(runs) == 1:
        return next(iter(runs.values())), []
    settings = {name: asdict(each.settings) for name, each in runs.items()}
    made_from = (run.task.id, run.task.to_record()["templates"], curated.hash, settings)
    key = f"contest:{hash_of(*made_from)}"
    cached: dict[str, Any] | None = run.workspace.cached(key)
    if cached is None:
        cached, lasts = _held(runs, curated)
        if lasts:
            run.workspace.cache(key, cached)
    return runs[cached["best"]], [(name, reason) for name, reason in cached["others"]]


def _held(runs: Mapping[str, Run], curated: Curated) -> tuple[dict[str, Any], bool]:
    """What is cached of a contest, and whether another one would end the same way."""
    made: dict[str, tuple[Run, Specialist, Showing]] = {}
    unable: dict[str, str] = {}
    lasts = True
    for name, run in runs.items():
        if len(unable) == len(runs) - 1:
            return {"best": name, "others": list(unable.items())}, lasts  # no other is left to compare it with
        try:
            specialist = _advised(run, _specialist(run, curated), made)
            made[name] = run, specialist, _showing(run, specialist, curated)
        except ProtegeError as error:
            unable[name] = str(error)
            lasts = lasts and isinstance(error, LASTING)
            continue
        if made[name][2].coverage >= ENOUGH:
            break
    best = max(made, key=lambda name: made[name][2].worth) if made else list(runs)[-1]
    for name, (run, specialist, _) in made.items():
        if name != best:
            _let_go(run, specialist)
    others = [*unable.items(), *_outdone(best, [name for name in runs if name not in unable], made)]
    return {"best": best, "others": others}, lasts


def _specialist(run: Run, curated: Curated) -> Specialist:
    """A contender: tuned, placed, and shown to be served as it was tuned."""
    base, reason, _ = steps.select(run, curated)
    if base is None:
        raise ProtegeError(reason, "`protege doctor` tells what is missing.")
    specialist, parity = steps.served_alike(run, steps.tune(run, curated, base), curated)
    if not parity.holds:
        raise ProtegeError(parity.reason, "`protege improve --retrain` makes it again.")
    return specialist


def _advised(run: Run, specialist: Specialist, made: Mapping[str, tuple[Run, Specialist, Showing]]) -> Specialist:
    """A tuned model with the head or tagger that sees the same prompt for a second opinion, if one was made: the one
    that would keep more.

    Whether that opinion enters the model's confidence is decided where the confidence is fitted: on validation calls.
    """
    alike = [(each.coverage, one) for by, one, each in made.values() if _method(by) in ADVISERS and HEAD in one.files]
    heads = [(coverage, one) for coverage, one in alike if one.form == specialist.form]
    if not heads or _method(run) in IN_PROCESS:
        return specialist
    return steps.advised(run, specialist, max(heads, key=lambda each: each[0])[1])


def _method(run: Run) -> str:
    return (run.settings.tune or TuneSettings()).method


def _showing(run: Run, specialist: Specialist, curated: Curated) -> Showing:
    judged = as_routed(steps.validated(run, specialist, curated), curated)
    coverage = hindsight_coverage(judged, run.settings.epsilon, run.settings.promise.of_all)
    took_ms = [answer.latency_ms for answer in judged if answer.latency_ms is not None]
    return Showing(coverage, saving_usd(run, coverage, statistics.median(took_ms) if took_ms else None))


def _outdone(
    best: str, names: Sequence[str], made: Mapping[str, tuple[Run, Specialist, Showing]]
) -> list[tuple[str, str]]:
    kept = {name: f"{showing.coverage:.0%} of the validation calls" for name, (_, _, showing) in made.items()}
    return [
        (name, f"it would keep {kept[name]}, and {best} {kept[best]}." if name in kept else f"{best} keeps enough.")
        for name in names
        if name != best
    ]


def _let_go(run: Run, specialist: Specialist) -> None:
    """Take one that was made for the contest alone out of its engine. One that is in service goes on."""
    stored = run.workspace.specialist(specialist.id)
    if stored is None or stored.state == "candidate":
        refuse(run.workspace, specialist)
