"""Heads pass the tests of every engine, and a file that is not the one that was tuned answers nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from protege.chat.prompt import as_messages, render
from protege.common.digest import sha256_of
from protege.common.progress import Silent
from protege.errors import BadInput, BaseModelError, NotServed
from protege.heads import FILE, NGRAMS, Head, read, write
from protege.serve import Engine, choose, engine_kind
from protege.serve.head.engine import HeadEngine
from protege.specialist import Specialist
from protege.testing.engines import EngineConformance, EngineKindConformance, asked
from protege.tune.methods.choosing import taught
from protege.tune.methods.head import Shown, ways_for
from protege.workspace import Workspace

STORY = '{"who": "a fox", "where": "the wood", "did": "ran", "end": "well"}'
OTHER = '{"who": "a hen", "where": "the yard", "did": "sat", "end": "badly"}'
ANSWERS = {
    "What is 2+2? Answer with a number only.": "4",
    "Name a colour.": "red",
    "Tell me a long story.": STORY,
    "Tell me a short story.": OTHER,
}
COPIES = 10


def prompt(text: str) -> str:
    return render(NGRAMS, as_messages([{"role": "user", "content": text}]))


def head_specialist(workspace: Workspace) -> Specialist:
    """A head that knows four answers, two of them by field."""
    rows = [Shown(prompt(f"{text}{' ' * n}"), answer) for n in range(COPIES) for text, answer in ANSWERS.items()]
    by_field = next(way for way in ways_for([row.answer for row in rows]) if way.name == "by field")
    head, _ = taught([row.prompt for row in rows], [by_field], 17, Silent())
    bare = Specialist("sp-head", "head-v1", "task", 1, NGRAMS, "slots", files={"head": FILE}, serve_as="head")
    folder = workspace.specialist_folder(bare)
    folder.mkdir(parents=True)
    write(head, folder / FILE)
    specialist = replace(bare, digests={"head": sha256_of(folder / FILE)}, max_tokens=200)
    workspace.save_specialist(specialist)
    return specialist


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "home")


@pytest.fixture
def candidate(workspace: Workspace) -> Specialist:
    return head_specialist(workspace)


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
    def candidate(self, workspace: Workspace) -> Specialist:
        return head_specialist(workspace)


@pytest.mark.parametrize(("text", "answer"), ANSWERS.items())
def test_an_answer_is_the_teachers_to_the_byte(engine: Engine, specialist: Specialist, text: str, answer: str) -> None:
    completion = engine.complete(specialist, asked(specialist, text), timeout_s=5)
    assert completion.text == answer


def test_each_field_has_a_log_probability_of_its_own(engine: Engine, specialist: Specialist) -> None:
    completion = engine.complete(specialist, asked(specialist, "Tell me a long story."), timeout_s=5)
    assert completion.tokens == (
        '{"who": "a fox"',
        ', "where": "the wood"',
        ', "did": "ran"',
        ', "end": "well"',
        "}",
        "",
    )
    assert all(logprob < 0 for logprob in completion.token_logprobs[:4])


def test_auto_chooses_it_for_heads_alone_and_others_refuse_them() -> None:
    assert choose("auto", "head").name == "head"
    for name in ("ollama", "embedded"):
        with pytest.raises(BadInput, match="serves no heads"):
            choose(name, "head")
    with pytest.raises(BadInput, match="--kind head"):
        choose("head", "merged")


def test_a_file_that_is_not_the_tuned_one_is_neither_placed_nor_served(
    workspace: Workspace, candidate: Specialist, specialist: Specialist
) -> None:
    path = workspace.specialist_folder(candidate) / FILE
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BaseModelError, match="not the file that was tuned"):
        engine_kind("head").place(workspace, candidate, keep_alive="5m")
    with pytest.raises(NotServed, match="another file"):
        engine_kind("head").open(workspace, specialist)
    path.unlink()
    with pytest.raises(NotServed):
        HeadEngine(workspace.home).complete(specialist, prompt("Name a colour."), timeout_s=5)


def without_end(body: bytes) -> bytes:
    return body[:-2]


def of_a_later_version(body: bytes) -> bytes:
    return body.replace(b'"features":1', b'"features":9')


def with_too_many_rows(body: bytes) -> bytes:
    at = body.index(b'"vocabulary":') + len(b'"vocabulary":')
    return body[:at] + b"9" + body[at + 1 :]


def of_a_gap_that_is_none(body: bytes) -> bytes:
    return body.replace(b'"gaps":[0,1', b'"gaps":[0,9')


def not_a_number(body: bytes) -> bytes:
    return body[:-4] + b"\x00\x00\xc0\x7f"


@pytest.mark.parametrize(
    "harm", [without_end, of_a_later_version, with_too_many_rows, of_a_gap_that_is_none, not_a_number, lambda _: b""]
)
def test_a_damaged_file_is_refused(workspace: Workspace, candidate: Specialist, harm: Callable[[bytes], bytes]) -> None:
    body = (workspace.specialist_folder(candidate) / FILE).read_bytes()
    assert isinstance(read(body), Head)
    assert harm(body) != body
    with pytest.raises(ValueError):
        read(harm(body))


def test_an_answer_takes_a_few_milliseconds_at_most(engine: Engine, specialist: Specialist) -> None:
    text = asked(specialist, "Name a colour. " * 20)
    engine.complete(specialist, text, timeout_s=5)
    began_s = time.perf_counter()
    for _ in range(50):
        engine.complete(specialist, text, timeout_s=5)
    assert (time.perf_counter() - began_s) / 50 < 0.02  # .4 ms on a quiet machine


def test_it_answers_without_scipy_sklearn_or_torch(workspace: Workspace, specialist: Specialist) -> None:
    script = f"""
import sys
from pathlib import Path
import json
from protege.serve.registry import engine_kind
from protege.specialist import Specialist
specialist = Specialist.from_record(json.loads({json.dumps(specialist.to_record())!r}))
engine = engine_kind("head").access(Path({str(workspace.home)!r}), "").connect()
print(engine.complete(specialist, {prompt("Name a colour.")!r}, timeout_s=5).text)
print(*(name for name in ("scipy", "sklearn", "torch", "datasets", "sqlalchemy") if name in sys.modules))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "red\n\n"
