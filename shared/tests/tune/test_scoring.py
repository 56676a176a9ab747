"""What a tuned model makes of answers that an engine gave: read together as one at a time, in the engine's tokens."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from protege.chat.prompt import render
from protege.specialist import Base
from protege.tune import Written

Generator = Any


@pytest.fixture(scope="module", params=["llama", "gemma3"])  # of Gemma 3 most layers see no further than a window
def base(request: pytest.FixtureRequest, make_base: Callable[..., Base]) -> Base:
    return make_base(request.param)


@pytest.fixture(scope="module")
def generator(base: Base) -> Generator:
    return importlib.import_module("protege.tune.inprocess").Generator(base)


def answers(base: Base, begin: str) -> list[Written]:
    """Of several lengths, ended and cut, to prompts that begin alike."""

    def written(number: int) -> Written:
        prompt = render(base, [{"role": "user", "content": f"{begin} {'ab' * number}"}])
        return Written(prompt, "red" * (number % 3) + "q" * (number % 2), ended=number % 2 == 0)

    return [written(number) for number in range(9)]


@pytest.fixture
def passes(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The number of tokens in each pass of the model."""
    read: list[int] = []
    forward = generator.model.forward

    def counted(*given: Any, input_ids: Any, **more: Any) -> Any:
        read.append(input_ids.numel())
        return forward(*given, input_ids=input_ids, **more)

    monkeypatch.setattr(generator.model, "forward", counted)
    yield read


@pytest.mark.parametrize(("begin", "most"), [("name", 420), ("x" * 300, 311 + 420)])
def test_many_are_scored_as_one_by_one_and_what_their_prompts_share_is_read_once(
    base: Base, generator: Generator, passes: list[int], begin: str, most: int
) -> None:
    asked = answers(base, begin)
    alone = [scored for answer in asked for scored in generator.score([answer])]
    passes.clear()
    together = generator.score(asked)
    assert len(passes) <= 2 and sum(passes) <= most
    for one, other in zip(alone, together, strict=True):
        assert other.logprobs == pytest.approx(one.logprobs, abs=1e-5) and other.gap == pytest.approx(one.gap, abs=1e-5)
        assert (other.likeliest, other.prompt_tokens) == (one.likeliest, one.prompt_tokens)
    assert len({scored.prompt_tokens for scored in together}) > 1


def test_more_than_fit_into_one_pass_come_back_in_their_order(
    base: Base, generator: Generator, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answers(base, "name")
    together = generator.score(asked)
    passes.clear()
    monkeypatch.setattr("protege.tune.inprocess.AT_ONCE", 64)
    apart = generator.score(asked)
    assert len(passes) > 2 and max(passes) <= 64
    assert [s.logprobs for s in apart] == [pytest.approx(s.logprobs, abs=1e-5) for s in together]
    assert generator.score([]) == []


def test_an_answer_is_scored_in_the_tokens_that_were_written_where_they_are_known(
    base: Base, generator: Generator
) -> None:
    prompt = render(base, [{"role": "user", "content": "name"}])
    texts = ("th", "in", "")

    def lengths(*answers: Written) -> list[int]:
        return [len(scored.logprobs) for scored in generator.score(answers)]

    merged = Written(prompt, "thin", ended=True, tokens=texts)
    single = Written(prompt, "thin", ended=True, tokens=("t", "h", "i", "n", ""))
    unknown = Written(prompt, "thin", ended=True, tokens=("thin", ""))
    others = Written(prompt, "thin", ended=True, tokens=("red", ""))
    assert lengths(merged, single, unknown, others) == [3, 5, 3, 3]
    assert lengths(Written(prompt, "", ended=False), Written(prompt, "", ended=True)) == [0, 1]
