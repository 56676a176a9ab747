"""The embedded engine: which weights answer, what a fingerprint vouches for, who may ask."""

from __future__ import annotations

import hashlib
import math
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from protege.errors import DoesNotFit, EngineError
from protege.serve import EmbeddedEngine, Options, Replicas, serve
from protege.serve.embedded.client import Client, Place
from protege.serve.embedded.replicating import replicate
from protege.specialist import Specialist
from protege.workspace import Workspace

PATIENCE_S = 60.0
PROMPT = "<|im_start|>user\nName an animal, and say where it lives.<|im_end|>\n<|im_start|>assistant\n"


def answer(engine: EmbeddedEngine, specialist: Specialist) -> tuple[str, Sequence[float]]:
    completion = engine.complete(specialist, PROMPT, timeout_s=PATIENCE_S)
    return completion.text, completion.token_logprobs


def raw(engine: EmbeddedEngine, specialist: Specialist, **question: Any) -> dict[str, Any]:
    place = engine.places()[specialist.id]
    headers = {"Authorization": f"Bearer {place.token}"}
    with speaking_to(place) as client:
        return client.post("/completion", json=question, headers=headers, timeout=PATIENCE_S).json()


def speaking_to(place: Place) -> httpx.Client:
    return httpx.Client(base_url="http://engine", transport=httpx.HTTPTransport(uds=place.socket))


def test_each_specialist_answers_with_its_own_weights_and_no_other(
    embedded: EmbeddedEngine, trio: list[Specialist]
) -> None:
    alone = [answer(embedded, specialist) for specialist in trio]
    assert len(set(alone)) == 3
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda s: answer(embedded, s), trio * 2)) == alone * 2


def test_specialists_of_two_bases_are_served_side_by_side(
    workspace: Workspace, embedded: EmbeddedEngine, trio: list[Specialist], tmp_path: Path
) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(Path(trio[1].base.path).read_bytes() + b"\0")  # the same weights, and another file
    digest = hashlib.sha256(other.read_bytes()).hexdigest()
    moved = replace(trio[1], base=replace(trio[1].base, path=str(other), sha256=digest))
    with serve(workspace, [trio[0], moved], as_="lora") as both:
        assert len(both.pids) == 2
        for asked, known in ((trio[0], trio[0]), (moved, trio[1])):
            (text, sure), (said, before) = answer(both, asked), answer(embedded, known)
            assert text == said and sure == pytest.approx(before, abs=1e-3)
        assert both.fingerprint(moved) != embedded.fingerprint(trio[1])


def test_equal_fingerprints_mean_equal_log_probabilities(
    workspace: Workspace, embedded: EmbeddedEngine, trio: list[Specialist]
) -> None:
    with serve(workspace, trio[1:2], as_="lora", options=Options(threads=1)) as alone:
        assert alone.fingerprint(trio[1]) == embedded.fingerprint(trio[1])
        text, logprobs = answer(alone, trio[1])
    text_beside_others, logprobs_beside_others = answer(embedded, trio[1])
    assert text == text_beside_others
    assert logprobs == pytest.approx(logprobs_beside_others, abs=1e-3)


def test_other_weights_and_another_way_of_serving_have_another_fingerprint(
    embedded: EmbeddedEngine, embedded_merged: EmbeddedEngine, trio: list[Specialist]
) -> None:
    found = {embedded.fingerprint(specialist) for specialist in trio} | {embedded_merged.fingerprint(trio[0])}
    assert len(found) == 4


def test_log_probabilities_are_of_the_whole_vocabulary_before_sampling(
    embedded: EmbeddedEngine, trio: list[Specialist]
) -> None:
    lora = [{"id": 0, "scale": 1.0}]
    reply = raw(embedded, trio[0], prompt=PROMPT, n_predict=1, temperature=0, n_probs=200_000, lora=lora)
    first = reply["completion_probabilities"][0]
    assert sum(math.exp(top["logprob"]) for top in first["top_logprobs"]) == pytest.approx(1, abs=1e-3)
    assert first["logprob"] == max(top["logprob"] for top in first["top_logprobs"])
    completion = embedded.complete(trio[0], PROMPT, timeout_s=60)
    assert completion.token_logprobs[0] == pytest.approx(first["logprob"], abs=1e-4)
    second = sorted(top["logprob"] for top in first["top_logprobs"])[-2]
    assert completion.runners_up[0] == pytest.approx(second, abs=1e-4)


def test_a_model_whose_tokenizer_adds_tokens_is_shown_our_prompt_alone(
    embedded: EmbeddedEngine, trio: list[Specialist]
) -> None:
    place = replace(embedded.places()[trio[0].id], adds_tokens=True)
    completion = Client().complete(place, PROMPT, max_tokens=trio[0].max_tokens, timeout_s=PATIENCE_S)
    assert (completion.text, completion.token_logprobs) == answer(embedded, trio[0])


def test_an_answer_that_outgrows_the_context_is_refused(workspace: Workspace, trio: list[Specialist]) -> None:
    with serve(workspace, trio[:1], options=Options(context=256)) as engine:
        story = f"<|im_start|>user\n{'A king. ' * 80}Tell me more.<|im_end|>\n<|im_start|>assistant\n"
        with pytest.raises(DoesNotFit):
            engine.complete(replace(trio[0], max_tokens=100), story, timeout_s=PATIENCE_S)
        assert engine.fingerprint(trio[0])


def test_nobody_is_answered_without_the_token(embedded: EmbeddedEngine, trio: list[Specialist]) -> None:
    place = embedded.places()[trio[0].id]
    with speaking_to(place) as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            for path in ("/completion", "/tokenize"):
                assert client.post(path, json={"prompt": "Hi"}, headers=headers).status_code == 401
            for path in ("/v1/models", "/props", "/slots", "/lora-adapters"):
                assert client.get(path, headers=headers).status_code == 401


def test_it_listens_on_no_port_and_no_other_user_can_reach_it(embedded: EmbeddedEngine, trio: list[Specialist]) -> None:
    assert not psutil.Process(embedded.pids[0]).net_connections("inet")
    socket = Path(embedded.places()[trio[0].id].socket)
    assert socket.is_socket() and stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(socket.stat().st_mode) & 0o077 == 0


def test_the_token_is_on_no_command_line_and_in_no_environment(
    embedded: EmbeddedEngine, trio: list[Specialist]
) -> None:
    token = embedded.places()[trio[0].id].token
    process = psutil.Process(embedded.pids[0])
    assert token not in " ".join(process.cmdline())
    assert token not in " ".join(process.environ().values())
    assert len(token) >= 32


def test_the_asking_process_loads_no_model_library() -> None:
    import subprocess
    import sys

    code = "import sys, protege.serve; print(sorted({'torch', 'xllamacpp', 'httpx', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_replicas_share_the_work_and_answer_as_one_engine_does(workspace: Workspace, trio: list[Specialist]) -> None:
    merged = replace(trio[0], serve_as="merged")
    prompts = [f"<|im_start|>user\nName {n} rivers.<|im_end|>\n<|im_start|>assistant\n" for n in range(6)]
    with serve(workspace, [merged], options=Options(threads=2)) as one:
        alone = [one.complete(merged, prompt, timeout_s=30) for prompt in prompts]
        fingerprint = one.fingerprint(merged)
    engines = [serve(workspace, [merged], options=Options(threads=1)) for _ in range(2)]
    with Replicas(engines) as many, ThreadPoolExecutor(4) as pool:
        assert many.count == 2 and many.fingerprint(merged) == fingerprint
        together = list(pool.map(lambda prompt: many.complete(merged, prompt, timeout_s=30), prompts))
    assert [answer.text for answer in together] == [answer.text for answer in alone]
    assert [answer.token_logprobs for answer in together] == [answer.token_logprobs for answer in alone]
    for engine in engines:
        with pytest.raises(EngineError, match="closed"):
            engine.complete(merged, prompts[0], timeout_s=1)


def test_one_engine_that_does_not_start_leaves_the_others(
    workspace: Workspace, trio: list[Specialist], monkeypatch: pytest.MonkeyPatch
) -> None:
    from protege.serve.embedded import replicating

    begun = iter(range(10))

    def start(*given: Any, **options: Any) -> EmbeddedEngine:
        if next(begun) == 0:
            raise EngineError("The engine did not start.")
        return serve(*given, **options)

    monkeypatch.setattr(replicating, "serve", start)
    monkeypatch.setattr(replicating, "physical_cores", lambda: 2)
    with replicate(workspace, trio[0]) as many:
        assert many.count == 1
        assert many.complete(trio[0], PROMPT, timeout_s=PATIENCE_S).text


def test_where_no_engine_starts_the_reason_is_told(
    workspace: Workspace, trio: list[Specialist], monkeypatch: pytest.MonkeyPatch
) -> None:
    from protege.serve.embedded import replicating

    def start(*given: Any, **options: Any) -> EmbeddedEngine:
        raise EngineError("The engine did not start.")

    monkeypatch.setattr(replicating, "serve", start)
    with pytest.raises(EngineError, match="did not start"):
        replicate(workspace, trio[0])
