"""Prices: from a list on this machine, and None where it does not know the model."""

from __future__ import annotations

import pytest
from protege import Call, Request
from protege.collect.pricing import priced
from protege.common.prices import cost_usd, price_source


def test_a_known_model_has_a_price_and_more_tokens_cost_more() -> None:
    once = cost_usd("gpt-4o", 1000, 100)
    assert once is not None
    assert 0 < once < 1
    assert cost_usd("gpt-4o", 2000, 200) == pytest.approx(2 * once)


def test_a_provider_may_stand_before_the_model() -> None:
    assert cost_usd("openai/gpt-4o", 1000, 100) == cost_usd("gpt-4o", 1000, 100)


@pytest.mark.parametrize("model", ["gold-label", "", "nobody/nothing", "/", "openai/", "openai/none-such"])
def test_an_unknown_model_has_none(model: str) -> None:
    assert cost_usd(model, 1000, 100) is None


def test_the_list_is_named_with_its_version() -> None:
    assert price_source().startswith("genai-prices ")


def test_a_cost_that_is_given_is_kept() -> None:
    request = Request(messages=({"role": "user", "content": "hi"},))
    call = Call(id="1", request=request, model="gpt-4o", input_tokens=1000, output_tokens=100, cost_usd=9.0)
    assert priced(call).cost_usd == 9.0
