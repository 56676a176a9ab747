"""How many threads a training step is worth, on a machine that others use too."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import TrainerCallback

FIRST_WAIT, LONGEST_WAIT = 10, 80
"""Steps until the other number of threads is tried again; doubled each time it is no faster."""


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread meanwhile.

    Beside two busy programs 24 passes over short texts took 25 s so, and 62 s with two threads, which wait for each
    other.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Threads(TrainerCallback):
    """Takes each step with all threads or with one, whichever was faster recently.

    torch's threads spin while they wait for one another. Alone on two cores two are faster than one; beside another
    busy program they wait for a thread that is not running, thousands of times a step. Measured so: one thread 0.8 s a
    step, two 1.3 to 10 s. (Letting them sleep instead, OMP_WAIT_POLICY, gave 0.9 s there: no better than one.)

    sizes: positions in the batch of each step; steps are compared by the time that a position took.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = sizes
        self.most = torch.get_num_threads()
        self.now = self.most
        self._seconds: dict[int, float] = {}
        self._wait = self._next = FIRST_WAIT
        self._step = 0
        self._began = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        torch.set_num_threads(self.now)
        self._began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # The step that ended is counted already.
        self.took((time.perf_counter() - self._began) / self.sizes[state.global_step - 1])

    def took(self, seconds: float) -> None:
        """Record how long a position of a step took with `now` threads; `now` becomes the number for the next step."""
        self._step += 1
        if self.most == 1 or self._step == 1:  # the first step compiles kernels
            return
        self._seconds[self.now] = seconds
        other = 1 if self.now == self.most else self.most
        if other not in self._seconds:
            self.now = other
        elif seconds > self._seconds[other]:
            self.now = other
            self._next = self._step + self._wait
        elif self._step >= self._next:
            self._wait = min(2 * self._wait, LONGEST_WAIT)
            self._next = self._step + self._wait
            self.now = other
