"""Calls are written as soon as their answer has come, so that a gateway that is killed loses none that was answered.

What may take long is left to a thread, so that it does not hold the event loop up: images and files, and every call
while the disk is slow.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from ..collect import Recorder
from ..common.logs import log_once
from .media import Media, store

MOST = 10_000
"""So many calls wait in memory for the thread. Further ones are lost."""
MOST_MEDIA = 256 << 20
"""Bytes of images and files that wait in memory."""
SLOW_S = 0.1
"""A call that took longer to write shows that the disk is slow."""
END_S = 5.0
"""The longest wait for the disk at the end."""

Job: TypeAlias = tuple[dict[str, Any], tuple[Media, ...]] | None


class Recording:
    """Records the calls of one home. on_lost: told the reason of each that could not be held while the disk hung."""

    def __init__(self, home: Path, on_lost: Callable[[str], object] = lambda reason: None) -> None:
        self._on_lost = on_lost
        self._held = 0
        self._counting = threading.Lock()
        self._home = home
        self._recorder = Recorder(home)
        self._is_quick = True
        self._jobs: queue.Queue[Job] = queue.Queue(MOST)
        self._thread = threading.Thread(target=self._work, name="protege-recording", daemon=True)
        self._thread.start()

    def with_media(self, media: tuple[Media, ...]) -> WithMedia:
        """A recorder for one call. media: what was set apart from it, which is stored first."""
        return WithMedia(self, media)

    def submit(self, call_record: dict[str, Any], media: tuple[Media, ...]) -> None:
        """Record a call, or leave it to the thread. Waits for the disk as `Recorder.record` does, once."""
        if self._is_quick and not media:
            self._record(call_record)
            return
        try:
            if not self._has_room(media):
                raise queue.Full
            self._jobs.put_nowait((call_record, media))
            self._hold(media, 1)
        except queue.Full:
            self._on_lost("the disk hangs")

    def close(self) -> None:
        """Return once all calls are written; if the disk hangs, after END_S."""
        try:
            self._jobs.put(None, timeout=END_S)
        except queue.Full:
            return
        self._thread.join(END_S)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            call_record, media = job
            for each in media:  # one that cannot be written costs itself alone
                try:
                    store(self._home, each)
                except (OSError, ValueError) as error:
                    log_once("Storing an image or file", error)
            self._hold(media, -1)
            self._record(call_record)

    def _record(self, call_record: dict[str, Any]) -> None:
        began_s = time.perf_counter()
        self._recorder.record(call_record)
        self._is_quick = time.perf_counter() - began_s < SLOW_S

    def _has_room(self, media: tuple[Media, ...]) -> bool:
        return self._held + _size(media) <= MOST_MEDIA

    def _hold(self, media: tuple[Media, ...], sign: int) -> None:
        with self._counting:  # two threads count
            self._held += sign * _size(media)


def _size(media: tuple[Media, ...]) -> int:
    return sum(len(each.written) for each in media)


class WithMedia:
    """The recorder of one call."""

    def __init__(self, recording: Recording, media: tuple[Media, ...]) -> None:
        self._recording = recording
        self._media = media

    def record(self, call_record: dict[str, Any]) -> None:
        """Record the call."""
        self._recording.submit(call_record, self._media)
