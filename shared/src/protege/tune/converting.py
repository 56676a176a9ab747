"""A merged folder as a GGUF file, by a converter that is on this machine: an Ollama's, or llama.cpp's script.

What a converter writes is rewritten with our metadata, its matrices in the type that was asked for. Whether it is the
model that was tuned is told by parity, as of every file.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from ..common.digest import sha256_of
from ..errors import BaseModelError, ProtegeError
from ..gguf.writer import rewrite
from ..ollama.address import address
from ..ollama.api import NAMESPACE, Ollama
from ..select.ollama_store import blob_of
from ..select.ways import converter, means, ways_of
from .tuner import Lesson

TIMEOUT_S = 3600.0
"""A converter that takes longer than this has hung: it writes a file of 16 GB in minutes."""


def converted(lesson: Lesson, merge: Callable[[Path], Path]) -> dict[str, str]:
    """The tuned model as `model.gguf`, where a converter is here that takes its base; else nothing.

    merge: writes the tuned model as a folder. Raises BaseModelError where the converter fails, EngineError.
    """
    ways = ways_of(lesson.base, means())
    way = next((cell.way for cell in ways if cell.open and cell.way in ("ollama", "converter")), None)
    if way is None:
        return {}
    merged, plain = lesson.folder / "merged", lesson.folder / ".model.gguf.converted"
    try:
        (_by_ollama if way == "ollama" else _by_script)(merge(merged), plain)
        rewrite(plain, lesson.folder / "model.gguf", lesson.about, lesson.settings.output)
    finally:
        plain.unlink(missing_ok=True)
        shutil.rmtree(merged, ignore_errors=True)
    return {"gguf": "model.gguf"}


def _by_ollama(merged: Path, out: Path) -> None:
    """Sent file by file, made a model of a name of our own, and taken out of its store again."""
    with contextlib.closing(Ollama(address())) as server:
        files = {path.name: sha256_of(path) for path in sorted(merged.iterdir()) if path.is_file()}
        for name, digest in files.items():
            if not server.has_blob(digest):
                server.send_blob(merged / name, digest)
        model = f"{NAMESPACE}/converting-{sha256_of(merged / 'config.json')[:12]}-{os.getpid()}"
        try:
            server.convert(model, files)
            shutil.copyfile(blob_of(server, model), out)
        finally:
            with contextlib.suppress(ProtegeError):
                server.delete(model)


def _by_script(merged: Path, out: Path) -> None:
    script = converter()
    if script is None:
        raise BaseModelError("llama.cpp's converter is gone.", "Put it back on the PATH.")
    command = [sys.executable, script, str(merged), "--outfile", str(out), "--outtype", "f16"]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BaseModelError(f"{script} did not end ({type(error).__name__}).", "Run it by hand.") from None
    if done.returncode != 0 or not out.is_file():
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [""]
        raise BaseModelError(f"{script} could not convert the tuned model: {lines[-1][:300]}", "Run it by hand.")
