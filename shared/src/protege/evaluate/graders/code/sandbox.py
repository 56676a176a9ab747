"""Runs programs that a model wrote where they can do nothing but compute, or not at all.

Linux on x86-64 only, with Landlock (kernel 5.13) and seccomp: `sandboxed.py` says what a program may still do. It
needs no privileges, container or helper program.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import secrets
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from ....errors import NoSandbox

_INSIDE = Path(__file__).with_name("sandboxed.py")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may use."""

    cpu_s: int = 5
    """Seconds of processor time."""
    wall_s: float = 10.0
    """Seconds of elapsed time."""
    memory_bytes: int = 512 << 20
    """Address space, including the interpreter's."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended."""

    ended: Literal["passed", "failed", "out of time", "killed"]
    """A program "failed" if it raised or exited before its tests were done, ran "out of time" after `wall_s`, and was
    "killed" after `cpu_s` or if it crashed."""

    @property
    def passed(self) -> bool:
        return self.ended == "passed"


def run(program: str, tests: str = "", limits: Limits | None = None) -> Ran:
    """Run a Python program, then tests that raise if it is wrong, in one process that has only the standard library.

    The program cannot write files, read files outside Python's and the system's libraries, reach a network, another
    process or environment variables, or start a process or thread. Its output is discarded. It shares the process with
    its tests, so a program made to deceive them could do so: tests tell what a program does, not what it is for.
    Raises NoSandbox if this machine cannot isolate it.
    """
    require_sandbox()
    return _run(program, tests, limits or Limits())


def require_sandbox() -> None:
    """Raise NoSandbox, with the reason, if this machine cannot isolate programs."""
    if (reason := _missing()) is not None:
        remedy = "Grade without tests, or on Linux, x86-64, with a kernel from 5.13 on that has Landlock and seccomp."
        raise NoSandbox(f"Programs cannot be isolated here: {reason}.", remedy)


@functools.cache
def _missing() -> str | None:
    """Why programs cannot be isolated here; None if a program that does nothing ran isolated."""
    if sys.platform != "linux":
        return f"this is {platform.system()}"
    if platform.machine() != "x86_64":
        return f"the processor is {platform.machine()}"
    try:
        ran = _run("", "", Limits())
    except NoSandbox as error:
        return error.fact.rstrip(".")
    return None if ran.passed else f"a program that does nothing did not pass: {ran.ended}"


def _run(program: str, tests: str, limits: Limits) -> Ran:
    import fcntl  # here because Windows has none

    token = secrets.token_hex(16)
    told = {"token": token, "program": program, "tests": tests, **asdict(limits)}
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as result:
        asked.write(json.dumps(told).encode())
        asked.seek(0)
        fcntl.fcntl(
            result, fcntl.F_SETFL, os.O_APPEND
        )  # so that nothing overwrites what was written before the program ran
        command = [sys.executable, "-I", "-S", "-X", "utf8", str(_INSIDE)]
        try:
            code = subprocess.run(
                command,
                stdin=asked,
                stdout=result,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                timeout=limits.wall_s,
                start_new_session=True,
            ).returncode
        except subprocess.TimeoutExpired:
            code = None
        result.seek(0)
        said = result.read().decode(errors="replace")
    if not said.startswith("isolated"):
        raise NoSandbox(f"{said or 'the interpreter did not start in time'}.")
    if said == f"isolated{token}":
        return Ran("passed")
    return Ran("out of time" if code is None else "failed" if code >= 0 else "killed")
