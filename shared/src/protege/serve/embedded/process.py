"""One child process with one model file in memory: started, watched, started again, stopped."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from ...errors import BaseModelError, EngineError
from .sockets import new_socket, remove_socket

START_S = 120.0
"""A model of several GB from a cold disk takes about a minute."""
LASTING_S = 600.0
"""A server that dies again may be restarted if it ran at least this long since its last restart."""
SPINS = "300"
"""How long a thread of the model spins before it sleeps, waiting for the others. Left at OpenMP's default, one busy
core stalls every matrix product: two threads and two other busy processes on two cores, 20 tokens of SmolLM2-135M:
32,500 ms by default, 3,600 ms at 1000, 1,900 ms at 300. On idle cores 335 ms for all of these, 520 ms at 100."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one child has in memory."""

    model: str
    """The path of its GGUF file."""
    loras: tuple[str, ...]
    """The paths of LoRA weights over it."""
    context: int
    """Tokens of a prompt and its answer."""
    batch: int
    """Tokens of a prompt that are computed at once."""
    parallel: int
    """Answers at once, each with a whole context."""
    threads: int
    """Threads that compute."""


class ServerProcess:
    """A running child. address: socket and token; another pair when it is started again."""

    def __init__(self, load: Load, home: Path, *, start_s: float = START_S) -> None:
        """Start it and wait until it can answer. home: of the workspace. Raises BaseModelError, EngineError."""
        self._load = load
        self._home = home
        self._start_s = start_s
        self._lock = threading.Lock()
        self._closed = False
        self._mender: threading.Thread | None = None
        self._mended_s: float | None = None
        self.starts = 0
        self._begin()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def mend(self, starts: int, timeout_s: float) -> None:
        """Start a dead server again, once, unless another thread does or did. `starts`: how many the caller knew of.

        Raises EngineError if the server lives, was mended lately, or is not ready within `timeout_s`.
        """
        with self._lock:
            if self.starts != starts:
                return
            if self._mender is None:
                self._check_mendable()
                self._mender = threading.Thread(target=self._begin_again, name="protege-mend", daemon=True)
                self._mender.start()
            mender = self._mender
        mender.join(timeout_s)
        if self.starts == starts:
            raise EngineError("The engine died, and is not back yet.")

    def close(self) -> None:
        with self._lock:
            self._closed = True
        _stop(self._process)
        remove_socket(self.address[0])

    def _check_mendable(self) -> None:
        try:
            self._process.wait(0.5)  # its socket closes a moment before it is gone
        except subprocess.TimeoutExpired:
            raise EngineError("The engine closed the connection.") from None
        if self._closed:
            raise EngineError("The engine is closed.")
        if self._mended_s is not None and time.monotonic() - self._mended_s < LASTING_S:
            raise EngineError("The engine died again after it was started again.", "`protege doctor` looks for causes.")

    def _begin_again(self) -> None:
        try:
            self._mended_s = time.monotonic()
            self._begin()
        except (EngineError, BaseModelError):
            pass  # `starts` is unchanged, which is what the waiting callers go by
        finally:
            self._mender = None

    def _begin(self) -> None:
        token, path = secrets.token_urlsafe(32), new_socket(self._home)
        config = {**asdict(self._load), "socket": str(path), "token": token, "parent": os.getpid()}
        command = [sys.executable, "-P", "-m", "protege.serve.embedded.child"]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            start_new_session=True,  # Ctrl-C is for the parent, which then closes stdin
        )
        log: deque[str] = deque(maxlen=40)
        drain = threading.Thread(target=_drain, args=(process, log), name="protege-engine-log", daemon=True)
        drain.start()
        try:
            ready = self._ready(process, orjson.dumps(config) + b"\n")
        except BaseException:
            _stop(process)
            remove_socket(path)
            raise
        if ready is None:
            _stop(process)
            remove_socket(path)
            drain.join(2.0)
            raise _failure(process.returncode, log)
        with self._lock:
            if self._closed:
                _stop(process)
            if self.starts:
                remove_socket(self.address[0])
            self._process, self.address, self.library = process, (path, token), ready["library"]
            self.starts += 1

    def _ready(self, process: subprocess.Popen[bytes], config: bytes) -> dict[str, Any] | None:
        """What the child reports; None if it died."""
        if process.stdin is None or process.stdout is None:
            raise EngineError("The engine's process has no pipes.")
        try:
            process.stdin.write(config)
            process.stdin.flush()
        except BrokenPipeError:
            return None
        readable, _, _ = select.select([process.stdout], [], [], self._start_s)
        if not readable:
            raise EngineError(
                f"The engine was not ready within {self._start_s:.0f} s.", "Is the machine out of memory?"
            )
        line = process.stdout.readline()
        return orjson.loads(line) if line else None


def _environment() -> dict[str, str]:
    # AIP_*: with AIP_MODE set, llama.cpp's server takes its port and paths from the environment.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIP_")}
    return {**inherited, "GOMP_SPINCOUNT": SPINS}


def _drain(process: subprocess.Popen[bytes], log: deque[str]) -> None:
    if process.stderr is not None:
        for line in process.stderr:
            log.append(line.decode(errors="replace").rstrip())


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    process.terminate()
    try:
        process.wait(3.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _failure(code: int | None, log: deque[str]) -> EngineError | BaseModelError:
    """The reason, from the first line that llama.cpp marks as an error; later ones only repeat that there was one."""
    errors = [line.split(" E ", 1)[-1].strip() for line in log if " E " in line or "error" in line.lower()]
    reason = " ".join((errors[0] if errors else f"its process ended with {code}").split())[:300]
    if any("model" in line or "gguf" in line.lower() for line in errors):
        return BaseModelError(f"The model cannot be loaded: {reason}.", "Tune again, or fetch the file again.")
    return EngineError(f"The engine did not start: {reason}.", "`protege doctor` looks for causes.")
