"""Calls are written by a thread of their own, so that neither a slow disk nor a large image holds the event loop up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..capture import recorder_of
from ..common.logs import log_once
from .media import Media, store


class Recording:
    """Records the calls of one home, in order. A disk that hangs holds its thread for a moment only (`Recorder`)."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._recorder = recorder_of(home)
        self._thread = ThreadPoolExecutor(1, "protege-recording")

    def with_media(self, media: tuple[Media, ...]) -> WithMedia:
        """A recorder for one call. media: what was set apart from it, which is stored first."""
        return WithMedia(self, media)

    def submit(self, call_record: dict[str, Any], media: tuple[Media, ...]) -> None:
        """Leave a call to the thread."""
        self._thread.submit(self._record, call_record, media)

    def close(self) -> None:
        """Return once all calls are written, or held in memory because the disk hangs."""
        self._thread.shutdown()

    def _record(self, call_record: dict[str, Any], media: tuple[Media, ...]) -> None:
        """A file that cannot be written costs itself alone."""
        for each in media:
            try:
                store(self._home, each)
            except (OSError, ValueError) as error:
                log_once("Storing an image or file", error)
        self._recorder.record(call_record)


class WithMedia:
    """The recorder of one call."""

    def __init__(self, recording: Recording, media: tuple[Media, ...]) -> None:
        self._recording = recording
        self._media = media

    def record(self, call_record: dict[str, Any]) -> None:
        """Leave the call to the thread."""
        self._recording.submit(call_record, self._media)
