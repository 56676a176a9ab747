"""When a second specialist is made, what it is certified on, and where it may answer."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from memory_engine import BASE
from protege import Attempt, Call, Workspace, flywheel
from protege.asking.confidence import Scorer
from protege.certify import Candidate, Certificate, Promise, certify
from protege.cli.summaries import answerer
from protege.common.progress import Silent
from protege.curate import Curated, CurateSettings, curate
from protege.errors import BaseModelError, EngineError, ResourceError
from protege.evaluate import Judged
from protege.evaluate.judging import Answers
from protege.loop import cascade, retraining, steps
from protege.loop.admit import admit
from protege.loop.retraining import HARD as HARD_CALLS
from protege.loop.run import Improvement, Run, Second
from protege.loop.settings import Settings
from protege.redact import RedactionPolicy
from protege.report import exposition, status
from protege.rollout import lifecycle
from protege.rollout.switching import set_policy
from protege.specialist import Specialist
from protege.store import DataSet, ImprovementRow
from protege.task import Task
from protege.tune import TuneSettings
from watched import PARITY, call, colour_task, figures, specialist

TASK = colour_task()
LARGER = replace(BASE, name="larger", sha256="1")
STAGED = Settings(cascade="larger", rollout="staged")
DIRECT = Settings(cascade="larger")
HARD = 0.35
"""Of every part of the data set, the share of calls that the first specialist is not sure of."""


@functools.cache
def data_set() -> Curated:
    texts = ["".join(letters) for letters in itertools.product("bdfgklmn", "aeiou", "prstvz", "aeiou")]

    def asked(number: int, text: str) -> Call:
        one = call(number, said=None)
        messages = (one.request.messages[0], {"role": "user", "content": text})
        return replace(one, request=replace(one.request, messages=messages))

    calls = [asked(number, text) for number, text in enumerate(texts)]
    return curate(TASK, calls, CurateSettings(), RedactionPolicy(types=frozenset(), model=False))


def answered(curated: Curated, *, sure: Callable[[int, int], float], hard: float = 0.0, valid: bool = True) -> Answers:
    """Answers to the held-out calls. sure: the confidence in the i-th of n; hard: the share of the
    calibration and test calls, the last ones, that are wrong."""

    def part(name: str) -> list[Judged]:
        rows = getattr(curated, name).to_list()
        return [
            Judged(
                row["id"],
                "",
                "red",
                "red",
                agreed=valid and (name == "validation" or at < round(len(rows) * (1 - hard))),
                confidence=sure(at, len(rows)) if valid else None,
                valid=valid,
                latency_ms=40.0,
                input_tokens=5,
                output_tokens=1,
            )
            for at, row in enumerate(rows)
        ]

    return Answers("engine-1", Scorer.plain(), part("validation"), part("calibration"), part("test"))


def pooled(curated: Curated) -> int:
    return len(curated.calibration) + len(curated.test)


def falling(at: int, n: int) -> float:
    return 1 - at / n


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    workspace = Workspace(tmp_path)
    workspace.save_tasks([TASK], {})
    monkeypatch.setattr("protege.select.base_named", lambda *_: LARGER)
    return workspace


def run_of(workspace: Workspace, settings: Settings = DIRECT, task: Task = TASK) -> Run:
    return Run(workspace, task, settings, Silent())


def first_of(workspace: Workspace, settings: Settings = DIRECT) -> tuple[Candidate, Improvement]:
    """colour-v1, live: certified on calls of which those it is not sure of are wrong."""
    curated, one = data_set(), specialist(1, "candidate")
    answers = answered(curated, sure=falling, hard=HARD)
    first = Candidate(TASK, one, curated, PARITY, answers)
    figures = certify(workspace, first, settings.promise)
    routed, reason = admit(run_of(workspace, replace(settings, rollout="direct")), first, figures)
    assert routed, reason
    return first, Improvement(TASK.id, "live", reason, one.id, figures)


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The steps of the second stood in for: `second.answers` is what it answers of what it is asked."""
    made = SimpleNamespace(asked=[], tuned=0, refused=[], answers=lambda curated: answered(curated, sure=falling))

    def tune(run: Run, *_: Any) -> Specialist:
        made.tuned += 1
        known = next((s for s in run.workspace.specialists() if s.version == 2), None)
        return known or replace(specialist(2, "candidate"), base=LARGER)

    def answers(run: Run, one: Specialist, curated: Curated, promise: Promise) -> Answers:
        made.asked.append(curated)
        return made.answers(curated)

    monkeypatch.setattr(steps, "tune", tune)
    monkeypatch.setattr(steps, "served_alike", lambda run, one, curated: (one, PARITY))
    monkeypatch.setattr("protege.serve.check_room", lambda *_: None)
    monkeypatch.setattr(steps, "answers", answers)
    monkeypatch.setattr(cascade, "refuse", lambda workspace, one: made.refused.append(one.name))
    return made


def extended(workspace: Workspace, settings: Settings = DIRECT) -> Improvement:
    first, found = first_of(workspace, settings)
    return cascade.extended(run_of(workspace, settings), first, found)


def certificate_of(improvement: Improvement) -> Certificate:
    assert improvement.figures is not None
    return improvement.figures.certificate


def second_of(improvement: Improvement) -> Second:
    assert improvement.second is not None
    return improvement.second


def states(workspace: Workspace) -> dict[str, str]:
    return {s.name: s.state for s in workspace.specialists()}


def test_what_the_first_hands_on_is_what_its_decision_never_looked_at(workspace: Workspace) -> None:
    first, found = first_of(workspace)
    answers = first.answers
    handed = cascade.handed_on(run_of(workspace), replace(first, specialist=workspace.specialists()[0]))
    certificate = certificate_of(found)
    assert certificate.failed == handed.below and certificate.threshold is not None
    assert handed.below < certificate.threshold
    sure = {one.call_id: one.confidence for one in (*answers.validation, *answers.calibration, *answers.test)}
    for part in ("validation", "calibration", "test"):
        mine, whole = handed.curated.parts[part]["id"], data_set().parts[part]["id"]
        assert set(mine) == {identity for identity in whole if sure[identity] < handed.below}  # pyright: ignore[reportOptionalOperand]
    assert handed.curated.train.to_list() == data_set().train.to_list()
    assert handed.curated.hash != data_set().hash
    assert handed.share == pooled(handed.curated) / pooled(data_set())


@pytest.mark.parametrize(
    ("confidence", "valid", "latency_ms", "handed"),
    [(0.9, True, 5.0, False), (0.5, True, 5.0, False), (0.4, True, 5.0, True), (None, False, 5.0, True)],
)
def test_handed_on_is_what_was_answered_and_not_surely(
    confidence: float | None, valid: bool, latency_ms: float | None, handed: bool
) -> None:
    one = Judged("c", "", "", "", False, confidence, valid, latency_ms)
    assert cascade.is_handed_on(one, 0.5) is handed
    assert not cascade.is_handed_on(replace(one, latency_ms=None), 0.5), "nothing came back: no fault of the answer"


def test_a_second_that_is_right_answers_beside_the_first(workspace: Workspace, second: Any) -> None:
    found = extended(workspace)
    assert states(workspace) == {"colour-v1": "live", "colour-v2": "live"}
    terms, first = workspace.routes()["s2"], workspace.routes()["s1"]
    assert (terms.after, terms.rests_on, terms.takes_s) == ("s1", first.identity, 0.04)
    assert (first.delta, terms.delta) == (0.025, 0.05), "half of δ each; together all of it"
    assert terms.below == certificate_of(found).failed
    assert second.asked[0].hash != data_set().hash and terms.calibration_calls == pooled(second.asked[0])
    assert second_of(found).answers and "colour-v2 keeps 100%" in found.reason


def test_after_a_head_a_model_is_tuned_and_has_its_opinion(
    workspace: Workspace, second: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("protege.serve.choose", lambda _, serve_as: SimpleNamespace(name=f"for {serve_as}"))
    made_by, advised, tune = list[Settings](), list[str](), steps.tune

    def tuned(run: Run, *rest: Any) -> Specialist:
        made_by.append(run.settings)
        return tune(run, *rest)

    monkeypatch.setattr(steps, "tune", tuned)
    monkeypatch.setattr(steps, "advised", lambda run, one, head: [advised.append(head.name), one][1])
    settings = steps.decided(replace(DIRECT, compete=False, tune=TuneSettings(method="head", rank=8)))
    first, found = first_of(workspace, settings)
    assert (settings.serve_as, settings.engine) == ("head", "for head")
    first = replace(first, specialist=replace(first.specialist, settings={"method": "head"}))
    monkeypatch.setattr(cascade, "handed_on", handing_on(first.specialist))
    found = cascade.extended(run_of(workspace, settings), first, found)
    [made] = made_by
    assert made.tune is not None and (made.tune.method, made.tune.rank) == ("lora", 8)
    assert (made.serve_as, made.engine, advised) == ("merged", "for merged", ["colour-v1"])
    assert second_of(found).answers, found.reason


def handing_on(head: Specialist) -> Callable[..., Any]:
    """As `handed_on`, by a first that is this head."""
    hands_on = cascade.handed_on
    return lambda run, first: replace(hands_on(run, first), first=head)


def test_again_it_is_the_same_decision_and_nothing_is_spent(workspace: Workspace, second: Any) -> None:
    extended(workspace)
    decisions = workspace.state.decisions(TASK.id)
    terms = workspace.routes()
    extended(workspace)
    assert workspace.state.decisions(TASK.id) == decisions
    assert {k: r.identity for k, r in workspace.routes().items()} == {k: r.identity for k, r in terms.items()}
    assert [event.what for event in workspace.history.events()].count("retired") == 0


def test_another_second_on_the_same_calls_has_a_quarter_of_what_the_one_before_had(
    workspace: Workspace, second: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    extended(workspace)
    monkeypatch.setattr(steps, "tune", lambda *_: replace(specialist(3, "candidate"), base=LARGER))
    extended(workspace)
    decisions = workspace.state.decisions(TASK.id)
    assert [decision.delta for decision in decisions] == [0.025, 0.025, 0.00625]


def test_one_that_is_no_better_than_the_first_is_refused(workspace: Workspace, second: Any) -> None:
    second.answers = lambda curated: answered(curated, sure=falling, hard=1.0)
    found = extended(workspace)
    assert second.refused == ["colour-v2"] and "s2" not in workspace.routes()
    assert found.decision == "live" and not second_of(found).answers
    assert "more than the 5% allowed" in found.reason


def test_staged_it_begins_with_a_share_of_the_runs_and_stays_there_when_decided_again(
    workspace: Workspace, second: Any
) -> None:
    for _ in range(2):
        extended(workspace, STAGED)
        assert states(workspace) == {"colour-v1": "live", "colour-v2": "canary"}
    assert [event.what for event in workspace.history.events()].count("canary") == 1


@pytest.mark.parametrize(("usd", "answers"), [(1e-6, False), (1e-3, True)])
def test_it_answers_only_where_it_saves(workspace: Workspace, second: Any, usd: float, answers: bool) -> None:
    # 40 ms of this machine cost 1.1e-6 dollars.
    workspace.save_tasks([replace(TASK, cost_usd=usd)], {})
    global_task = workspace.tasks()[0]
    first, found = first_of(workspace)
    found = cascade.extended(run_of(workspace, task=global_task), first, found)
    assert second_of(found).answers is answers
    assert ((second_of(found).saving_usd or 0) > 0) is answers
    assert ("saves $" if answers else "costs $") in found.reason
    assert second.refused == ([] if answers else ["colour-v2"])


def test_without_a_price_it_answers_where_it_keeps_a_tenth_of_the_calls(workspace: Workspace) -> None:
    first = SimpleNamespace(name="colour-v1", report={})
    for share, answers in ((0.19, False), (0.2, True)):
        handed: Any = SimpleNamespace(first=first, share=share, route=SimpleNamespace(task_id="colour"))
        found = cascade.decided(run_of(workspace), specialist(2, "candidate"), handed, figures(0.5))
        assert found.answers is answers and found.saving_usd is None


def test_too_few_handed_on_are_told_before_anything_is_tuned(workspace: Workspace, second: Any) -> None:
    first, found = first_of(workspace)
    found = cascade.extended(run_of(workspace, replace(DIRECT, epsilon=0.01)), first, found)
    assert second.tuned == 0 and "are missing at the least" in found.reason
    assert found.decision == "live" and states(workspace) == {"colour-v1": "live"}


def test_the_base_of_the_first_is_no_second(workspace: Workspace, second: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protege.select.base_named", lambda *_: BASE)
    assert "was tuned from tiny already" in extended(workspace).reason and second.tuned == 0


def test_nothing_is_tuned_where_the_first_keeps_enough_or_does_not_answer_all(
    workspace: Workspace, second: Any
) -> None:
    first, found = first_of(workspace)
    assert found.figures is not None
    enough = replace(found, figures=replace(found.figures, certificate=figures(0.96).certificate))
    assert cascade.extended(run_of(workspace), first, enough) is enough
    assert cascade.extended(run_of(workspace, Settings()), first, found) is found
    lifecycle.retire(workspace, workspace.specialists()[0])
    assert cascade.extended(run_of(workspace), first, found) is found
    assert second.tuned == 0


def test_one_that_is_live_alone_goes_on_if_it_cannot_be_the_first_of_a_cascade(
    workspace: Workspace, second: Any
) -> None:
    """Certified alone with all of δ by the scan; six stray errors among the surest fail it in the fixed sequence."""
    curated, one = data_set(), specialist(1, "candidate")
    answers = answered(curated, sure=falling, hard=HARD)
    for at in range(3, 15, 2):
        answers.calibration[at] = replace(answers.calibration[at], agreed=False, confidence=0.999)
    candidate, alone = Candidate(TASK, one, curated, PARITY, answers), replace(DIRECT, cascade=None)
    assert admit(run_of(workspace, alone), candidate, certify(workspace, candidate, alone.promise))[0]
    before = workspace.routes()["s1"]
    figures = certify(workspace, candidate, DIRECT.promise)
    assert figures.certificate.threshold is None
    routed, reason = admit(run_of(workspace), candidate, figures)
    assert routed and "As the first of a cascade" in reason and "colour-v1 goes on alone." in reason
    assert states(workspace) == {"colour-v1": "live"} and workspace.routes()["s1"] == before
    improvement = Improvement(TASK.id, "live", reason, one.id, figures)
    assert cascade.extended(run_of(workspace), candidate, improvement) is improvement and second.tuned == 0
    stricter = replace(DIRECT, epsilon=0.01)
    assert not admit(run_of(workspace, stricter), candidate, certify(workspace, candidate, stricter.promise))[0]
    assert states(workspace) == {"colour-v1": "retired"}


def test_what_fails_at_the_second_is_a_reason_and_the_first_goes_on(
    workspace: Workspace, second: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise EngineError("Ollama does not answer.", "Start it.")

    monkeypatch.setattr(steps, "served_alike", fails)
    found = extended(workspace)
    assert found.decision == "live" and "No second specialist: Ollama does not answer." in found.reason
    assert states(workspace)["colour-v1"] == "live"


def test_without_memory_for_both_there_is_no_second(
    workspace: Workspace, second: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check_room(workspace: Workspace, both: list[Specialist]) -> None:
        assert [one.name for one in both] == ["colour-v1", "colour-v2"]
        raise ResourceError("Serving needs 9 GiB.", "Close other programs.")

    monkeypatch.setattr("protege.serve.check_room", check_room)
    assert "No second specialist: Serving needs 9 GiB." in extended(workspace).reason
    assert states(workspace) == {"colour-v1": "live"}


def test_both_one_after_the_other_are_as_quick_as_the_policy_says(workspace: Workspace, second: Any) -> None:
    set_policy(workspace, TASK, {"latency_ms": 60.0})
    assert "take 80 ms or more" in extended(workspace).reason
    assert states(workspace).get("colour-v2") != "live"


def test_what_was_rolled_back_does_not_come_back_by_the_loop(workspace: Workspace, second: Any) -> None:
    extended(workspace)
    lifecycle.rollback(workspace, workspace.specialists()[1], "an alarm")
    assert "`protege promote colour-v2` lets it answer" in extended(workspace).reason
    assert states(workspace) == {"colour-v1": "live", "colour-v2": "retired"}


def test_the_loop_makes_both_one_after_the_other(
    workspace: Workspace, second: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_answers = answered(data_set(), sure=falling, hard=HARD)

    def tune(run: Run, curated: Any, base: Any) -> Specialist:
        assert curated is data_set(), "both learn from the whole data set"
        return specialist(1, "candidate") if base == BASE else replace(specialist(2, "candidate"), base=LARGER)

    def answers(run: Run, one: Specialist, curated: Curated, promise: Promise) -> Answers:
        return first_answers if one.version == 1 else second.answers(curated)

    monkeypatch.setattr("protege.flywheel.unfit", lambda *_: None)
    for name, found in (("curate", data_set()), ("select", (BASE, "", []))):
        monkeypatch.setattr(steps, name, lambda *_, found=found: found)
    monkeypatch.setattr(steps, "tune", tune)
    monkeypatch.setattr(steps, "answers", answers)
    told = flywheel.improve_task(workspace, TASK, DIRECT, Silent())
    assert states(workspace) == {"colour-v1": "live", "colour-v2": "live"}
    assert told.specialist_id == "s1" and second_of(told).specialist_id == "s2"
    (shown,) = status(workspace)["tasks"]
    assert shown["answered_by"] == "colour-v1, then colour-v2"
    both = certificate_of(told).coverage + second_of(told).share
    assert shown["certified_coverage"] == pytest.approx(both) and answerer(shown) == "v1, then v2"


def test_what_the_second_keeps_makes_no_retraining_due(workspace: Workspace, second: Any) -> None:
    found = extended(workspace)
    few = replace(found, second=replace(second_of(found), coverage=0.5))
    workspace.findings.save_improvement(ImprovementRow(**few.to_record()))
    workspace.findings.save_data_set(TASK.id, DataSet(calls=1_000))
    handed = Attempt("s1", "handed_back", "below threshold", 0.4)
    for outcome, due in (("kept", False), ("handed_back", True)):
        tries = (handed, Attempt("s2", outcome, "below threshold", 0.6))  # pyright: ignore[reportArgumentType]
        workspace.add_calls(replace(call(n), id=f"{outcome}-{n}", attempts=tries) for n in range(HARD_CALLS))
        assert retraining.retraining(workspace, TASK)[0] is due
    workspace.findings.save_improvement(ImprovementRow(**found.to_record()))
    assert "are kept already" in retraining.retraining(workspace, TASK)[1]


def test_a_base_that_is_not_here_is_told_before_any_work(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(BaseModelError):
        flywheel.improve(workspace, (), Settings(cascade=str(workspace.home / "none.gguf"), engine="embedded"))


def test_a_call_that_both_were_asked_counts_once(workspace: Workspace, second: Any) -> None:
    extended(workspace)
    handed = Attempt("s1", "handed_back", "below threshold", 0.4)
    kept = (handed, Attempt("s2", "kept", "kept", 0.9))
    workspace.add_calls(replace(call(n), attempts=kept if n else (handed,)) for n in range(4))
    whole = status(workspace)["over_time"]["whole"]
    assert (whole["asked"], whole["kept"], whole["coverage"]) == (4, 3, 0.75)
    assert 'protege_coverage_ratio{task="colour"} 0.75' in exposition(workspace)
