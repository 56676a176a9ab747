"""AutoGen's own tests with its clients bare, and with each of them wrapped: the results side by side.

    python packages/autogen/tests/conformance.py

It takes the tests out of the source distributions of autogen-ext and autogen-agentchat, and the packages that they
need beyond this environment into one of its own, both under .downloads/. Ends with 1 where a result differs that
EXPECTED does not name.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve()
WORK = HERE.parents[3] / ".downloads" / "autogen-conformance"
VERSION = "0.7.5"
NEEDED = (
    # The tests give an empty key, which later versions of openai refuse.
    "openai==1.99.9",
    "anthropic==0.64.0",
    "azure-core==1.35.0",
    "azure-identity==1.24.0",
    "cffi==1.17.1",
    "cryptography==45.0.6",
    "docstring-parser==0.17.0",
    "httpx-sse==0.4.1",
    "mcp==1.23.3",
    "msal==1.33.0",
    "msal-extensions==1.3.1",
    "pydantic-settings==2.10.1",
    "pycparser==2.22",
    "pyjwt==2.10.1",
    "python-dotenv==1.1.1",
    "python-multipart==0.0.20",
    "sse-starlette==2.4.1",
    "starlette==0.47.2",
    "uvicorn==0.35.0",
)
SUITES = {
    "autogen_ext": [
        "models/test_openai_model_client.py",
        "models/test_reply_chat_completion_client.py",
        "models/test_chat_completion_cache.py",
    ],
    "autogen_agentchat": ["."],
}
OF_ANOTHER_CLASS = (
    "OpenAIChatCompletionClient.load_component refuses what is of another class: ChatCompletionClient's takes it"
)
EXPECTED = {
    "test_openai_chat_completion_client_serialization": OF_ANOTHER_CLASS,
    "test_reasoning_effort_parameter": OF_ANOTHER_CLASS,
    "test_structured_output_using_response_format": OF_ANOTHER_CLASS,
    "test_chat_completion_context_declarative": "it asserts the provider in a dump, which is the wrapping client's",
}
"""Tests whose result differs, and why."""

PLUGIN = """
import os, pathlib, tempfile
import autogen_ext.models.openai as of_openai
import autogen_ext.models.replay as of_replay
from protege_autogen import ProtegeChatCompletionClient

home = pathlib.Path(tempfile.mkdtemp()) / "home"


def wrapping(kind):
    def make(cls, *arguments, **options):
        client = kind.__new__(kind)
        client.__init__(*arguments, **options)
        return ProtegeChatCompletionClient(client, home)

    @classmethod
    def bare(cls, config):  # inside the configuration of a wrapped one
        return kind._from_config.__func__(kind, config)

    body = {"__new__": make, "_from_config": bare, "__module__": kind.__module__, "__doc__": kind.__doc__}
    return type(kind.__name__, (kind,), body)


of_openai.OpenAIChatCompletionClient = wrapping(of_openai.OpenAIChatCompletionClient)
of_replay.ReplayChatCompletionClient = wrapping(of_replay.ReplayChatCompletionClient)


def pytest_sessionfinish():
    from protege import Workspace
    from protege.collect import drain

    workspace = Workspace(home)
    drain(workspace)
    calls = list(workspace.calls())
    workspace.close()
    pathlib.Path(os.environ["RECORDED"]).write_text(str(len(calls)))
"""


def main() -> int:
    sources = fetched()
    python = environment()
    differing = 0
    for name, files in SUITES.items():
        results = {way: ran(python, sources / f"{name}-{VERSION}", files, way) for way in ("bare", "wrapped")}
        print(f"\n{name} {VERSION}")
        for way, (found, recorded) in results.items():
            counts = ", ".join(f"{number} {outcome}" for outcome, number in sorted(Counter(found.values()).items()))
            print(f"  {way:8} {counts}" + (f"; {recorded} calls recorded" if recorded else ""))
        bare, wrapped = (found for found, _ in results.values())
        for test in sorted(bare.keys() | wrapped.keys()):
            if bare.get(test) != wrapped.get(test):
                why = EXPECTED.get(test.rsplit("::", 1)[-1])
                differing += why is None
                print(f"  differs: {test}: {bare.get(test)} → {wrapped.get(test)} ({why or 'not expected'})")
    return 1 if differing else 0


def fetched() -> Path:
    """The folder of the source distributions, unpacked."""
    names = [name.replace("_", "-") for name in SUITES]
    WORK.mkdir(parents=True, exist_ok=True)
    if not all((WORK / f"{name}-{VERSION}").exists() for name in SUITES):
        wanted = [f"{name}=={VERSION}" for name in names]
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ",".join(names), *wanted]
        subprocess.run(command, cwd=WORK, check=True)
        for archive in WORK.glob("*.tar.gz"):
            with tarfile.open(archive) as packed:
                packed.extractall(WORK, filter="data")
    return WORK


def environment() -> Path:
    """The interpreter of an environment that has this one's packages and the needed ones before them."""
    folder = WORK / "venv"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=False)
        found = subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True,
            text=True,
            check=True,
        )
        site = Path(found.stdout.strip())
        # addsitedir, since this environment's packages may be installed by links of their own.
        (site / "outer.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site), *NEEDED]
        subprocess.run(command, check=True)
    return python


def ran(python: Path, source: Path, files: list[str], way: str) -> tuple[dict[str, str], int]:
    """The outcome of each test, and how many calls were recorded."""
    report, recorded = WORK / f"{source.name}-{way}.xml", WORK / "recorded"
    recorded.unlink(missing_ok=True)
    (WORK / "protege_wrapping.py").write_text(PLUGIN)
    keyless = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    settings = {"PYTHONPATH": str(WORK), "RECORDED": str(recorded), "PYTHONDONTWRITEBYTECODE": "1"}
    plugin = ["-p", "protege_wrapping"] if way == "wrapped" else []
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "asyncio_mode=auto",
        "--continue-on-collection-errors",
        f"--junitxml={report}",
        *plugin,
    ]
    subprocess.run(
        [python, "-m", "pytest", *options, *files],
        cwd=source / "tests",
        env={**keyless, **settings},
        stdout=(WORK / f"{source.name}-{way}.log").open("w"),
        stderr=subprocess.STDOUT,
        check=False,
    )
    tests = ElementTree.parse(report).iter("testcase")
    found = {f"{test.get('classname')}::{test.get('name')}": _outcome(test) for test in tests}
    return found, int(recorded.read_text()) if recorded.exists() else 0


def _outcome(test: ElementTree.Element) -> str:
    for tag, outcome in (("failure", "failed"), ("error", "error"), ("skipped", "skipped")):
        if test.find(tag) is not None:
            return outcome
    return "passed"


if __name__ == "__main__":
    sys.exit(main())
