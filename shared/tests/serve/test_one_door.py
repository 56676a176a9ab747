"""Many specialists behind one door: no answer of one leaks into another's (llama.cpp #26207, #28674)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from protege.common.digest import sha256_of
from protege.select.base import load_base
from protege.serve import EmbeddedEngine, serve
from protege.serve.embedded.client import Client
from protege.specialist import Specialist
from protege.testing.engines import asked
from protege.workspace import Workspace
from tiny_models import to_gguf, write_folder, write_lora

pytest.importorskip("xllamacpp", reason="the embedded engine")

SPECIALISTS, ALONE = 6, 2
BEGIN = "All of these questions begin alike, so that a cache would find what another left. "
QUESTIONS = tuple(f"{BEGIN}Number {n}?" for n in range(3))
Answer = tuple[str, tuple[float, ...]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, list[Specialist]]:
    """A workspace with LoRA weights over one tiny base; the last is the base itself, as a merged model."""
    folder = tmp_path_factory.mktemp("door")
    file = to_gguf(write_folder(folder / "tiny", "llama"), folder / "tiny.gguf")
    base, workspace = replace(load_base(file), licence="MIT"), Workspace(folder / "home")
    made: list[Specialist] = []
    for number in range(SPECIALISTS + 1):
        merged = number == SPECIALISTS
        files = {"gguf": "model.gguf"} if merged else {"lora_gguf": "lora.gguf"}
        one = Specialist(f"sp-{number}", f"door-v{number}", "door", number, base, "slots", files=files, max_tokens=6)
        path = workspace.specialist_folder(one) / next(iter(files.values()))
        path.parent.mkdir(parents=True)
        path.symlink_to(file) if merged else write_lora(file, path, number)
        digests = {next(iter(files)): sha256_of(path)}
        made.append(replace(one, digests=digests, serve_as="merged" if merged else "lora"))
    return workspace, made


@pytest.fixture(scope="module")
def door(home: tuple[Workspace, list[Specialist]]) -> Iterator[EmbeddedEngine]:
    workspace, made = home
    with serve(workspace, made[:-1]) as engine:
        assert len(engine.pids) == 1, "one process for all"
        yield engine


def ask(engine: EmbeddedEngine, specialist: Specialist, question: str) -> Answer:
    completion = engine.complete(specialist, asked(specialist, question), timeout_s=60)
    return completion.text, completion.token_logprobs


def all_of(engine: EmbeddedEngine, specialists: Sequence[Specialist]) -> dict[tuple[str, str], Answer]:
    return {(one.id, question): ask(engine, one, question) for one in specialists for question in QUESTIONS}


def test_interleaved_answers_are_those_of_each_alone_to_the_last_bit(
    home: tuple[Workspace, list[Specialist]], door: EmbeddedEngine
) -> None:
    workspace, made = home
    loras = made[:-1]
    in_turn = all_of(door, loras)
    for one in loras[:ALONE]:
        with serve(workspace, [one]) as alone:
            for question in QUESTIONS:
                assert ask(alone, one, question) == in_turn[one.id, question]
    wanted = [(one, question) for one in loras for question in QUESTIONS] * 2
    random.Random(7).shuffle(wanted)
    for one, question in wanted:
        assert ask(door, one, question) == in_turn[one.id, question]
    with ThreadPoolExecutor(6) as pool:
        at_once = list(pool.map(lambda pair: ask(door, *pair), wanted))
    assert at_once == [in_turn[one.id, question] for one, question in wanted]
    assert len({tuple(in_turn[one.id, question] for question in QUESTIONS) for one in loras}) == len(loras)


def test_at_scale_zero_all_of_them_are_the_base_to_the_last_bit(
    home: tuple[Workspace, list[Specialist]], door: EmbeddedEngine
) -> None:
    workspace, made = home
    bare = made[-1]
    with serve(workspace, [bare]) as alone:
        for question in QUESTIONS:
            ask(door, made[0], question)  # leaves what a cache might keep
            prompt = asked(bare, question)
            place = replace(door.places()[made[0].id], lora=-1)
            none = Client().complete(place, prompt, max_tokens=bare.max_tokens, timeout_s=60)
            assert (none.text, none.token_logprobs) == ask(alone, bare, question)
