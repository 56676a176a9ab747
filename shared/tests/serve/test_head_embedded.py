"""Heads that were taught with an embedding: as any engine, and whatever becomes of their embedder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from protege.call import Request
from protege.chat.prompt import as_messages, render
from protege.common.digest import sha256_of
from protege.common.progress import Silent
from protege.embedding import EmbedderKind, embedder_named, packaged, register_embedder
from protege.embedding.packaged import File, Packaged
from protege.errors import BaseModelError, EngineError, NotServed
from protege.heads import FILE, NGRAMS, Head, read, write
from protege.rollout import publish as publish_routes
from protege.route import Router
from protege.serve import Engine, engine_kind
from protege.serve.head.engine import HeadEngine
from protege.specialist import Route, Specialist
from protege.task import Task, Template, TemplatePart
from protege.testing.engines import EngineConformance, EngineKindConformance, asked
from protege.tune import Written
from protege.tune.methods import choosing
from protege.tune.methods.choosing import Way, taught
from protege.tune.methods.closed import by_field as parts_by_field
from protege.tune.methods.closed import space_of
from protege.tune.methods.head import HeadTuner
from protege.workspace import Workspace
from tiny_bert import give_bert

STORY = '{"who": "a fox", "where": "the wood", "did": "ran", "end": "well"}'
OTHER = '{"who": "a hen", "where": "the yard", "did": "sat", "end": "badly"}'
ASKED = {
    "What is 2+2? Answer with a number only.": "4",
    "Two and two make what? Say the number.": "4",
    "Give the sum of 1 and 3.": "4",
    "Name a colour.": "red",
    "Which hue do you like?": "red",
    "Say what paint to buy.": "red",
    "Tell me a long story.": STORY,
    "Narrate a lengthy tale.": STORY,
    "I would like an epic.": STORY,
    "Tell me a short story.": OTHER,
    "A brief anecdote, please.": OTHER,
    "One little fable.": OTHER,
}
INSTRUCTION = "Answer."


def prompt(text: str) -> str:
    return render(NGRAMS, as_messages([{"role": "user", "content": text}]))


def taught_with(name: str) -> Head:
    """A head that was taught with an embedder: words tell it little, since each wording is new."""
    parts = parts_by_field(ASKED.values())
    ways = [Way("by field", parts, space_of(parts))]
    head, _ = taught([prompt(text) for text in ASKED], ways, 17, Silent(), embedder_named(name), name)
    return head


def specialist_of(workspace: Workspace, head: Head) -> Specialist:
    bare = Specialist("sp-near", "near-v1", "task", 1, NGRAMS, "whole", files={"head": FILE}, serve_as="head")
    folder = workspace.specialist_folder(bare)
    folder.mkdir(parents=True)
    write(head, folder / FILE)
    specialist = replace(bare, digests={"head": sha256_of(folder / FILE)}, max_tokens=200)
    workspace.save_specialist(specialist)
    return specialist


@pytest.fixture(scope="module")
def near_head() -> Head:
    head = taught_with("packaged")
    assert head.near is not None and head.near.known.shape[1] == 384
    return head


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "home")


@pytest.fixture
def candidate(workspace: Workspace, near_head: Head) -> Specialist:
    return specialist_of(workspace, near_head)


@pytest.fixture
def specialist(workspace: Workspace, candidate: Specialist) -> Specialist:
    return engine_kind("head").place(workspace, candidate, keep_alive="5m")


@pytest.fixture
def engine(workspace: Workspace, specialist: Specialist) -> Engine:
    return engine_kind("head").open(workspace, specialist)


class TestHead(EngineConformance):
    too_soon_s = 0.0

    @pytest.fixture
    def engine(self, workspace: Workspace, specialist: Specialist) -> Engine:
        return engine_kind("head").open(workspace, specialist)

    @pytest.fixture
    def specialist(self, workspace: Workspace, candidate: Specialist) -> Specialist:
        return engine_kind("head").place(workspace, candidate, keep_alive="5m")


class TestHeadKind(EngineKindConformance):
    kind = "head"

    @pytest.fixture
    def workspace(self, tmp_path: Path) -> Workspace:
        return Workspace(tmp_path / "home")

    @pytest.fixture
    def candidate(self, workspace: Workspace, near_head: Head) -> Specialist:
        return specialist_of(workspace, near_head)


def test_it_answers_wordings_that_it_never_saw(engine: Engine, specialist: Specialist) -> None:
    for text, answer in (("What does 2 plus 2 equal?", "4"), ("Which color is nicest?", "red")):
        assert engine.complete(specialist, asked(specialist, text), timeout_s=60).text == answer


def test_what_is_tuned_gives_what_is_served(workspace: Workspace, engine: Engine, specialist: Specialist) -> None:
    reference = HeadTuner().reference(specialist, workspace.specialist_folder(specialist))
    for text in ASKED:
        completion = engine.complete(specialist, asked(specialist, text), timeout_s=60)
        (scored,) = reference.score([Written(asked(specialist, text), completion.text, ended=True)])
        assert scored.likeliest and scored.logprobs == pytest.approx(completion.token_logprobs, abs=1e-4)


def test_the_runner_up_of_each_piece_is_told(engine: Engine, specialist: Specialist) -> None:
    for text in ("Tell me a long story.", "Name a colour."):
        completion = engine.complete(specialist, asked(specialist, text), timeout_s=60)
        pairs = list(zip(completion.token_logprobs, completion.runners_up, strict=True))
        assert all(other <= own for own, other in pairs)
        assert pairs[0][1] > -700 and pairs[-1][1] == -700  # another answer; nothing else than the end


def without_end(body: bytes) -> bytes:
    return body[:-4]


def with_another_length(body: bytes) -> bytes:
    return body.replace(b'"dimensions":384', b'"dimensions":383')


def with_nothing_shown(body: bytes) -> bytes:
    return body.replace(b'"ends":80', b'"ends":00').replace(b'"ends":150', b'"ends":-50')


def not_a_number(body: bytes) -> bytes:
    return body[:-4] + b"\x00\x00\xc0\x7f"


@pytest.mark.parametrize("harm", [without_end, with_another_length, with_nothing_shown, not_a_number])
def test_a_damaged_file_is_refused(workspace: Workspace, candidate: Specialist, harm: Callable[[bytes], bytes]) -> None:
    body = (workspace.specialist_folder(candidate) / FILE).read_bytes()
    assert read(body).taught_by is not None and harm(body) != body
    with pytest.raises(ValueError):
        read(harm(body))


class Moody:
    """An embedder that does as a test tells it."""

    address = "moody"

    def __init__(self, like: str) -> None:
        self.like = embedder_named(like)
        self.identity = self.like.identity
        self.version = "1"
        self.error: Exception | None = None
        self.takes_s = 0.0

    def embed(self, text: str, *, timeout_s: float) -> Any:
        time.sleep(self.takes_s)
        if self.error is not None:
            raise self.error
        return self.like.embed(text, timeout_s=timeout_s)

    def close(self) -> None:
        pass


@pytest.fixture
def moody() -> Iterator[Moody]:
    made = Moody("packaged")

    class Kind(EmbedderKind):
        name = "moody"

        def open(self, model: str) -> Any:
            return made

    register_embedder("moody", Kind)
    yield made
    made.error = None


def embedded_by(workspace: Workspace, head: Head, name: str) -> Specialist:
    """A head whose embedder has this name."""
    assert head.near is not None
    by = embedder_named(name)
    near = replace(head.near, embedder=name, identity=by.identity)
    specialist = specialist_of(workspace, replace(head, near=near))
    return engine_kind("head").place(workspace, specialist, keep_alive="5m")


def test_the_fingerprint_is_of_the_embedder_and_its_version_too(
    workspace: Workspace, near_head: Head, moody: Moody
) -> None:
    specialist = embedded_by(workspace, near_head, "moody")
    engine = engine_kind("head").open(workspace, specialist)
    before = engine.fingerprint(specialist)
    moody.version = "2"
    after = engine.fingerprint(specialist)
    moody.identity = "another model"
    assert len({before, after, engine.fingerprint(specialist)}) == 3
    with pytest.raises(NotServed, match="another embedding model"):
        engine.complete(specialist, asked(specialist, "Name a colour."), timeout_s=5)
    with pytest.raises(BaseModelError, match="another embedding model"):
        engine_kind("head").place(workspace, specialist, keep_alive="5m")


@pytest.fixture
def live(workspace: Workspace, near_head: Head, moody: Moody) -> Iterator[Router]:
    """A router whose one route is a head with the moody embedder."""
    router = live_with(workspace, embedded_by(workspace, near_head, "moody"))
    yield router
    router.close()


def live_with(workspace: Workspace, specialist: Specialist) -> Router:
    """A router whose one route is this head's, connected."""
    placed = replace(specialist, state="live")
    template = Template("sig", (TemplatePart(0, "system", lines=(INSTRUCTION,)),))
    workspace.save_tasks([Task("task", "task", "text", templates=(template,), calls=100)], {})
    workspace.save_specialist(placed)
    fingerprint = HeadEngine(workspace.home).fingerprint(placed)
    workspace.save_route(Route("task", placed.id, 0.0, fingerprint, 0.05, 0.05, 60, 60, 0, ("sig",), timeout_s=5.0))
    publish_routes(workspace)
    router = Router(workspace.home)
    assert router.wait_until_ready(30)
    return router


def request(text: str) -> Request:
    return Request(({"role": "system", "content": INSTRUCTION}, {"role": "user", "content": text}))


def raising(moody: Moody) -> None:
    moody.error = EngineError("It died.")


def raising_what_nobody_expects(moody: Moody) -> None:
    moody.error = MemoryError()


def another(moody: Moody) -> None:
    moody.identity = "another model"


def updated(moody: Moody) -> None:
    moody.version = "2"


@pytest.mark.parametrize("fails", [raising, raising_what_nobody_expects, another, updated])
def test_if_its_embedder_fails_the_teacher_answers_and_later_it_again(
    live: Router, moody: Moody, fails: Callable[[Moody], None]
) -> None:
    assert live.answer(request("Name a colour.")).message is not None
    identity = moody.identity
    fails(moody)
    for _ in range(3):
        assert live.answer(request("Name a colour.")).message is None
    moody.error, moody.identity, moody.version = None, identity, "1"
    until = time.monotonic() + 15
    while live.answer(request("Name a colour.")).message is None and time.monotonic() < until:
        time.sleep(0.1)
    assert live.answer(request("Name a colour.")).message is not None


def test_if_its_embedder_hangs_the_agent_waits_no_longer_than_its_deadline(
    live: Router, moody: Moody, workspace: Workspace
) -> None:
    (route,) = workspace.routes().values()
    workspace.save_route(replace(route, timeout_s=0.2))
    publish_routes(workspace)
    moody.takes_s = 3.0
    hurried = Router(workspace.home)
    moody.takes_s, _ = 0.0, hurried.wait_until_ready(30)
    moody.takes_s = 3.0
    began_s = time.monotonic()
    outcome = hurried.answer(request("Name a colour."))
    assert (outcome.message, outcome.decision) == (None, "timed out")
    assert time.monotonic() - began_s < 1.5
    assert hurried.answer(request("Name a colour.")).message is None  # at once: the embedder is left alone for a while
    hurried.close()


def test_a_package_that_was_removed_costs_the_agent_nothing(
    workspace: Workspace, specialist: Specialist, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = Packaged()
    monkeypatch.setattr("protege.serve.head.engine.embedder_named", lambda name: fresh)
    monkeypatch.setattr(packaged, "WEIGHTS", File("no_such_package", "x", ""))
    with pytest.raises(NotServed):
        HeadEngine(workspace.home).complete(specialist, asked(specialist, "Hi."), timeout_s=60)


def test_an_answer_takes_some_milliseconds(engine: Engine, specialist: Specialist) -> None:
    text = asked(specialist, "Name a colour.")
    engine.complete(specialist, text, timeout_s=60)
    times: list[float] = []
    for _ in range(20):
        began_s = time.perf_counter()
        engine.complete(specialist, text, timeout_s=60)
        times.append(time.perf_counter() - began_s)
    assert np.median(times) < 0.1  # 3 ms on a quiet machine


def test_if_the_ollama_that_embeds_dies_the_teacher_answers_until_it_is_back(
    workspace: Workspace, start_ollama: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "gains", lambda gained: True)  # a random model helps nobody
    server = start_ollama()
    give_bert(server, tmp_path, "tiny-bert")
    name = f"ollama:tiny-bert@{server.url}"
    placed = engine_kind("head").place(workspace, specialist_of(workspace, taught_with(name)), keep_alive="5m")
    router = live_with(workspace, placed)
    assert router.answer(request("Name a colour.")).message is not None
    server.kill()
    assert [router.answer(request("Name a colour.")).message for _ in range(5)] == [None] * 5
    server.start()
    until = time.monotonic() + 30
    while router.answer(request("Name a colour.")).message is None and time.monotonic() < until:
        time.sleep(0.2)
    assert router.answer(request("Name a colour.")).message is not None
    router.close()
    server.stop()
