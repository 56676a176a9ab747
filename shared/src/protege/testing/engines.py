"""What every engine, and every kind of engine, must do: classes of tests for pytest to subclass.

    class TestMine(EngineConformance):
        @pytest.fixture
        def engine(self): ...  # one that is running

        @pytest.fixture
        def specialist(self): ...  # one that it serves, which answers as `EngineConformance` says

    class TestMyKind(EngineKindConformance):
        ...  # as that class says

What is asked of the specialist is what an instruction-tuned model of any size can do, or a toy of a few lines.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from ..chat.prompt import render
from ..errors import DoesNotFit, EngineError, NotServed
from ..serve import Completion, Engine, EngineKind, acomplete, choose, engine_kind, engine_names, open_engine
from ..specialist import Specialist
from ..workspace import Workspace

PATIENCE_S = 60.0
"""How long a busy machine may take for an answer, or for an engine to start."""


def asked(specialist: Specialist, text: str) -> str:
    """The rendered prompt of a user's text."""
    messages = [{"role": "system", "content": ""}, {"role": "user", "content": text}]
    return render(specialist.base, messages)


def complete(engine: Engine, specialist: Specialist, text: str) -> Completion:
    """The answer to a user's text."""
    return engine.complete(specialist, asked(specialist, text), timeout_s=PATIENCE_S)


class EngineConformance:
    """The tests of a running engine.

    Its specialist answers "What is 2+2? Answer with a number only." to the end within 200 tokens, and with more than
    three tokens when it is asked to "Tell me a long story.", which takes longer than `too_soon_s`. Its engine takes no
    prompt of 20,000 words.
    """

    too_soon_s = 0.02
    """Seconds in which no long story is told. 0 for an engine that takes less than a millisecond."""

    @pytest.fixture
    def engine(self) -> Engine:
        """The engine, running. A subclass gives it."""
        raise NotImplementedError("Give a fixture `engine`.")

    @pytest.fixture
    def specialist(self) -> Specialist:
        """One that it serves. A subclass gives it."""
        raise NotImplementedError("Give a fixture `specialist`.")

    def test_the_same_prompt_gets_the_same_answer(self, engine: Engine, specialist: Specialist) -> None:
        first, second = (complete(engine, specialist, "Name a colour.") for _ in range(2))
        assert (first.text, first.token_logprobs) == (second.text, second.token_logprobs)

    def test_an_answer_that_ends_tells_the_log_probability_of_every_token_and_of_its_end(
        self, engine: Engine, specialist: Specialist
    ) -> None:
        patient = replace(specialist, max_tokens=200)
        completion = complete(engine, patient, "What is 2+2? Answer with a number only.")
        assert completion.finish_reason == "stop"
        end = 0 if engine.tells_end else 1
        assert len(completion.tokens) == len(completion.token_logprobs) == completion.output_tokens - end
        assert all(logprob <= 0 for logprob in completion.token_logprobs)
        others = completion.runners_up
        assert not others or len(others) == len(completion.token_logprobs)
        assert all(other <= own for own, other in zip(completion.token_logprobs, others, strict=False))
        assert (completion.tokens[-1] == "") is engine.tells_end
        assert "".join(completion.tokens) == completion.text
        assert completion.input_tokens > 10 and completion.latency_ms > 0

    def test_an_answer_is_cut_at_the_specialists_longest(self, engine: Engine, specialist: Specialist) -> None:
        completion = complete(engine, replace(specialist, max_tokens=3), "Tell me a long story.")
        assert completion.finish_reason == "length"
        assert completion.output_tokens == len(completion.token_logprobs) == 3

    def test_text_of_any_script_goes_in_and_comes_out(self, engine: Engine, specialist: Specialist) -> None:
        completion = complete(engine, specialist, "Schöne Grüße, 東京 😀 \u0000")
        completion.text.encode()
        assert len(completion.token_logprobs) <= completion.output_tokens

    def test_a_prompt_that_does_not_fit_is_refused_and_never_cut(self, engine: Engine, specialist: Specialist) -> None:
        with pytest.raises(DoesNotFit):
            complete(engine, specialist, "word " * 20_000)
        assert complete(engine, specialist, "Hi.").text

    def test_an_answer_that_takes_too_long_is_an_error_and_the_next_is_answered(
        self, engine: Engine, specialist: Specialist
    ) -> None:
        patient = replace(specialist, max_tokens=400)
        with pytest.raises(EngineError, match="in time"):
            engine.complete(patient, asked(specialist, "Tell me a long story."), timeout_s=self.too_soon_s)
        assert complete(engine, specialist, "Hi.").text

    def test_a_specialist_that_is_not_served_is_an_error(self, engine: Engine, specialist: Specialist) -> None:
        stranger = replace(specialist, id="sp-stranger", placed={})
        with pytest.raises(NotServed):
            engine.complete(stranger, "Hi.", timeout_s=PATIENCE_S)
        with pytest.raises(NotServed):
            engine.fingerprint(stranger)

    def test_callers_at_the_same_time_each_get_the_answer_they_would_get_alone(
        self, engine: Engine, specialist: Specialist
    ) -> None:
        def ask(text: str) -> tuple[str, Sequence[float]]:
            completion = complete(engine, specialist, text)
            return completion.text, completion.token_logprobs

        questions = [f"What is {n} plus {n}?" for n in range(2)]
        alone = [ask(question) for question in questions]
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(ask, questions * 2)) == alone * 2

    def test_an_async_caller_gets_the_same_answer(self, engine: Engine, specialist: Specialist) -> None:
        prompt = asked(specialist, "Name a colour.")
        completion = asyncio.run(acomplete(engine, specialist, prompt, timeout_s=PATIENCE_S))
        assert completion.text == engine.complete(specialist, prompt, timeout_s=PATIENCE_S).text

    def test_an_async_caller_can_be_cancelled(self, engine: Engine, specialist: Specialist) -> None:
        async def cancelled() -> None:
            patient, prompt = replace(specialist, max_tokens=60), asked(specialist, "Tell me a long story.")
            asking = asyncio.create_task(acomplete(engine, patient, prompt, timeout_s=PATIENCE_S))
            await asyncio.sleep(self.too_soon_s)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

        asyncio.run(cancelled())

    def test_a_fingerprint_stays_the_same(self, engine: Engine, specialist: Specialist) -> None:
        assert engine.fingerprint(specialist) == engine.fingerprint(specialist)
        assert len(engine.fingerprint(specialist)) == 64
        assert engine.name


class EngineKindConformance:
    """The tests of a kind of engine.

    A subclass gives `kind`, the name that it is registered under, and two fixtures: `workspace`, and `candidate`, a
    tuned specialist of it that was placed nowhere. Where a server has to run, a fixture of the subclass runs it.
    """

    kind: str
    """As registered."""

    @pytest.fixture
    def workspace(self) -> Workspace:
        """A workspace with the candidate. A subclass gives it."""
        raise NotImplementedError("Give a fixture `workspace`.")

    @pytest.fixture
    def candidate(self) -> Specialist:
        """A tuned specialist of the workspace, placed nowhere. A subclass gives it."""
        raise NotImplementedError("Give a fixture `candidate`.")

    @pytest.fixture
    def of_kind(self) -> EngineKind:
        """The kind, as the registry has it."""
        return engine_kind(self.kind)

    @pytest.fixture
    def placed(self, of_kind: EngineKind, workspace: Workspace, candidate: Specialist) -> Iterator[Specialist]:
        """The candidate, in the engine, and removed again."""
        specialist = of_kind.place(workspace, candidate, keep_alive="5m")
        yield specialist
        of_kind.remove(workspace, specialist)

    def test_it_is_registered_under_its_name_and_chosen_by_it(self, candidate: Specialist) -> None:
        assert self.kind in engine_names()
        assert engine_kind(self.kind).name == self.kind and engine_kind(self.kind).title
        assert choose(self.kind, candidate.serve_as) is engine_kind(self.kind)

    def test_a_placed_specialist_belongs_to_it_and_its_record_survives_json(self, placed: Specialist) -> None:
        assert placed.engine == self.kind
        assert Specialist.from_record(json.loads(json.dumps(placed.to_record()))) == placed

    def test_placing_it_again_changes_nothing(
        self, of_kind: EngineKind, workspace: Workspace, placed: Specialist
    ) -> None:
        assert of_kind.place(workspace, placed, keep_alive="5m") == placed

    def test_opened_alone_and_many_times_it_answers_alike(
        self, of_kind: EngineKind, workspace: Workspace, placed: Specialist
    ) -> None:
        with contextlib.closing(open_engine(workspace, placed)) as engine:
            answer, fingerprint = complete(engine, placed, "Name a colour."), engine.fingerprint(placed)
        with of_kind.open_many(workspace, placed) as many:
            assert many.count >= 1 and many.fingerprint(placed) == fingerprint
            again = complete(many, placed, "Name a colour.")
        assert again.text == answer.text
        assert math.isclose(sum(again.token_logprobs), sum(answer.token_logprobs), abs_tol=1e-3)

    def test_a_closed_engine_can_be_closed_again(self, workspace: Workspace, placed: Specialist) -> None:
        engine = open_engine(workspace, placed)
        engine.close()
        engine.close()

    def test_brought_back_it_is_what_it_was_and_another_fingerprint_is_told(
        self, of_kind: EngineKind, workspace: Workspace, placed: Specialist
    ) -> None:
        with contextlib.closing(open_engine(workspace, placed)) as engine:
            fingerprint = engine.fingerprint(placed)
        assert of_kind.bring_back(workspace, placed, fingerprint) == placed
        of_kind.unload(placed)
        back = of_kind.bring_back(workspace, placed, fingerprint)
        with contextlib.closing(open_engine(workspace, back)) as engine:
            assert engine.fingerprint(back) == fingerprint

    def test_described_it_has_the_fingerprint_that_it_had(
        self, of_kind: EngineKind, workspace: Workspace, placed: Specialist
    ) -> None:
        with contextlib.closing(open_engine(workspace, placed)) as engine:
            fingerprint = engine.fingerprint(placed)
        report = {"evaluation": {"agreement": 0.9, "n": 10}, "certificate": {"epsilon": 0.05, "delta": 0.05}}
        described = of_kind.describe(workspace, replace(placed, report=report))
        with contextlib.closing(open_engine(workspace, described)) as engine:
            assert engine.fingerprint(described) == fingerprint
        of_kind.remove(workspace, described)

    def test_agents_find_it_and_get_the_same_answers(
        self, of_kind: EngineKind, workspace: Workspace, placed: Specialist
    ) -> None:
        with contextlib.closing(open_engine(workspace, placed)) as engine:
            answer, fingerprint = complete(engine, placed, "Name a colour."), engine.fingerprint(placed)
        host = of_kind.host(workspace)
        access = of_kind.access(workspace.home, placed.address)
        try:
            if host is not None:
                host.serve([placed])
                host.mend()
                assert list(host.addresses())
            until_s = time.monotonic() + PATIENCE_S
            while (agents := access.connect()) is None and time.monotonic() < until_s:
                time.sleep(0.05)
            assert agents is not None
            with contextlib.closing(agents):
                assert agents.fingerprint(placed) == fingerprint
                assert complete(agents, placed, "Name a colour.").text == answer.text
        finally:
            if host is not None:
                host.close()
        if host is not None:
            assert access.connect() is None, "agents find no host that was closed"

    def test_its_template_its_findings_and_its_facts_are_told_in_plain_data(
        self, of_kind: EngineKind, workspace: Workspace, placed: Specialist
    ) -> None:
        assert of_kind.template(placed).said in (None, "same", "differs", "not told")
        assert all(finding.name and finding.fact for finding in of_kind.findings(workspace.home))
        if self.kind in placed.placed:
            facts = of_kind.facts([placed])[placed.id]
            assert json.loads(json.dumps(facts)) == facts
            assert all(of_kind.in_words(facts))

    def test_it_has_room_for_one(self, of_kind: EngineKind, workspace: Workspace, placed: Specialist) -> None:
        of_kind.check_room(workspace, [placed])

    def test_removed_it_is_gone_and_removing_it_again_is_no_error(
        self, of_kind: EngineKind, workspace: Workspace, placed: Specialist
    ) -> None:
        assert of_kind.remove(workspace, placed)
        assert of_kind.remove(workspace, placed)
        of_kind.unload(placed)  # never raises
