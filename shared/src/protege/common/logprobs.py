"""Log-probabilities as engines tell them: for each token its own, and those of the likeliest in `top_logprobs`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def runners_up(tokens: Sequence[Mapping[str, Any]]) -> tuple[float, ...]:
    """The log-probability of the second likeliest token at each place; empty if the engine does not tell it everywhere.

    Raises TypeError, ValueError or KeyError for fields of another form.
    """
    told = [sorted(float(other["logprob"]) for other in token.get("top_logprobs") or ()) for token in tokens]
    return tuple(others[-2] for others in told) if all(len(others) > 1 for others in told) else ()
