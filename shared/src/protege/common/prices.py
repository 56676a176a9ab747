"""What a call cost, from the price list of the `genai-prices` package, which needs no network.

Never on the recorder's path: the package takes 0.3 s to import, a price 0.1 ms.
"""

from __future__ import annotations

import functools
from dataclasses import replace

from ..call import Call


@functools.lru_cache(maxsize=65536)
def cost_usd(model: str, input_tokens: int, output_tokens: int) -> float | None:
    """US dollars of one call at today's list price, None where the list does not know the model.

    A provider may stand before the model: `openai/gpt-4o-mini`.
    """
    if not _known(model):
        return None
    from genai_prices import Usage, calc_price

    provider, name = _split(model)
    usage = Usage(input_tokens=max(0, input_tokens), output_tokens=max(0, output_tokens))
    return float(calc_price(usage, name, provider_id=provider).total_price)


def price_source() -> str:
    """The list the prices are from, and its version."""
    from importlib.metadata import version

    return f"genai-prices {version('genai-prices')}"


def priced(call: Call) -> Call:
    """The call with its cost filled in, where usage and model are known and no cost is given."""
    if call.cost_usd is not None or call.model is None or (call.input_tokens is None and call.output_tokens is None):
        return call
    cost = cost_usd(call.model, call.input_tokens or 0, call.output_tokens or 0)
    return call if cost is None else replace(call, cost_usd=cost)


@functools.lru_cache(maxsize=4096)
def _known(model: str) -> bool:
    from genai_prices import Usage, calc_price

    provider, name = _split(model)
    try:
        calc_price(Usage(input_tokens=1, output_tokens=1), name, provider_id=provider)
    except (LookupError, ValueError):
        return False
    return True


def _split(model: str) -> tuple[str | None, str]:
    """Provider and model, where the list knows a provider of the name before the first slash."""
    from genai_prices.data_snapshot import find_provider_by_id, get_snapshot

    head, slash, rest = model.partition("/")
    if slash and find_provider_by_id(get_snapshot().providers, head) is not None:
        return head, rest
    return None, model
