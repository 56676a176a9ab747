"""Runs each adapter's tests with the oldest and the newest versions of its framework that it claims to support.

    python tests/bench/frameworks_matrix.py                       all adapters, both ends; prints the table
    python tests/bench/frameworks_matrix.py langchain llamaindex  these adapters only
    python tests/bench/frameworks_matrix.py --write               also puts the table into docs/frameworks.md
    python tests/bench/frameworks_matrix.py llamaindex --try llama-index-core==0.14.5
                                                                  one version in between; prints its result only

What an adapter claims stands in its pyproject.toml. Its lower bounds are the oldest end; the newest end is what pip
installs within its bounds, and the table says where a newer version is published that pip could not install. Each end
gets an environment of its own that holds the core without its extras, the adapter and its test tools, installed from
the configured package index. Environments and results are kept in --folder and used again until what they were made
from changes, so that an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/frameworks.md"
START, END = "<!-- frameworks_matrix.py writes from here -->", "<!-- to here -->"

FRAMEWORKS: Mapping[str, Sequence[str]] = {
    "langchain": ("langchain-core", "langchain"),
    "langgraph": ("langgraph", "langchain-core"),
    "llamaindex": ("llama-index-core", "llama-index-instrumentation"),
    "autogen": ("autogen-agentchat", "autogen-core"),
    "clients": ("openai", "anthropic", "google-genai"),
}
"""Adapter → the distributions that make up its framework; the first is the one it is named after."""

NEEDS: Mapping[str, Sequence[str]] = {"langgraph": ("langchain",)}
"""Adapter → the adapters it stands on. What they claim, it claims too."""

TOOLS = ("pytest>=8", "pytest-asyncio>=1")
"""What runs the tests; their other tools are the adapter's `dev` extra."""

EndName = Literal["oldest", "newest"]
ENDS: Sequence[EndName] = ("oldest", "newest")


@dataclass(frozen=True)
class Result:
    """What one adapter's tests said in one environment."""

    versions: Mapping[str, str]
    """Distribution → the version that was installed."""
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    why: str = ""
    """Why no test ran: the last line that pip or pytest wrote."""
    newer: Mapping[str, str] = field(default_factory=dict[str, str])
    """Distribution → the newer version that is published and allowed, and why pip did not install it."""

    @property
    def words(self) -> str:
        if self.why:
            return f"**failed**: {self.why}"
        failed = f"**{self.failed} failed**, " if self.failed else ""
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{failed}{self.passed} passed{skipped}"


def claims(adapter: str) -> dict[str, SpecifierSet]:
    """The versions of its framework's distributions that the adapter claims to support, from its pyproject.toml.

    A requirement of the package itself goes before one of its `dev` extra, and both before those of `NEEDS`.
    """
    bounds = {name: bound for needed in NEEDS.get(adapter, ()) for name, bound in claims(needed).items()}
    project = tomllib.loads((ROOT / f"packages/{adapter}/pyproject.toml").read_text())["project"]
    for line in [*project["optional-dependencies"]["dev"], *project["dependencies"]]:
        requirement = Requirement(line)
        bounds[requirement.name] = requirement.specifier
    return {name: bounds[name] for name in FRAMEWORKS[adapter]}


def lower_bound(bound: SpecifierSet) -> Version:
    return min(Version(specifier.version) for specifier in bound if specifier.operator == ">=")


def requirements(adapter: str, end: EndName) -> list[str]:
    """The adapter's framework at one end. At the newest, pip chooses the newest within the bounds."""
    if end == "newest":
        return [f"{name}{bound}" for name, bound in claims(adapter).items()]
    return [f"{name}=={lower_bound(bound)}" for name, bound in claims(adapter).items()]


def result_of(adapter: str, wanted: Sequence[str], home: Path) -> Result:
    """Install the adapter with its framework as wanted, run its tests, and keep what they said in `home`."""
    kept = home / "result.json"
    sources = _fingerprint(adapter, wanted)
    if kept.exists() and (known := json.loads(kept.read_text()))["sources"] == sources:
        return Result(**known["result"])
    _say(f"{adapter} with {', '.join(wanted)}")
    refusal = _install(adapter, wanted, home)
    result = Result({}, why=refusal) if refusal else _tested(adapter, home)
    kept.write_text(json.dumps({"sources": sources, "result": asdict(result)}))
    _say(f"{adapter}: {result.words}")
    return result


def _install(adapter: str, wanted: Sequence[str], home: Path) -> str:
    """Make the environment, unless it is there already. Returns why it could not be made, "" if it could."""
    *below, own = _folders(adapter)
    arguments = [word for path in below for word in ("-e", str(path))]
    arguments += ["-e", f"{own}[dev]", *TOOLS, *wanted]
    needs = json.dumps([arguments, *(_asked_for(path) for path in _folders(adapter))])
    stamp = home / "installed"
    if stamp.exists() and stamp.read_text() == needs:
        return ""
    stamp.unlink(missing_ok=True)
    home.mkdir(parents=True, exist_ok=True)
    venv.create(home / "env", with_pip=True, clear=True)
    done = _run([_python(home), "-m", "pip", "install", "--quiet", *arguments], log=home / "pip.log")
    if done.returncode:
        return _last_line(done.stderr)
    stamp.write_text(needs)
    return ""


def _asked_for(folder: Path) -> list[Any]:
    """What an installation of the distribution depends on."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"] if folder.parent.name == "packages" else {}
    return [project["dependencies"], extras, project.get("entry-points", {})]


def _tested(adapter: str, home: Path) -> Result:
    script = "import sys, json, importlib.metadata as m; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    versions = json.loads(_run([_python(home), "-c", script, *FRAMEWORKS[adapter]]).stdout)
    report = home / "report.xml"
    report.unlink(missing_ok=True)
    options = ["-p", "no:cacheprovider", f"--junit-xml={report}"]
    done = _run([_python(home), "-m", "pytest", f"packages/{adapter}/tests", *options], log=home / "pytest.log")
    if not report.exists():
        return Result(versions, why=_last_line(done.stdout + done.stderr))
    suites = list(ElementTree.parse(report).getroot().iter("testsuite"))
    tests, failures, errors, skipped = (
        sum(int(suite.get(count, 0)) for suite in suites) for count in ("tests", "failures", "errors", "skipped")
    )
    failed = failures + errors
    return Result(versions, tests - failed - skipped, failed, skipped)


def left_out(adapter: str, result: Result, home: Path) -> Result:
    """The result, with the published versions that are newer than what pip chose, and why it did not choose them."""
    newer: dict[str, str] = {}
    for name, bound in claims(adapter).items():
        newest, chosen = _published(name, bound), result.versions.get(name)
        if chosen is not None and Version(chosen) < newest:
            arguments = ["--dry-run", "--quiet", "--ignore-installed", f"{name}=={newest}"]
            done = _run([_python(home), "-m", "pip", "install", *arguments])
            why = (
                _last_line(done.stderr).removeprefix("ERROR: ") if done.returncode else "another package keeps it away"
            )
            newer[name] = f"{newest}: {why}"
    return replace(result, newer=newer)


def _published(name: str, bound: SpecifierSet) -> Version:
    """The newest version on the package index that the bound allows; no pre-releases."""
    output = _run([sys.executable, "-m", "pip", "index", "versions", name]).stdout
    versions = re.search(r"Available versions: (.+)", output)
    if versions is None:
        raise SystemExit(f"The package index does not say which versions of {name} there are: {output.strip()}")
    return max(bound.filter(Version(version) for version in versions[1].split(", ")))


def _fingerprint(adapter: str, wanted: Sequence[str]) -> str:
    """The hash of all that a result depends on: the requirements, and the files of adapter, core and test support."""
    digest = hashlib.sha256("\n".join(wanted).encode())
    for folder in [*_folders(adapter), ROOT / "tests/support"]:
        for path in sorted(folder.rglob("*")):
            if path.suffix in {".py", ".pyi", ".toml", ".json"}:
                digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()


def _folders(adapter: str) -> list[Path]:
    """The folders of the distributions that are installed, the adapter's own last."""
    return [ROOT / "shared", *(ROOT / "packages" / name for name in (*NEEDS.get(adapter, ()), adapter))]


def _python(home: Path) -> str:
    return str(home / "env/bin/python")


def _run(command: Sequence[str], log: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run it at the top of the repository, without what the caller's shell adds to Python's path."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PROTEGE_HOME")}
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)
    if log is not None:
        log.write_text(done.stdout + done.stderr)
    return done


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no output"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def table(results: Mapping[str, Mapping[EndName, Result]]) -> str:
    """The results in Markdown: a row a distribution, then what the adapter's tests said at each end."""
    lines = ["| adapter | framework | claimed | oldest | newest |", "|---|---|---|---|---|"]
    notes: dict[str, None] = {}
    for adapter, ends in results.items():
        for name, bound in claims(adapter).items():
            cells = (ends[end].versions.get(name, "–") for end in ENDS)
            lines.append(f"| {adapter} | {name} | `{bound_words(bound)}` | {' | '.join(cells)} |")
        lines.append(f"| {adapter} | *its tests* | | {' | '.join(ends[end].words for end in ENDS)} |")
        notes.update(dict.fromkeys(f"{name} {why}" for name, why in ends["newest"].newer.items()))
    if notes:
        lines += ["", "Published and within the bounds, but not installed:", *(f"- {note}" for note in notes)]
    return "\n".join(lines)


def bound_words(bound: SpecifierSet) -> str:
    """The bound as pyproject.toml has it: the lower one first."""
    return ",".join(sorted((str(specifier) for specifier in bound), reverse=True))


def write(markdown: str) -> None:
    """Put the table into docs/frameworks.md, between its markers."""
    before, _, rest = PAGE.read_text().partition(START)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{START}\n{markdown}\n{END}{after}")


def both_ends(adapter: str, folder: Path) -> dict[EndName, Result]:
    results: dict[EndName, Result] = {}
    for end in ENDS:
        home = folder / f"{adapter}-{end}"
        results[end] = result_of(adapter, requirements(adapter, end), home)
    return {**results, "newest": left_out(adapter, results["newest"], folder / f"{adapter}-newest")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("adapters", nargs="*", metavar="ADAPTER", help=f"of {', '.join(FRAMEWORKS)}; without one, all")
    parser.add_argument("--write", action="store_true", help="put the table into docs/frameworks.md (all adapters)")
    parser.add_argument("--try", dest="wanted", nargs="+", metavar="NAME==VERSION", help="run at these versions only")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / f"protege-matrix-{os.getuid()}")
    given = parser.parse_args()
    adapters: list[str] = given.adapters or list(FRAMEWORKS)
    if unknown := set(adapters) - set(FRAMEWORKS):
        parser.error(f"There is no adapter {', '.join(sorted(unknown))}. There are: {', '.join(FRAMEWORKS)}.")
    if given.write and set(adapters) != set(FRAMEWORKS):
        parser.error("--write needs the results of all adapters: name none.")
    os.nice(10)
    if given.wanted:
        for adapter in adapters:
            print(f"{adapter}: {result_of(adapter, given.wanted, given.folder / f'{adapter}-tried').words}")
        return
    results = {adapter: both_ends(adapter, given.folder) for adapter in adapters}
    print(table(results))
    if given.write:
        write(table(results))
    if any(result.failed or result.why for ends in results.values() for result in ends.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
