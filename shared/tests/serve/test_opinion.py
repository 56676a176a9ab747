"""A second opinion: what a head makes of a tuned model's answers, and whatever becomes of that head."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from memory_engine import BASE, FINGERPRINT, MemoryEngine
from protege import Request, Route, Specialist, Task, Template, Workspace
from protege.asking.ask import ask
from protege.asking.confidence import Scorer
from protege.chat.prompt import as_messages, render
from protege.common.digest import sha256_of
from protege.common.progress import Silent
from protege.errors import EngineError, EngineTimeout, NoOpinion, NotServed
from protege.heads import FILE, NGRAMS, Head, write
from protege.rollout import publish
from protege.route import Router
from protege.serve import advised, adviser, head_of
from protege.serve.head.engine import HeadEngine
from protege.task import TemplatePart
from protege.tune.methods.choosing import taught
from protege.tune.methods.head import ways_for

INSTRUCTION = "Name the colour of a thing."
THINGS = {"rose": "red", "brick": "red", "sky": "blue", "sea": "blue", "grass": "green", "leaf": "green"}
TICKETS = {
    "refund, at once": '{"team": "billing", "urgent": true}',
    "refund, some day": '{"team": "billing", "urgent": false}',
    "crash, at once": '{"team": "support", "urgent": true}',
    "crash, some day": '{"team": "support", "urgent": false}',
}


def prompt(text: str, instruction: str = INSTRUCTION) -> str:
    messages = [{"role": "system", "content": instruction}, {"role": "user", "content": text}]
    return render(NGRAMS, as_messages(messages))


def taught_on(answers: dict[str, str], way: str) -> Head:
    rows = [(prompt(f"{text} {n}"), answer) for n in range(8) for text, answer in answers.items()]
    ways = [one for one in ways_for([answer for _, answer in rows]) if one.name == way]
    return taught([shown for shown, _ in rows], ways, 17, Silent())[0]


@pytest.fixture(scope="module")
def colours() -> Head:
    return taught_on(THINGS, "whole")


@pytest.fixture(scope="module")
def tickets() -> Head:
    return taught_on(TICKETS, "by field")


def test_an_opinion_is_the_probability_that_the_head_gives_an_answer(colours: Head) -> None:
    said = {answer: colours.opinion(prompt("a rose"), answer) for answer in ("red", "blue", "green", "mauve", "re")}
    chances = [math.exp(said[answer].logprob) for answer in ("red", "blue", "green")]
    assert sum(chances) == pytest.approx(1, abs=0.01) and max(chances) == chances[0]
    assert said["red"].logprob == pytest.approx(sum(colours.answer(prompt("a rose")).logprobs), abs=0.002)
    assert [one.agrees for one in said.values()] == [1, 0, 0, 0, 0]
    assert said["mauve"] == said["re"] and math.exp(said["mauve"].logprob) == pytest.approx(1 / 1001)


@pytest.mark.parametrize(
    ("answer", "agrees"),
    [
        ('{"team": "billing", "urgent": true}', 1.0),
        ('{"team": "billing", "urgent": false}', 0.5),
        ('{"team": "support", "urgent": false}', 0.0),
        ('{"team": "kitchen", "urgent": true}', 0.0),
        ('{"urgent": true, "team": "billing"}', 0.0),
        ('{"team": "billing", "urgent": true} ', 0.0),
        ("", 0.0),
    ],
)
def test_json_agrees_field_by_field(tickets: Head, answer: str, agrees: float) -> None:
    opinion = tickets.opinion(prompt("refund, at once"), answer)
    assert opinion.agrees == agrees
    assert (opinion.logprob > math.log(0.5)) is (agrees == 1)


# A tuned model that is asked beside a head


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "home")


@pytest.fixture
def specialist(workspace: Workspace, colours: Head) -> Specialist:
    """A model that stands in memory, with a head of its own for a second opinion."""
    head = Specialist("sp-head", "colour-v1", "colour", 1, NGRAMS, "slots", files={"head": FILE}, serve_as="head")
    tuned = Specialist("sp-tuned", "colour-v2", "colour", 2, BASE, "whole", state="live", engine="memory")
    for one in (head, tuned):
        workspace.specialist_folder(one).mkdir(parents=True)
    write(colours, workspace.specialist_folder(head) / FILE)
    head = replace(head, digests={"head": sha256_of(workspace.specialist_folder(head) / FILE)})
    return advised(workspace, tuned, head)


TASK = Task(
    *("colour", "colour", "label"),
    labels=("red", "blue", "green"),
    templates=(Template("sig", (TemplatePart(0, "system", lines=(INSTRUCTION,)),)),),
    calls=100,
)


def request(text: str) -> Request:
    return Request(({"role": "system", "content": INSTRUCTION}, {"role": "user", "content": text}))


def test_the_head_lies_in_the_models_own_folder(workspace: Workspace, specialist: Specialist) -> None:
    assert (workspace.specialist_folder(specialist) / FILE).is_file()
    assert specialist.second_opinion == {"sha256": specialist.digests["head"]}
    assert advised(workspace, specialist, replace(specialist, id="gone")) is specialist, "it keeps the one it has"
    assert Specialist.from_record(specialist.to_record()) == specialist


def test_an_answer_has_the_features_of_the_opinion(workspace: Workspace, specialist: Specialist) -> None:
    by = adviser(workspace, specialist)
    given = {}
    for text in ("a rose", "the sea"):
        answered = ask(MemoryEngine(), specialist, TASK, request(text), timeout_s=5, adviser=by)
        assert answered.features is not None and answered.confidence == pytest.approx(
            math.exp(answered.features["sum"])
        )
        given[text] = answered.features
    assert (given["a rose"]["agrees"], given["the sea"]["agrees"]) == (1, 0)  # the model says "red" to both
    assert given["a rose"]["second"] > given["the sea"]["second"]
    plain = ask(MemoryEngine(), specialist, TASK, request("a rose"), timeout_s=5)
    assert plain.features is not None and "second" not in plain.features


class Failing:
    """A head that fails: at once, or only when it is asked."""

    def __init__(self, known_by: str | Exception, error: Exception | None = None) -> None:
        self.known_by, self.error = known_by, error

    def fingerprint(self, specialist: Specialist) -> str:
        if isinstance(self.known_by, Exception):
            raise self.known_by
        return self.known_by

    def opinion(self, *_: Any, **__: Any) -> Any:
        raise self.error or AssertionError


@pytest.mark.parametrize(
    ("by", "asked"),
    [
        (None, 0),
        (Failing("another"), 0),
        (Failing(NotServed("No file.")), 0),
        (Failing("F", EngineError("It failed.")), 1),
        (Failing("F", EngineTimeout("Late.")), 1),
    ],
)
def test_an_opinion_that_is_needed_and_missing_is_an_error_and_otherwise_none(
    specialist: Specialist, by: Any, asked: int
) -> None:
    """The model is not even asked where it is known beforehand."""
    engine, scorer = MemoryEngine(), Scorer({"sum": 1.0, "second": 1.0}, adviser="F")
    with pytest.raises(NoOpinion):
        ask(engine, specialist, TASK, request("a rose"), timeout_s=5, scorer=scorer, adviser=by)
    assert engine.asked == asked
    if by is None or by.error:
        assert ask(engine, specialist, TASK, request("a rose"), timeout_s=5, adviser=by).message is not None


@pytest.fixture
def live(
    workspace: Workspace, specialist: Specialist, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[Router, MemoryEngine]]]:
    """Makes a router whose one route needs the opinion; the model answers "red" to all, and is not sure by itself."""
    monkeypatch.delenv("PROTEGE_ROUTE", raising=False)
    made: list[Router] = []

    def make(known_by: str | None = None) -> tuple[Router, MemoryEngine]:
        engine, heads = MemoryEngine(), HeadEngine(workspace.home)
        known_by = known_by or heads.fingerprint(head_of(specialist))
        scorer = Scorer({"sum": 0.1, "second": 1.0, "agrees": 1.0}, -1.0, adviser=known_by)
        words = dict.fromkeys(INSTRUCTION.lower().strip(".").split(), 0.4)
        workspace.save_tasks([replace(TASK, centre=words)], {})
        workspace.save_specialist(specialist)
        route = Route("colour", specialist.id, 0.6, FINGERPRINT, 0.05, 0.05, 60, 60, 0, ("sig",), timeout_s=5.0)
        workspace.save_route(replace(route, scorer=scorer.to_record()))
        publish(workspace)
        kinds = {"memory": engine, "head": heads}
        monkeypatch.setattr("protege.route.link.engine_kind", lambda name: Kind(kinds[name]))
        router = Router(workspace.home)
        assert router.wait_until_ready(10)
        made.append(router)
        return router, engine

    yield make
    for router in made:
        router.close()


class Kind:
    """A kind of engine whose one engine is there."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine

    def access(self, home: Path, address: str) -> Any:
        return self

    def connect(self) -> Any:
        return self.engine


def test_what_the_head_agrees_with_is_kept_and_the_rest_handed_back(live: Any) -> None:
    router, engine = live()
    kept, handed = router.answer(request("a rose")), router.answer(request("the sea"))
    assert kept.message is not None and kept.message["content"] == "red" and kept.decision == "kept"
    assert (handed.message, handed.decision, engine.asked) == (None, "below threshold", 2)


@pytest.mark.parametrize("harm", ["another file", "no file", "another fingerprint", "fails"])
def test_where_the_head_is_gone_the_teacher_answers(
    live: Any, workspace: Workspace, specialist: Specialist, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = workspace.specialist_folder(specialist) / FILE
    router, engine = live("F" if harm == "another fingerprint" else None)
    if harm == "fails":
        monkeypatch.setattr(HeadEngine, "opinion", Failing("F", EngineError("It failed.")).opinion)
    elif harm in ("another file", "no file"):
        path.write_bytes(b"") if harm == "another file" else path.unlink()
        router._links["head", ""]._engine._heads.clear()
    outcomes = [router.answer(request("a rose")) for _ in range(2)]
    assert [(one.message, one.decision) for one in outcomes] == [(None, "no second opinion")] * 2
    assert engine.asked == (1 if harm == "fails" else 0), "after a failure the head is left alone for a while"
