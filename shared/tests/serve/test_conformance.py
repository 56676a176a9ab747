"""What every engine does. The fixture `engine` stands for each of them in turn."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from protege.chat.prompt import render
from protege.errors import DoesNotFit, EngineError, NotServed
from protege.serve import Engine, acomplete
from protege.specialist import Specialist

PATIENCE_S = 60.0


@pytest.fixture
def specialist(engine: Engine, trio: list[Specialist], request: pytest.FixtureRequest) -> Specialist:
    return request.getfixturevalue("in_ollama") if engine.name == "ollama" else trio[0]


def prompt(specialist: Specialist, text: str) -> str:
    messages = [{"role": "system", "content": ""}, {"role": "user", "content": text}]
    return render(specialist.base, messages)


def test_the_same_prompt_gets_the_same_answer(engine: Engine, specialist: Specialist) -> None:
    asked = prompt(specialist, "Name a colour.")
    first, second = (engine.complete(specialist, asked, timeout_s=PATIENCE_S) for _ in range(2))
    assert (first.text, first.token_logprobs) == (second.text, second.token_logprobs)


def test_an_answer_that_ends_tells_the_log_probability_of_every_token_and_of_its_end(
    engine: Engine, specialist: Specialist
) -> None:
    patient = replace(specialist, max_tokens=200)
    completion = engine.complete(
        patient, prompt(specialist, "What is 2+2? Answer with a number only."), timeout_s=PATIENCE_S
    )
    assert completion.finish_reason == "stop"
    end = 0 if engine.tells_end else 1
    assert len(completion.tokens) == len(completion.token_logprobs) == completion.output_tokens - end
    assert all(logprob <= 0 for logprob in completion.token_logprobs)
    assert (completion.tokens[-1] == "") is engine.tells_end
    assert "".join(completion.tokens) == completion.text
    assert completion.input_tokens > 10 and completion.latency_ms > 0


def test_an_answer_is_cut_at_the_specialists_longest(engine: Engine, specialist: Specialist) -> None:
    short = replace(specialist, max_tokens=3)
    completion = engine.complete(short, prompt(specialist, "Tell me a long story."), timeout_s=PATIENCE_S)
    assert completion.finish_reason == "length"
    assert completion.output_tokens == len(completion.token_logprobs) == 3


def test_text_of_any_script_goes_in_and_comes_out(engine: Engine, specialist: Specialist) -> None:
    completion = engine.complete(specialist, prompt(specialist, "Schöne Grüße, 東京 😀 \u0000"), timeout_s=PATIENCE_S)
    completion.text.encode()
    assert len(completion.token_logprobs) <= completion.output_tokens


def test_a_prompt_that_does_not_fit_is_refused_and_never_cut(engine: Engine, specialist: Specialist) -> None:
    with pytest.raises(DoesNotFit):
        engine.complete(specialist, prompt(specialist, "word " * 20_000), timeout_s=PATIENCE_S)
    assert engine.complete(specialist, prompt(specialist, "Hi."), timeout_s=PATIENCE_S).text


def test_an_answer_that_takes_too_long_is_an_error_and_the_next_is_answered(
    engine: Engine, specialist: Specialist
) -> None:
    patient = replace(specialist, max_tokens=400)
    with pytest.raises(EngineError, match="in time"):
        engine.complete(patient, prompt(specialist, "Tell me a long story."), timeout_s=0.02)
    assert engine.complete(specialist, prompt(specialist, "Hi."), timeout_s=PATIENCE_S).text


def test_a_specialist_that_is_not_served_is_an_error(engine: Engine, specialist: Specialist) -> None:
    stranger = replace(specialist, id="sp-stranger", imported={})
    with pytest.raises(NotServed):
        engine.complete(stranger, "Hi.", timeout_s=PATIENCE_S)
    with pytest.raises(NotServed):
        engine.fingerprint(stranger)


def test_callers_at_the_same_time_each_get_the_answer_they_would_get_alone(
    engine: Engine, specialist: Specialist
) -> None:
    def ask(text: str) -> tuple[str, Sequence[float]]:
        completion = engine.complete(specialist, prompt(specialist, text), timeout_s=PATIENCE_S)
        return completion.text, completion.token_logprobs

    questions = [f"What is {n} plus {n}?" for n in range(2)]
    alone = [ask(question) for question in questions]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, questions * 2)) == alone * 2


def test_an_async_caller_gets_the_same_answer(engine: Engine, specialist: Specialist) -> None:
    asked = prompt(specialist, "Name a colour.")
    completion = asyncio.run(acomplete(engine, specialist, asked, timeout_s=PATIENCE_S))
    assert completion.text == engine.complete(specialist, asked, timeout_s=PATIENCE_S).text


async def test_an_async_caller_can_be_cancelled(engine: Engine, specialist: Specialist) -> None:
    asking = asyncio.create_task(acomplete(engine, specialist, prompt(specialist, "Hi."), timeout_s=PATIENCE_S))
    await asyncio.sleep(0.02)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


def test_a_fingerprint_stays_the_same(engine: Engine, specialist: Specialist) -> None:
    assert engine.fingerprint(specialist) == engine.fingerprint(specialist)
    assert len(engine.fingerprint(specialist)) == 64
    assert engine.name
