"""The cost of a call that was recorded without one."""

from __future__ import annotations

from dataclasses import replace

from ..call import Call
from ..common.prices import cost_usd


def priced(call: Call) -> Call:
    """The call with its cost filled in, if it has none and its usage and model are known."""
    if call.cost_usd is not None or call.model is None or (call.input_tokens is None and call.output_tokens is None):
        return call
    cost = cost_usd(
        call.model,
        call.input_tokens or 0,
        call.output_tokens or 0,
        call.cache_read_tokens or 0,
        call.cache_write_tokens or 0,
    )
    return call if cost is None else replace(call, cost_usd=cost)
