"""Tests keep what belongs into the user's configuration in a folder of their own. A pytest plugin."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

_FOLDER = tempfile.mkdtemp(prefix="protege-config-")
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
os.environ["XDG_CONFIG_HOME"] = _FOLDER
