"""The distributions as users get them: built, installed from an index into a clean environment, and run there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import protege
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
SOURCES = {"protege": ROOT / "shared"} | {
    f"protege-{folder.name}": folder for folder in sorted((ROOT / "packages").iterdir()) if folder.is_dir()
}
ADAPTERS = tuple(name for name in SOURCES if name != "protege")

ASK = {
    "protege-langchain": """
        from protege_langchain import ChatProtege
        from protege_langchain.testing import ScriptedTeacher
        print(ChatProtege(ScriptedTeacher({"ping": "pong"}), home=home).invoke("ping").content)
    """,
    "protege-langgraph": """
        from langchain_core.messages import HumanMessage
        from langgraph.graph import START, MessagesState, StateGraph
        from protege_langchain.testing import ScriptedTeacher
        from protege_langgraph import route
        model = ScriptedTeacher({"ping": "pong"})
        def think(state):
            return {"messages": [model.invoke(state["messages"])]}
        graph = StateGraph(MessagesState)
        graph.add_node("think", think)
        graph.add_edge(START, "think")
        routed = route(graph.compile(), home=home)
        print(routed.invoke({"messages": [HumanMessage("ping")]})["messages"][-1].content)
    """,
    "protege-llamaindex": """
        from protege_llamaindex import ProtegeLLM
        from protege_llamaindex.testing import ScriptedLLM
        print(ProtegeLLM(ScriptedLLM(answers={"ping": "pong"}), home=home).complete("ping").text)
    """,
    "protege-autogen": """
        import asyncio
        from autogen_core.models import UserMessage
        from protege_autogen import ProtegeChatCompletionClient
        from protege_autogen.testing import ScriptedClient
        client = ProtegeChatCompletionClient(ScriptedClient({"ping": "pong"}), home=home)
        print(asyncio.run(client.create([UserMessage(content="ping", source="user")])).content)
    """,
    "protege-clients": """
        import httpx
        import openai
        import protege
        from protege_clients.testing import ScriptedProvider
        http = httpx.Client(transport=httpx.MockTransport(ScriptedProvider({"ping": "pong"})))
        client = protege.wrap(openai.OpenAI(api_key="none", http_client=http), home)
        asked = [{"role": "user", "content": "ping"}]
        print(client.chat.completions.create(model="m", messages=asked).choices[0].message.content)
    """,
}
"""A program for each adapter: one call through it, answered by its own scripted teacher."""

TOLD = """
import json, sys
from protege import Workspace
from protege.collect import drain
workspace = Workspace(home)
drain(workspace)
[call] = workspace.calls()
files = {name: module.__file__ for name, module in sys.modules.items() if name.split(".")[0].startswith("protege")}
print(json.dumps({"asked": call.request.messages[-1]["content"], "framework": call.framework, "files": files}))
"""
"""What the program recorded, and from which files it ran."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment with our distributions from the index; `run` runs its programs outside the repository."""

    folder: Path
    elsewhere: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def run(self, *command: str | Path) -> str:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PROTEGE", "PIP_"))}
        done = subprocess.run(
            command, cwd=self.elsewhere, env=kept, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist of each distribution and the wheel that was built from that sdist."""
    folder = tmp_path_factory.mktemp("index")
    for source in SOURCES.values():
        build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(source)]
        done = subprocess.run(build, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def environment(index: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Other people's packages are lent by this environment, without ours; ours come from the index and nowhere else."""
    folder, lent = tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("lent")
    for packages in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for path in Path(packages).iterdir():
            if "protege" not in path.name and path.suffix != ".pth":
                (lent / path.name).symlink_to(path)
    venv.create(folder)
    env = Environment(folder, tmp_path_factory.mktemp("elsewhere"))
    own = env.run(env.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    (Path(own) / "lent.pth").write_text(f"{lent}\n")
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--find-links")
    env.run(env.python, *install, index, *ADAPTERS)
    return env


@pytest.mark.parametrize("name", SOURCES)
def test_wheel_and_sdist_hold_every_file_of_the_package_and_the_licence(index: Path, name: str):
    package = next((SOURCES[name] / "src").iterdir())
    files = {path.relative_to(package.parent).as_posix() for path in package.rglob("*") if path.is_file()}
    files = {file for file in files if "__pycache__" not in file}
    stem = f"{name.replace('-', '_')}-{protege.__version__}"
    wheel = set(zipfile.ZipFile(index / f"{stem}-py3-none-any.whl").namelist())
    with tarfile.open(index / f"{stem}.tar.gz") as archive:
        sdist = {member.removeprefix(f"{stem}/") for member in archive.getnames()}
    assert f"{package.name}/py.typed" in files
    assert files <= wheel
    assert {f"src/{file}" for file in files} | {"LICENSE", "NOTICE", "README.md"} <= sdist
    assert {f"{stem}.dist-info/licenses/{file}" for file in ("LICENSE", "NOTICE")} <= wheel


def test_the_core_brings_its_pages_its_stubs_and_its_catalogue(index: Path):
    wheel = zipfile.ZipFile(index / f"protege-{protege.__version__}-py3-none-any.whl").namelist()
    assert {Path(name).suffix for name in wheel} >= {".css", ".html", ".js", ".pyi", ".toml", ".typed"}


@pytest.mark.parametrize("name", SOURCES)
def test_a_distribution_tells_what_it_is(environment: Environment, name: str):
    told = environment.run(environment.python, "-c", f"import importlib.metadata as m; print(m.metadata({name!r}))")
    assert f"\nVersion: {protege.__version__}\n" in told
    assert "\nLicense-Expression: Apache-2.0\n" in told
    assert "\nClassifier: Typing :: Typed\n" in told
    assert "\nSummary: " in told and "\nKeywords: " in told and "\nAuthor: " in told


def test_the_commands_work(environment: Environment):
    command = environment.folder / "bin" / "protege"
    assert "improve" in environment.run(command, "--help")
    checkup = json.loads(environment.run(command, "doctor", "--json"))
    found = {finding["name"]: finding for finding in checkup["findings"]}
    assert all(found[name]["ok"] and protege.__version__ in found[name]["fact"] for name in ADAPTERS)


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_records_a_call_there(environment: Environment, name: str):
    home = environment.elsewhere / name
    lines = ASK[name].strip("\n").splitlines()
    program = "\n".join([f"home = {str(home)!r}", *(line.removeprefix(" " * 8) for line in lines), TOLD])
    answer, told = environment.run(environment.python, "-c", program).splitlines()
    assert answer == "pong"
    told = json.loads(told)
    assert told["asked"] == "ping"
    assert told["framework"] == ("openai" if name == "protege-clients" else name.removeprefix("protege-"))
    assert {name.replace("-", "_"), "protege"} <= told["files"].keys()
    assert all(Path(file).is_relative_to(environment.folder) for file in told["files"].values())


@pytest.mark.parametrize("name", SOURCES)
def test_the_version_stands_in_one_place_and_suits_what_our_distributions_ask_of_each_other(name: str):
    project = tomllib.loads((SOURCES[name] / "pyproject.toml").read_text())
    assert "version" not in project["project"]
    assert (SOURCES[name] / project["tool"]["hatch"]["version"]["path"]).resolve() == Path(protege.__file__)
    assert distribution(name).version == protege.__version__
    ours = [need for need in map(Requirement, project["project"]["dependencies"]) if need.name in SOURCES]
    assert len(ours) == (0 if name == "protege" else 1)
    assert all(need.specifier.contains(protege.__version__) for need in ours)


def test_the_licence_is_the_same_everywhere():
    texts = {(source / "LICENSE").read_text() for source in SOURCES.values()}
    assert len(texts) == 1
    assert "Apache License" in texts.pop()


def test_set_up_pins_every_tool_that_the_checks_call():
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "shared/constraints.txt").read_text(), re.MULTILINE)
    assert pinned == sorted(pinned, key=str.lower)
    dev = tomllib.loads((ROOT / "shared/pyproject.toml").read_text())["project"]["optional-dependencies"]["dev"]
    assert {canonicalize_name(Requirement(need).name) for need in dev} <= {canonicalize_name(name) for name in pinned}


def test_the_top_level_holds_what_was_agreed_and_dot_files():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("this is no checkout of the repository")
    top = {line.split("/")[0] for line in tracked.stdout.splitlines()}
    assert {name for name in top if not name.startswith(".")} == {
        "pyproject.toml", "README.md", "shared", "packages", "tests", "examples", "docs"
    }  # fmt: skip
