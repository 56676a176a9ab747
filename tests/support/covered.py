"""Runs the whole suite and tells how much of the product it ran; fails with it, or below the floor in pyproject.toml.

SlipCover's own command is not used: it replaces os.fork and os._exit so that a forked child writes its coverage as it
ends. A child of a test that is terminated meanwhile, or cannot write, went on with the tests of its parent, and the
parent waited for it without end. Here the lines that run in a child are not seen.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import slipcover

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = [str(folder) for folder in (ROOT / "shared/src", *sorted(ROOT.glob("packages/*/src")))]
LEAST = 10
"""Files that are listed, those with the most missing lines first."""


def main() -> int:
    sys.path.insert(0, str(ROOT))  # as `python -m pytest` does: what a test spawns imports the test's module
    coverage = slipcover.Slipcover(source=PRODUCT)
    product = slipcover.FileMatcher(sources=PRODUCT)
    slipcover.wrap_pytest(coverage, product)
    with slipcover.ImportManager(coverage, product):
        failed = pytest.main(sys.argv[1:])
    enough = told(coverage.get_coverage())
    return int(failed) or (0 if enough else 1)


def told(measured: dict[str, Any]) -> bool:
    """Prints the figures; whether they reach the floor."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    floor = settings["tool"]["slipcover"]["fail_under"]
    files = {name: file["summary"] for name, file in measured["files"].items()}
    for name in sorted(files, key=lambda name: -files[name]["missing_lines"])[:LEAST]:
        print(f"    {files[name]['percent_covered']:5.1f}%  {files[name]['missing_lines']:4} lines missing  {name}")
    total = measured["summary"]["percent_covered"]
    print(f"{total:.1f}% of the product's lines ran in the tests (at least {floor}%)")
    return total >= floor


if __name__ == "__main__":
    sys.exit(main())
