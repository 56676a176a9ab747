"""A real browser, where there is one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def browsed(tmp_path: Path) -> Callable[[Path], tuple[str, str]]:
    """Opens a page in Chromium; gives its document once its scripts have run, and what the browser logged."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium on PATH")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    options += ["--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}"]
    options += ["--enable-logging=stderr", "--virtual-time-budget=8000", "--dump-dom"]

    def browse(path: Path) -> tuple[str, str]:
        ran = subprocess.run([browser, *options, path.as_uri()], capture_output=True, text=True, timeout=60)
        return ran.stdout, ran.stderr

    return browse
