"""What could be learnt of an agent's recorded calls, kind by kind, however few there are of each.

    python tests/bench/kinds.py FILE.jsonl[.gz] [--least 5] [--tests FIELD] [--json]

Rows are grouped by their field `task`. Of each kind with --least calls or more: what `protege improve` says to its
calls (a head or a pointer, no base model; coverage is what is certified at ε = δ = .05), and what its answers are made
of: "again" is the share of whole answers that another call of the kind has too, which is the most that choosing among
known answers can come to. Of JSON, also in tags or a fence, the values are counted: "chosen" stand at the same place
in another call's answer, "copied" stand in the prompt, the others are "made". Of Python in fences: how many blocks
parse, and how many run to their end in the sandbox, which has the standard library alone; with --tests also the tests
in that field.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from protege import Settings, Workspace, flywheel
from protege.call import Call, text_of
from protege.chat.answer import answer_text
from protege.common.wrappers import bare
from protege.evaluate.graders.code.sandbox import run
from protege.loop.tasks import find_tasks
from protege.tune import TuneSettings

_BLOCK = re.compile(r"```(?:python|py)\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Kind:
    """What one kind's calls show. tasks: how many discovery makes of them, with the output of the largest. values: of
    JSON, the shares chosen, copied and made; None where answers are not JSON. blocks, parse, end: of Python."""

    name: str
    calls: int
    tasks: int
    output: str
    wrapped: bool
    again: float
    values: tuple[float, float, float] | None
    blocks: int
    parse: int
    end: int
    coverage: float
    said: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--least", type=int, default=5)
    parser.add_argument("--tests", default="")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    kinds: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with gzip.open(options.file, "rb") if options.file.suffix == ".gz" else options.file.open("rb") as lines:
        for row in map(orjson.loads, lines):
            kinds[row["task"]].append(row)
    found: list[Kind] = []
    for name, rows in sorted(kinds.items(), key=lambda kind: -len(kind[1])):
        if len(rows) >= options.least:
            found.append(kind_of(name, rows, options.tests))
            if not options.json:
                print(line(found[-1]) if len(found) > 1 else f"{HEAD}\n{line(found[-1])}", flush=True)
    if options.json:
        print(orjson.dumps([asdict(kind) for kind in found]).decode())
    else:
        few = [rows for rows in kinds.values() if len(rows) < options.least]
        print(f"\n{len(few)} other kinds have {sum(map(len, few))} calls, fewer than {options.least} each.")


def kind_of(name: str, rows: Sequence[Mapping[str, Any]], tests: str = "") -> Kind:
    """One kind, in a home of its own."""
    fields = ("messages", "response", "tools", "model")
    calls = [
        Call.from_record({"id": f"{number:06}", **{field: row[field] for field in fields if row.get(field)}})
        for number, row in enumerate(rows)
    ]
    answers = [answer_text(call.response) for call in calls if call.response is not None]
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder) / "home")
        workspace.add_calls(calls)
        tasks = sorted(find_tasks(workspace), key=lambda task: -task.calls)
        method = "head" if not tasks or tasks[0].kind in ("label", "text") else "pointer"
        settings = Settings(tune=TuneSettings(method=method, embedder="none"), compete=False)
        improved = flywheel.improve(workspace, [tasks[0].id], settings) if tasks else []
        workspace.close()
    certificate = improved[0].figures.certificate if improved and improved[0].figures else None
    counted = Counter(answers)
    programs = [(block, row) for answer, row in zip(answers, rows, strict=False) for block in _BLOCK.findall(answer)]
    parsing = [(block, row) for block, row in programs if _parses(block)]
    return Kind(
        name,
        len(calls),
        len(tasks),
        tasks[0].kind if tasks else "–",
        bool(tasks and any(tasks[0].wrapper)),
        sum(counted[answer] > 1 for answer in answers) / max(1, len(answers)),
        values_of(calls),
        len(programs),
        len(parsing),
        sum(run(block, str(row.get(tests, "")) if tests else "").passed for block, row in parsing),
        certificate.coverage if certificate and certificate.threshold is not None else 0.0,
        improved[0].reason if improved else "No task was found.",
    )


def values_of(calls: Sequence[Call]) -> tuple[float, float, float] | None:
    """Of all values in JSON answers, the shares that were chosen, copied and made; None if fewer than half are JSON."""
    found: list[tuple[str, set[tuple[str, str]]]] = []
    for call in calls:
        if call.response is None:
            continue
        try:
            value = orjson.loads(bare(answer_text(call.response)))
        except orjson.JSONDecodeError:
            continue
        if isinstance(value, dict | list):
            prompt = "\n".join(text_of(message) for message in call.request.messages)
            found.append((prompt, set(leaves(value))))
    if 2 * len(found) < len(calls) or not any(values for _, values in found):
        return None
    counted = Counter(value for _, values in found for value in values)
    chosen = sum(counted[value] > 1 for _, values in found for value in values)
    rest = [(prompt, value) for prompt, values in found for value in values if counted[value] == 1]
    copied = sum(len(text) > 2 and text in prompt for prompt, (_, text) in rest)
    n = sum(len(values) for _, values in found)
    return chosen / n, copied / n, (len(rest) - copied) / n


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The values within JSON, each with its place; items of a list share one."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, f"{path}[]")
    else:
        yield path, str(value)


def _parses(program: str) -> bool:
    try:
        ast.parse(program)
    except (SyntaxError, ValueError):
        return False
    return True


HEAD = (
    "| kind | calls | output | again | values chosen, copied, made | Python blocks, parse, end | certified | why |\n"
    "|---|---|---|---|---|---|---|---|"
)


def line(kind: Kind) -> str:
    output = f"{kind.output}, wrapped" if kind.wrapped else kind.output
    values = ", ".join(f"{share:.2f}" for share in kind.values) if kind.values else ""
    blocks = f"{kind.blocks}, {kind.parse}, {kind.end}" if kind.blocks else ""
    why = kind.said.partition(". ")[0][:110]
    cells = (kind.name, kind.calls, output, f"{kind.again:.2f}", values, blocks, f"{kind.coverage:.2f}", why)
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
