"""Work on a disk that may hang.

The first caller waits WAIT_S, and later callers do not wait until the disk responds again.

No time-out ends a system call, so the work runs in a thread of its own and the caller waits for it a short while. Only
locks of `_thread` are used, so that a program patched by gevent gets greenlets throughout, and never a mixture.
"""

from __future__ import annotations

import _thread
import sys
import time
from collections import deque
from collections.abc import Callable

WAIT_S = 0.2
"""A caller waits for the disk this long at most."""


class Patience:
    """Runs work in a thread of its own, in order. Safe for many threads, in a signal's handler and at exit.

    The thread starts with the first work and ends with its owner. After a fork the owner must call `forked`.
    """

    def __init__(self) -> None:
        self._state = _State()

    @property
    def late(self) -> bool:
        """Whether the disk hangs: some work took longer than WAIT_S, and none has been quick since."""
        return self._state.late

    @property
    def busy(self) -> bool:
        """Whether there is work that is not done."""
        return bool(self._state.jobs) or self._state.working is not None

    @property
    def undone(self) -> int:
        """How much work is not done of which somebody is to be told if it fails."""
        state = self._state
        jobs = [*state.jobs, state.working]
        return sum(job is not None and job.failed is not _nobody for job in jobs)

    def do(self, work: Callable[[], object], failed: Callable[[Exception], object] | None = None) -> bool:
        """Run the work and wait for it, WAIT_S at most; not at all if the disk hangs. Raises what the work raises.

        Returns whether the work is done. If not, it is done once the disk is back, and what it raises then goes to
        `failed`.
        """
        state = self._state
        if _thread.get_ident() == state.ident or sys.is_finalizing() or not state.started():
            work()
            return True
        job = _Job(work, failed or _nobody, abandoned=state.late)
        state.add(job)
        return not job.abandoned and job.waited(state)

    def later(self, work: Callable[[], object]) -> None:
        """Leave work for the next time that the thread is needed. Neither starts it nor waits."""
        self._state.jobs.append(_Job(work, _nobody, abandoned=True))

    def was_slow(self) -> None:
        """Work of this kind that a caller did itself took longer than WAIT_S: the disk hangs."""
        self._state.late = True

    def forked(self) -> None:
        """Begin anew in a forked child. What was left to do is the parent's."""
        self._state = _State()

    def end(self) -> None:
        """End the thread when it has done its work."""
        if self._state.ident is not None:
            self._state.add(None)

    def __del__(self) -> None:
        self.end()


def _nobody(error: Exception) -> None:
    """Nobody is told of an error."""


class _Job:
    """Work, and what became of it. Its caller, or the thread if the caller has gone, takes note of an error."""

    __slots__ = ("abandoned", "done", "error", "failed", "work")

    def __init__(self, work: Callable[[], object], failed: Callable[[Exception], object], *, abandoned: bool) -> None:
        self.work, self.failed, self.abandoned = work, failed, abandoned
        self.error: Exception | None = None
        self.done = _thread.allocate_lock()
        self.done.acquire()

    def waited(self, state: _State) -> bool:
        if not self.done.acquire(timeout=WAIT_S):
            state.late = self.abandoned = True
            if not self.done.acquire(blocking=False):
                return False
        if self.error is not None:
            raise self.error
        return True

    def run(self) -> None:
        try:
            self.work()
        except Exception as error:  # noqa: BLE001 - raised again where the caller waits
            self.error = error
        self.done.release()
        # Whoever gets `done` takes note of the error: the caller, or this thread if the caller has gone.
        if self.abandoned and self.done.acquire(blocking=False) and self.error is not None:
            self.failed(self.error)


class _State:
    """What the thread shares with its owner. The thread must not hold the owner itself, which ends it."""

    __slots__ = ("ident", "jobs", "late", "starting", "wake", "working")

    def __init__(self) -> None:
        self.late = False
        self.working: _Job | None = None
        self.jobs: deque[_Job | None] = deque()
        self.wake = _thread.allocate_lock()
        self.wake.acquire()
        self.starting = _thread.allocate_lock()
        self.ident: int | None = None

    def add(self, job: _Job | None) -> None:
        self.jobs.append(job)
        try:  # noqa: SIM105 - contextlib may be gone when the last recorder goes
            self.wake.release()
        except RuntimeError:  # it is awake already
            pass

    def started(self) -> bool:
        """Start the thread if there is none. False if none can be started: at exit, or if there are too many."""
        if self.ident is None and self.starting.acquire(blocking=False):
            try:
                self.ident = _thread.start_new_thread(_work, (self,))
            except RuntimeError:
                self.starting.release()
        return self.ident is not None


def _work(state: _State) -> None:
    while True:
        state.wake.acquire()
        while state.jobs:
            job = state.working = state.jobs[0]  # first here, then there no more: it is counted all the time
            state.jobs.popleft()
            if job is None:
                return
            begin_s = time.perf_counter()
            job.run()
            del job  # it holds its owner
            state.late = state.late and time.perf_counter() - begin_s > WAIT_S
            state.working = None
