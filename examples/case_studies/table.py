"""Shares of the three agents' calls, from what their studies left in a folder, each with its command."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

COMMANDS = {
    "metagpt": "bash examples/case_studies/metagpt/run.sh",
    "open-operator": "bash examples/case_studies/open_operator/run.sh --checkout PATH",
    "cradle": "bash examples/case_studies/cradle/run.sh --checkout PATH",
}


def main(folder: Path) -> None:
    print("| agent | calls recorded | call sites | with a name | text alone | answered by specialists | command |")
    print("|---|---|---|---|---|---|---|")
    for agent, command in COMMANDS.items():
        file = folder / f"{agent}.json"
        if file.exists():
            print(f"| {agent} | {' | '.join(cells(json.loads(file.read_text())))} | `{command}` |")


def cells(figures: dict[str, Any]) -> list[str]:
    calls, answered = figures["calls"], figures["answered"]
    return [
        f"{calls} of {answered}" if answered is not None else str(calls),
        str(figures["sites"]),
        share(figures["named"], calls),
        share(figures["text_alone"], calls),
        f"{figures['by_specialists']:.1%}",
    ]


def share(some: int, calls: int) -> str:
    return f"{some} of {calls}, {some / calls:.0%}" if calls else "0"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
