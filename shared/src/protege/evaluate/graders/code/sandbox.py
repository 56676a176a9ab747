"""Programs that a model wrote, run where they can do nothing but compute; or not run at all.

Linux on x86-64 only, with Landlock (kernel 5.13) and seccomp: `sandboxed.py` says what a program may still do. No
right, container or helper program is needed.
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
    """cpu_s, wall_s: seconds of processor time and of time. memory_bytes: address space, with the interpreter's."""

    cpu_s: int = 5
    wall_s: float = 10.0
    memory_bytes: int = 512 << 20


@dataclass(frozen=True, slots=True)
class Ran:
    """ended: "failed" is that it raised, or left before its tests' end; "out of time" is wall_s, "killed" is cpu_s or a
    crash."""

    ended: Literal["passed", "failed", "out of time", "killed"]

    @property
    def passed(self) -> bool:
        return self.ended == "passed"


def run(program: str, tests: str = "", limits: Limits | None = None) -> Ran:
    """Run a Python program, then tests that raise where it is wrong, in one process of the standard library alone.

    It can neither write a file, nor read one outside Python's and the system's libraries, nor reach a network, another
    process or the environment's variables, nor start a process or thread. What it prints is thrown away. It shares the
    process with its tests, so that one made to deceive them could: tests tell what a program does, not what it is for.
    Raises NoSandbox.
    """
    require_sandbox()
    return _run(program, tests, limits or Limits())


def require_sandbox() -> None:
    """Raises NoSandbox, with the reason, where programs cannot be isolated here."""
    if (reason := _missing()) is not None:
        remedy = "Grade without tests, or on Linux, x86-64, with a kernel from 5.13 on that has Landlock and seccomp."
        raise NoSandbox(f"Programs cannot be isolated here: {reason}.", remedy)


@functools.cache
def _missing() -> str | None:
    """Why programs cannot be isolated here, as far as can be known beforehand; None where one that does nothing was."""
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
    import fcntl  # here: Windows has none

    token = secrets.token_hex(16)
    told = {"token": token, "program": program, "tests": tests, **asdict(limits)}
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as result:
        asked.write(json.dumps(told).encode())
        asked.seek(0)
        fcntl.fcntl(result, fcntl.F_SETFL, os.O_APPEND)  # what was said before the program ran stays in its place
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
