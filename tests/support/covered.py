"""Tells how much of the product the tests ran, and fails below the floor in pyproject.toml.

`python tests/support/covered.py FILE` reads SlipCover's JSON report. Lines that run in a child process are not seen.
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

LEAST = 10
"""Files that are listed, those with the most missing lines first."""


def main(report: str) -> int:
    measured = json.loads(Path(report).read_bytes())
    settings = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    floor = settings["tool"]["slipcover"]["fail_under"]
    files = {name: file["summary"] for name, file in measured["files"].items()}
    for name in sorted(files, key=lambda name: -files[name]["missing_lines"])[:LEAST]:
        print(f"    {files[name]['percent_covered']:5.1f}%  {files[name]['missing_lines']:4} lines missing  {name}")
    total = measured["summary"]["percent_covered"]
    print(f"{total:.1f}% of the product's lines ran in the tests (at least {floor}%)")
    return 0 if total >= floor else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
