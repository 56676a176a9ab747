"""The bounded sample of calls that discovery examines closely. It does not depend on the order of the calls."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

from ..call import Call, text_of
from ..common.confinement import Confinement
from .wording import opening_text

SAMPLE = 6_000
EVERYWHERE = 2_000
"""This many are drawn uniformly from all calls; the rest of the sample is divided among the frequent beginnings."""
LONGEST_CHARS = 200_000
"""Longer prompts are not sampled: shorter ones of their kind reveal it, and they are assigned all the same."""
MAX_CHARS = 60_000_000
"""The total size of the sampled prompts, at most."""

_Drawn = tuple[int, str, Call]  # priority (negated: a heap gives up its largest), id, call


def survey(calls: Iterable[Call], confinement: Confinement | None = None) -> list[Call]:
    """At most `SAMPLE` calls: some of every frequent beginning, and a uniform draw over all calls.

    One pass. Memory is bounded by the sample's size, whatever the number of calls. The hash of its id decides whether a
    call is drawn (bottom-k sampling), so neither order nor time matters.
    """
    everywhere = _Draw()
    beginnings: dict[int, _Draw] = {}
    confinement = confinement or Confinement("discovery")
    for call in calls:
        with confinement.each(call.id):
            if _size(call) > LONGEST_CHARS:
                continue
            priority = -int.from_bytes(blake2b(_bytes(call.id), digest_size=8).digest(), "big")
            beginning = _beginning(call)
            everywhere.offer(priority, call, EVERYWHERE)
            beginnings.setdefault(beginning, _Draw()).offer(priority, call, SAMPLE // 20)
        if len(beginnings) > 4 * SAMPLE:
            beginnings = _frequent(beginnings)
    return _bounded(_shared_out(everywhere, list(beginnings.values())))


@dataclass(slots=True)
class _Draw:
    """A uniform draw from the calls that are offered."""

    seen: int = 0
    heap: list[_Drawn] = field(default_factory=list[_Drawn])

    def offer(self, priority: int, call: Call, size: int) -> None:
        self.seen += 1
        item = (priority, call.id, call)
        if len(self.heap) < size:
            heapq.heappush(self.heap, item)
        elif item[:2] > self.heap[0][:2]:
            heapq.heapreplace(self.heap, item)

    def calls(self, size: int) -> list[Call]:
        return [call for _, _, call in sorted(self.heap, key=lambda d: d[:2], reverse=True)[:size]]


def _beginning(call: Call) -> int:
    system = call.request.system
    return hash(system if system.strip() else opening_text(call.request)[:24])


def _frequent(beginnings: dict[int, _Draw]) -> dict[int, _Draw]:
    """The more frequent half (lossy counting: Manku and Motwani, 2002)."""
    ranked = sorted(beginnings.items(), key=lambda item: -item[1].seen)
    return dict(ranked[: len(ranked) // 2])


def _shared_out(everywhere: _Draw, beginnings: list[_Draw]) -> list[Call]:
    chosen = {call.id: call for call in everywhere.calls(EVERYWHERE)}
    ranked = sorted(beginnings, key=lambda draw: (-draw.seen, draw.heap[0][:2]))
    ranked = [draw for draw in ranked if draw.seen > 1][: SAMPLE // 2]
    if ranked:
        share = max(2, (SAMPLE - len(chosen)) // len(ranked))
        for draw in ranked:
            chosen.update((call.id, call) for call in draw.calls(share))
    return sorted(list(chosen.values())[:SAMPLE], key=lambda call: call.id)


def _bounded(calls: list[Call]) -> list[Call]:
    """The calls, every second one left out until their total size is within `MAX_CHARS`."""
    while len(calls) > 20 and sum(_size(call) for call in calls) > MAX_CHARS:
        calls = calls[::2]
    return calls


def _size(call: Call) -> int:
    return sum(len(text_of(message)) for message in call.request.messages)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
