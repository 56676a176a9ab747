"""What tokens cost, from the price list of the `genai-prices` package, which needs no network.

The recorder never comes here: a price takes 0.1 ms, and the package 0.2 to 0.3 s to import.
"""

from __future__ import annotations

import functools
from importlib.metadata import version


@functools.lru_cache(maxsize=65536)
def cost_usd(
    model: str, input_tokens: int, output_tokens: int, cache_read_tokens: int = 0, cache_write_tokens: int = 0
) -> float | None:
    """US dollars of one call at today's list price; None if the list does not know the model.

    model: its name, which may have a provider before it: `openai/gpt-4o-mini`. Cached tokens are part of the input and
    have a price of their own where the list has one.
    """
    if not _is_known(model):
        return None
    read = max(0, input_tokens)
    cached = min(read, max(0, cache_read_tokens))
    return _list_price(model, read, max(0, output_tokens), cached, min(read - cached, max(0, cache_write_tokens)))


def price_source() -> str:
    """The price list and its version."""
    return f"genai-prices {version('genai-prices')}"


@functools.lru_cache(maxsize=4096)
def _is_known(model: str) -> bool:
    try:
        _list_price(model, 1, 1)
    except (LookupError, ValueError):
        return False
    return True


def _list_price(
    model: str, input_tokens: int, output_tokens: int, cache_read_tokens: int = 0, cache_write_tokens: int = 0
) -> float:
    # Here, since this room must stay light: the package takes 0.2 to 0.3 s to import.
    from genai_prices import Usage, calc_price
    from genai_prices.data_snapshot import find_provider_by_id, get_snapshot

    provider, slash, name = model.partition("/")
    if not slash or find_provider_by_id(get_snapshot().providers, provider) is None:
        provider, name = None, model
    usage = Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_tokens=cache_read_tokens or None,
        cache_write_tokens=cache_write_tokens or None,
    )
    return float(calc_price(usage, name, provider_id=provider).total_price)
