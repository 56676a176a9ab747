"""Tests take a disk for a hanging one after half a minute, and not after a moment: the machine may be busy. A pytest
plugin; a test of a disk that hangs asks for `impatient`."""

from __future__ import annotations

import pytest
from protege.common import patience

_WAIT_S = patience.WAIT_S
patience.WAIT_S = 30.0


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait that users have."""
    monkeypatch.setattr(patience, "WAIT_S", _WAIT_S)
