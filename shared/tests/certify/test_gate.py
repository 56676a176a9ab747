"""What a specialist's held-out answers certify, and what each further look at the same calls costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from protege import Call, Request, Specialist, Workspace
from protege.asking.confidence import Scorer
from protege.certify import Candidate, Figures, Promise, certify, in_time, independent, ledger, refused, route_from
from protege.common.progress import Silent
from protege.evaluate import Answers, Judged
from protege.loop.admit import admit
from protege.loop.run import Run
from protege.loop.settings import Settings
from protege.rollout import lifecycle
from protege.rollout.switching import set_policy
from protege.store import DataSet
from protege.task import Example
from protege.watch import Reason, open_reason, reason_of
from watched import PARITY, colour_task, figures, specialist

TASK = colour_task()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    workspace.save_tasks([TASK], {})
    return workspace


def judged(*numbers: int) -> list[Judged]:
    return [Judged(f"c{n}", "", "red", "red", agreed=True, confidence=0.9, valid=True) for n in numbers]


def spent(workspace: Workspace, calls: range, of: str) -> tuple[int, float]:
    found = ledger.spend(workspace, TASK.id, of, judged(*calls), 0.05)
    return len(found.calls), found.delta


def test_the_first_decision_has_all_of_delta_and_is_the_same_when_asked_again(workspace: Workspace) -> None:
    assert spent(workspace, range(100), "v1") == (100, 0.05)
    assert spent(workspace, range(100), "v1") == (100, 0.05)


def test_each_further_decision_on_the_same_calls_has_a_quarter_of_the_last(workspace: Workspace) -> None:
    spent(workspace, range(100), "v1")
    assert spent(workspace, range(100), "v2") == (100, 0.0125)
    assert spent(workspace, range(20, 120), "v3") == (100, 0.003125)
    assert spent(workspace, range(100), "v2") == (100, 0.0125)


def test_calls_that_no_decision_has_used_are_enough_where_they_are_half(workspace: Workspace) -> None:
    spent(workspace, range(100), "v1")
    assert spent(workspace, range(50, 150), "v2") == (50, 0.05)
    assert spent(workspace, range(50, 150), "v2") == (50, 0.05)
    assert spent(workspace, range(1_000, 1_100), "v3") == (100, 0.05)


def decided(workspace: Workspace, version: int, measured: Figures, rollout: Any = "direct") -> tuple[bool, str]:
    known = next((s for s in workspace.specialists() if s.version == version), specialist(version, "candidate"))
    return admitted(workspace, known, measured, Settings(rollout=rollout))


def admitted(workspace: Workspace, one: Specialist, measured: Figures, settings: Settings) -> tuple[bool, str]:
    return admit(Run(workspace, TASK, settings, Silent()), Candidate(TASK, one, curated(), PARITY, ANSWERS), measured)


ANSWERS: Any = SimpleNamespace()


def curated() -> Any:
    """Of a data set, the calibration calls alone."""
    call = Call(id="c", request=Request(({"role": "user", "content": "thing"},)), answered_by="large")
    calibration = [Example("c", call, answer, "sig-colour") for answer in ("red", "red", "red", "blue")]
    signatures = [example.signature for example in calibration]
    return SimpleNamespace(examples={"calibration": calibration}.__getitem__, calibration={"signature": signatures})


def published(workspace: Workspace) -> list[str]:
    routes = orjson.loads((workspace.home / "routes.json").read_bytes())["routes"]
    return [entry["specialist"]["name"] for entry in routes]


def states(workspace: Workspace) -> dict[str, str]:
    return {s.name: s.state for s in workspace.specialists()}


def test_the_terms_say_what_calibration_saw(workspace: Workspace) -> None:
    assert decided(workspace, 1, figures()) == (True, "So it is.")
    route = workspace.routes()["s1"]
    assert route.teachers == ("large",) and route.labels == {"red": 0.75, "blue": 0.25}
    assert (route.share, route.audit) == (1.0, 0.02)


def test_staged_it_goes_into_the_shadow_and_stays_on_its_way_when_decided_again(workspace: Workspace) -> None:
    may, why = decided(workspace, 1, figures(), "staged")
    assert not may and "in the shadow before it answers" in why
    assert states(workspace) == {"colour-v1": "shadow"}
    lifecycle.canary(workspace, workspace.specialists()[0], "shown")
    assert decided(workspace, 1, figures(), "staged")[0]
    assert states(workspace) == {"colour-v1": "canary"}
    decided(workspace, 1, replace(figures(), fingerprint="another engine"), "staged")
    assert states(workspace) == {"colour-v1": "shadow"}


def test_one_that_keeps_clearly_less_does_not_replace_the_one_that_is_live(workspace: Workspace) -> None:
    decided(workspace, 1, figures(0.9))
    assert decided(workspace, 2, figures(0.5)) == (False, "It keeps 50% of the calls and colour-v1 90%.")
    assert states(workspace) == {"colour-v1": "live", "colour-v2": "candidate"}
    assert decided(workspace, 3, figures(0.85))[0]
    assert states(workspace)["colour-v3"] == "live"


def test_where_a_reason_is_open_it_does_and_the_reason_is_closed(workspace: Workspace) -> None:
    decided(workspace, 1, figures(0.9))
    open_reason(workspace, TASK.id, Reason("The prompt is another.", 5.0, opened=100.0))
    workspace.findings.save_data_set(TASK.id, DataSet(time=99.0))  # noticed while it was tuned: it knew nothing of that
    assert decided(workspace, 2, figures(0.5))[0]
    assert reason_of(workspace, TASK.id) is not None
    workspace.findings.save_data_set(TASK.id, DataSet(time=101.0))
    assert decided(workspace, 3, figures(0.5))[0]
    assert reason_of(workspace, TASK.id) is None


def test_of_two_reasons_the_later_beginning_counts_and_another_teacher_s_answers_stay_out(workspace: Workspace) -> None:
    open_reason(workspace, TASK.id, Reason("another teacher", 5.0, learn_since=5.0))
    open_reason(workspace, TASK.id, Reason("a breach", 9.0))
    found = reason_of(workspace, TASK.id)
    assert found is not None and (found.why, found.since, found.learn_since) == ("a breach", 9.0, 5.0)
    open_reason(workspace, TASK.id, Reason("an older one", 1.0))
    found = reason_of(workspace, TASK.id)
    assert found is not None and found.why == "a breach"


def test_one_that_is_slower_than_its_policy_allows_is_refused(workspace: Workspace) -> None:
    set_policy(workspace, TASK, {"latency_ms": 250.0})
    may, why = decided(workspace, 1, figures(p95_ms=300.0))
    assert not may and why == "One answer in 20 takes 300 ms or more, and the policy allows 250."
    assert decided(workspace, 1, figures(p95_ms=200.0))[0]


@pytest.mark.parametrize("measured", [figures(), figures(threshold=None)])
def test_a_rollback_while_the_loop_is_at_work_is_not_undone(workspace: Workspace, measured: Figures) -> None:
    """The loop read the specialist hours ago, when it was live."""
    decided(workspace, 1, figures())
    (stale,) = workspace.specialists()
    lifecycle.rollback(workspace, stale, "an alarm")
    admitted(workspace, stale, measured, Settings())
    assert states(workspace) == {"colour-v1": "retired"}
    assert published(workspace) == []


# Counter-examples to promises that a gate would break if it counted otherwise


def held_out(part: str, wordings: Sequence[str], group: Callable[[int], int]) -> tuple[Any, list[str]]:
    ids = [f"{part}{i}" for i in range(len(wordings))]
    groups = [f"{part}-group{group(i)}" for i in range(len(wordings))]
    return Rows({"id": ids, "signature": list(wordings), "group": groups}), ids


def judged_as(ids: Sequence[str], wrong: Callable[[int], bool]) -> list[Judged]:
    return [
        Judged(call_id, "", "a", "a", agreed=not wrong(i), confidence=0.9, valid=True, latency_ms=1.0)
        for i, call_id in enumerate(ids)
    ]


def candidate_of(
    wordings: Sequence[str], wrong: Callable[[int], bool], group: Callable[[int], int] = lambda i: i
) -> Candidate:
    """Three parts, each of as many calls as wordings. wrong, group: of the i-th call of a part."""
    parts, answers = {}, {}
    for part in ("validation", "calibration", "test"):
        parts[part], ids = held_out(part, wordings, group)
        answers[part] = judged_as(ids, wrong)
    curated: Any = SimpleNamespace(
        **parts,
        parts=parts,
        examples=lambda part: [],
        provenance={"counts": dict.fromkeys(parts, len(wordings))},
        hash=f"{len(wordings)} {group(len(wordings) - 1)} {[wrong(i) for i in range(len(wordings))]}",
    )
    return Candidate(TASK, specialist(1, "candidate"), curated, PARITY, Answers("f", Scorer.plain(), **answers))


def certified(workspace: Workspace, wordings: Sequence[str], wrong: Callable[[int], bool]) -> Figures:
    return certify(workspace, candidate_of(wordings, wrong), Promise())


class Rows(dict[str, list[str]]):
    """Columns, as many rows as the first has."""

    def __len__(self) -> int:
        return len(next(iter(self.values())))


def test_right_answers_to_rare_wordings_certify_nothing_for_the_common_one(workspace: Workspace) -> None:
    """Of 400 calls 280 come in wordings of their own, all answered right; 8% of the others are wrong. The route will
    answer these others only."""
    wordings = [f"rare{i}" if i % 10 < 7 else "common" for i in range(400)]
    figures = certified(workspace, wordings, lambda i: wordings[i] == "common" and i % 120 in (9, 18, 27))
    assert figures.certificate.threshold is None


def test_what_is_kept_counts_only_calls_that_the_live_route_would_keep(workspace: Workspace) -> None:
    wordings = [f"rare{i}" if i % 2 else "common" for i in range(400)]
    certificate = certified(workspace, wordings, lambda i: False).certificate
    assert certificate.threshold is not None and (certificate.kept, certificate.n) == (400, 800)


def test_a_run_counts_once_however_many_calls_it_has(workspace: Workspace) -> None:
    """Four runs of ten calls each in both parts, all right: they are eight calls that tell something, not eighty."""
    figures = certify(workspace, candidate_of(["common"] * 40, lambda i: False, lambda i: i // 10), Promise())
    assert (figures.certificate.threshold, figures.certificate.n) == (None, 8)
    assert certified(workspace, ["common"] * 40, lambda i: False).certificate.threshold is not None


def test_which_call_stands_for_its_run_does_not_depend_on_what_came_of_it() -> None:
    def chosen(wrong: Callable[[int], bool]) -> list[str]:
        candidate = candidate_of(["common"] * 60, wrong, lambda i: i // 3)
        held_out = [*candidate.answers.calibration, *candidate.answers.test]
        return [answer.call_id for answer in independent(held_out, candidate.curated)]

    assert chosen(lambda i: False) == chosen(lambda i: i % 3 == 0) == chosen(lambda i: True)
    places = [int(call_id.removeprefix("calibration").removeprefix("test")) % 3 for call_id in chosen(bool)]
    assert len(places) == 40 and set(places) == {0, 1, 2}


def test_a_later_decision_takes_the_delta_and_the_calls_that_it_has(workspace: Workspace) -> None:
    """The second look has δ/4, which takes more kept calls, in the scan and in the fixed sequence alike."""
    for promise in (Promise(), Promise(scanned=False)):
        candidate = candidate_of(["common"] * 100, lambda i: False)
        first = certify(workspace, candidate, promise).certificate
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("protege.certify.gate.hash_of", lambda *of, promise=promise: f"another {promise}{of[-1]}")
            second = certify(workspace, candidate, promise).certificate
        assert second.delta == first.delta / 4 and first.n == second.n == 200


def test_what_a_threshold_keeps_is_told_by_thresholds_that_its_calls_did_not_choose(workspace: Workspace) -> None:
    figures = certified(workspace, ["common"] * 200, lambda i: i % 67 == 3)
    kept = figures.evaluation.kept
    assert kept is not None and (kept.n, kept.disagreed, kept.coverage) == (400, 6, 1.0)
    assert figures.evaluation.n == 400
    assert certified(workspace, ["common"] * 50, lambda i: False).evaluation.kept is not None
    assert certified(workspace, ["common"] * 20, lambda i: False).evaluation.kept is None


def test_answers_that_come_too_late_cannot_raise_the_share_of_wrong_ones(workspace: Workspace) -> None:
    """Of 800 calls 24 are answered wrong, and soon; half of the right ones take a second. An agent that waits half as
    long keeps 24 wrong of 412: more than ε."""
    candidate = candidate_of(["common"] * 400, lambda i: i % 33 == 5)

    def slow(part: list[Judged]) -> list[Judged]:
        return [replace(j, latency_ms=1_000.0 if j.agreed and i % 2 else 1.0) for i, j in enumerate(part)]

    answers = candidate.answers
    answers = replace(answers, calibration=slow([*answers.calibration]), test=slow([*answers.test]))
    candidate = replace(candidate, answers=answers)
    assert certify(workspace, candidate, Promise()).certificate.threshold is not None
    set_policy(workspace, TASK, {"latency_ms": 500.0})
    late = certify(workspace, candidate, Promise()).certificate
    assert late.threshold is None and late.delta == 0.05 / 4  # another limit is another look at the same calls
    set_policy(workspace, TASK, {"latency_ms": 2_000.0})
    assert certify(workspace, candidate, Promise()).certificate.delta == 0.05


def test_wrong_answers_that_come_late_count_as_kept() -> None:
    late = [Judged(f"c{n}", "", "", "", agreed=n > 0, confidence=0.9, valid=True, latency_ms=9.0) for n in range(2)]
    assert [answer.valid for answer in in_time(late, 8.0)] == [True, False]
    assert in_time(late, 9.0) == late


def few(wrong: Callable[[int], bool] = lambda i: False) -> Candidate:
    """Too few calls to certify anything."""
    return candidate_of(["common"] * 20, wrong)


def test_with_too_few_calls_a_threshold_at_half_of_epsilon_is_proposed_to_the_shadow(workspace: Workspace) -> None:
    candidate = few()
    found = certify(workspace, candidate, Promise())
    assert found.certificate.threshold is None and found.certificate.missing > 0
    route = route_from(workspace, candidate, found)
    assert (route.proof, route.calibration_calls, route.kept, route.errors) == ("owed", 40, 40, 0)
    assert certify(workspace, few(lambda i: i == 3), Promise()).plug_in is None  # 2 of 40 are more than half of ε
    assert certify(workspace, few(), Promise(scanned=False)).plug_in is None  # the first of a cascade


def test_only_a_staged_rollout_has_the_shadow_show_it(workspace: Workspace) -> None:
    candidate = few()
    found = certify(workspace, candidate, Promise())
    for rollout, state in (("direct", "candidate"), ("staged", "shadow"), ("direct", "shadow"), ("staged", "shadow")):
        settings = replace(Settings(), rollout=rollout)
        may, why = admit(Run(workspace, TASK, settings, Silent()), candidate, found)
        assert not may and ("shadow" in why) and states(workspace) == {"colour-v1": state}
    began = workspace.state.stage("s1")
    admit(Run(workspace, TASK, Settings(rollout="staged"), Silent()), candidate, found)
    assert workspace.state.stage("s1") == began and published(workspace) == []


def test_once_shown_the_certificate_is_the_shadow_s_as_long_as_nothing_else_changed(workspace: Workspace) -> None:
    candidate = few()
    settings = Settings(rollout="staged")
    admit(Run(workspace, TASK, settings, Silent()), candidate, certify(workspace, candidate, Promise()))
    shown = replace(workspace.routes()["s1"], proof="shadow", calibration_calls=90, kept=80, errors=0)
    lifecycle.canary(workspace, workspace.specialists()[0], "shown", route=shown)
    found = certify(workspace, candidate, Promise())
    assert found.certificate.threshold == shown.threshold and found.certificate.coverage == 80 / 90
    assert route_from(workspace, candidate, found).identity == workspace.routes()["s1"].identity
    for rollout in ("staged", "direct"):
        may, why = admit(Run(workspace, TASK, replace(settings, rollout=rollout), Silent()), candidate, found)
        assert may and why.startswith("The shadow showed it")
    assert states(workspace) == {"colour-v1": "live"}
    another = replace(candidate, answers=replace(candidate.answers, fingerprint="another engine"))
    assert certify(workspace, another, Promise()).certificate.threshold is None
    assert certify(workspace, candidate, Promise(epsilon=0.04)).certificate.threshold is None


@pytest.mark.parametrize("scanned", [True, False])
def test_nothing_before_the_certificate_looks_at_a_call_that_it_rests_on(workspace: Workspace, scanned: bool) -> None:
    """What is refused early is refused by validation calls; the confidence is theirs too."""
    rights = candidate_of(["common"] * 100, lambda i: False)
    wrongs = candidate_of(["common"] * 100, lambda i: True)
    promise = Promise(scanned=scanned)
    for validation in (rights.answers.validation, wrongs.answers.validation):
        early = [refused(validation, 200, promise) for _ in (rights, wrongs)]
        assert early[0] == early[1]
    assert refused(rights.answers.validation, 200, promise) is None
    assert refused(wrongs.answers.validation, 200, promise) is not None
