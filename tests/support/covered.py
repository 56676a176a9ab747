"""Runs the whole suite in two processes at once, and tells how much of the product it ran; fails with it, or below the
floor in pyproject.toml.

    python tests/support/covered.py [arguments for pytest]

SlipCover's own command is not used: it replaces os.fork and os._exit so that a forked child writes its coverage as it
ends. A child of a test that is terminated meanwhile, or cannot write, went on with the tests of its parent, and the
parent waited for it without end. Here the lines that run in a child are not seen.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import slipcover

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = [str(folder) for folder in (ROOT / "shared/src", *sorted(ROOT.glob("packages/*/src")))]
FIRST = (
    *("packages", "shared/tests/tune", "shared/tests/serve", "shared/tests/measure", "shared/tests/ollama"),
    *("shared/tests/cli", "shared/tests/cluster", "shared/tests/curate"),
)
"""The tests of one of the processes: of the frameworks, those that run models, and some more. The other has all others,
which take about as long."""
PARTS = (FIRST, ("tests", "shared/tests", *(f"--ignore={folder}" for folder in FIRST)))
LEAST = 10
"""Files that are listed, those with the most missing lines first."""


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--part"]:
        return part(int(arguments[1]), Path(arguments[2]), arguments[3:])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        failed = list(run(folder, arguments))
        lines = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    enough = len(lines) == len(PARTS) and told(together(lines))
    return max(failed) or (0 if enough else 1)


def run(folder: Path, arguments: list[str]) -> Iterable[int]:
    """The exit status of each process. What the first prints is seen as it comes, that of the other at its end."""
    command = [sys.executable, __file__, "--part"]
    with (folder / "output").open("w+") as output:
        other = subprocess.Popen(
            [*command, "1", str(folder / "1.json"), *arguments], stdout=output, stderr=output, cwd=ROOT
        )
        try:
            yield subprocess.call([*command, "0", str(folder / "0.json"), *arguments], cwd=ROOT)
            yield other.wait()
        finally:
            other.kill()
        output.seek(0)
        print(output.read(), flush=True)


def part(number: int, out: Path, arguments: list[str]) -> int:
    """Run one part of the suite in this process, and write which lines of the product it ran."""
    sys.path.insert(0, str(ROOT))  # as `python -m pytest` does: what a test spawns imports the test's module
    coverage = slipcover.Slipcover(source=PRODUCT)
    product = slipcover.FileMatcher(sources=PRODUCT)
    slipcover.wrap_pytest(coverage, product)
    with slipcover.ImportManager(coverage, product):
        failed = pytest.main([*PARTS[number], *arguments])
    files: dict[str, Any] = coverage.get_coverage()["files"]
    out.write_text(json.dumps({name: [file["executed_lines"], file["missing_lines"]] for name, file in files.items()}))
    return int(failed)


def together(parts: list[dict[str, list[list[int]]]]) -> dict[str, tuple[int, int]]:
    """The number of lines that ran and that did not, by file, in all processes."""
    ran: dict[str, set[int]] = {}
    known: dict[str, set[int]] = {}
    for files in parts:
        for name, (executed, missing) in files.items():
            ran.setdefault(name, set()).update(executed)
            known.setdefault(name, set()).update(executed, missing)
    return {name: (len(ran[name]), len(known[name] - ran[name])) for name in known}


def told(files: dict[str, tuple[int, int]]) -> bool:
    """Prints the figures; whether they reach the floor."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    floor = settings["tool"]["slipcover"]["fail_under"]
    for name in sorted(files, key=lambda name: -files[name][1])[:LEAST]:
        ran, missing = files[name]
        print(f"    {100 * ran / (ran + missing):5.1f}%  {missing:4} lines missing  {name}")
    ran, missing = (sum(counts) for counts in zip(*files.values(), strict=True))
    total = 100 * ran / max(1, ran + missing)
    print(f"{total:.1f}% of the product's lines ran in the tests (at least {floor}%)")
    return total >= floor


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
