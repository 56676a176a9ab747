"""Protégé's heads and taggers beside other tools that answer an agent's calls locally, on the same calls in one run.

    python tests/bench/arena.py FILE.jsonl[.gz]… [--task T]… [--splits 3] [--every N] [--json]

Rows are grouped by their field `task`, by which nothing that is measured picks anything. Of each task four fifths of
the calls, in random order, come in; then a tool learns, and is asked the last fifth, which it never saw. With --every
they come in portions, and it learns after each as it does by itself; each look at calls costs Protégé a part of its δ,
so that its first answers come sooner and are fewer. Each has ε = .05, and δ = .05 where it gives a bound: Protégé with
what answers in the agent's process (a head, a tagger or a pointer, whichever saves most) and its route; ThinkLess
(habits) with target .95, without probation; TRACER with target .95 on the embedding that Protégé has packaged, without
the slowest of its models. A tool that is not installed is left out: `pip install thinkless tracer-llm`, or their folder
on PYTHONPATH.

coverage: the share of the last fifth that is answered locally, the mean over splits. wrong: of these, in all splits.
broken: splits in which more than ε of them are. first: calls until an answer was local, the mean of the splits in which
it came to that.
learning: seconds of this process over all portions. answer: milliseconds, the median. saved: dollars a thousand calls,
at the list price of PRICED and four characters a token.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import importlib
import importlib.util
import json
import os
import random
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx
import numpy as np
from protege import Call, Request, Workspace, improve
from protege.common.prices import cost_usd
from protege.embedding import embedder_named
from protege.loop.settings import Settings
from protege.route import Router
from protege.tune import TuneSettings

PRICED = "gpt-4.1-mini"
EPSILON = 0.05
LAST = 0.2
"""The share of a task's calls that is asked and never learnt from."""
CHARS_A_TOKEN = 4

Row = dict[str, Any]


class Tool(Protocol):
    """What takes part."""

    name: str

    def learn(self, rows: Sequence[Row]) -> None:
        """Take in these calls, which come after all before, and learn as it sees fit."""
        ...

    def answer(self, row: Row) -> str | None:
        """Its own answer; None if it leaves the call to the teacher."""
        ...


class Ours:
    """A head, tagger or pointer, certified, and the router that an agent has."""

    name = "Protégé, in process"

    def __init__(self, folder: Path) -> None:
        self._workspace = Workspace(folder)
        self._settings = Settings(tune=TuneSettings(method="head"))
        self._router = Router(folder)
        self._seen = 0

    def learn(self, rows: Sequence[Row]) -> None:
        records = [{**row, "id": f"c{self._seen + at}"} for at, row in enumerate(rows)]
        self._seen += len(rows)
        self._workspace.add_calls(map(Call.from_record, records))
        improve(self._workspace, (), self._settings)
        self._router.wait_until_ready(30)
        time.sleep(1)  # the route is looked at four times a second

    def answer(self, row: Row) -> str | None:
        message = self._router.answer(Request(tuple(row["messages"]), tools=tuple(row.get("tools") or ()))).message
        return None if message is None else said(message)


class ThinkLess:
    """Under an HTTP client whose server is the teacher."""

    name = "ThinkLess, .95"

    def __init__(self, folder: Path) -> None:
        habits: Any = importlib.import_module("thinkless.habits")
        options = {"target": 1 - EPSILON, "confirm_calls": 0, "learn_every": None, "audit": 0.0, "seed": 0}
        self._habits = habits.Habits(folder, **options)
        self._teacher: Mapping[str, Any] | None = None
        # It learns from whatever a teacher answers, so there is none where it is only asked.
        upstream = httpx.MockTransport(lambda _: httpx.Response(200 if self._teacher else 503, json=self._completion()))
        self._client = habits.http_client(self._habits, library="httpx", transport=upstream)

    def learn(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._asked(row, row["response"])
        self._habits.learn()
        self._habits._refresh_plan(force=True)  # it looks every two seconds

    def answer(self, row: Row) -> str | None:
        response = self._asked(row)
        if response.headers.get("x-thinkless-habit") != "local":
            return None
        return said(response.json()["choices"][0]["message"])

    def _asked(self, row: Row, teacher: Mapping[str, Any] | None = None) -> Any:
        self._teacher = teacher
        sent = {"model": PRICED, **{name: row[name] for name in ("messages", "tools") if row.get(name)}}
        return self._client.post("https://teacher.example/v1/chat/completions", json=sent)

    def _completion(self) -> dict[str, Any]:
        choice = {"index": 0, "message": self._teacher, "finish_reason": "stop"}
        return {"id": "c", "object": "chat.completion", "created": 0, "model": PRICED, "choices": [choice]}


class Tracer:
    """Fitted on the embeddings of the last messages."""

    name = "TRACER, .95"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._embedder = embedder_named("packaged")
        self._rows: list[Row] = []
        self._vectors: list[Any] = []
        self._router: Any = None

    def learn(self, rows: Sequence[Row]) -> None:
        tracer: Any = importlib.import_module("tracer")
        fitting: Any = importlib.import_module("tracer.config")
        self._rows += rows
        self._vectors += [self._embedded(row) for row in rows]
        traces = self._folder / "traces.jsonl"
        lines = [{"input": str(row["messages"][-1]["content"]), "teacher": said(row["response"])} for row in self._rows]
        traces.write_text("\n".join(map(json.dumps, lines)))
        config = fitting.FitConfig(target_teacher_agreement=1 - EPSILON, verbose=False, skip_candidates=("gbt",))
        self._router = None
        with contextlib.suppress(ValueError):  # nothing that it trusts, or too few of an answer
            tracer.fit(traces, self._folder / "fitted", np.array(self._vectors), config)
            self._router = tracer.load_router(self._folder / "fitted")

    def answer(self, row: Row) -> str | None:
        return None if self._router is None else self._router.predict(self._embedded(row))["label"]

    def _embedded(self, row: Row) -> Any:
        return self._embedder.embed(str(row["messages"][-1]["content"]), timeout_s=60)


TOOLS: dict[str, type[Ours | ThinkLess | Tracer]] = {"protege": Ours, "thinkless": ThinkLess, "tracer": Tracer}
"""By the module that must be there."""


@dataclass(frozen=True)
class Figures:
    """Of one tool on one split of a task."""

    asked: int
    kept: int
    wrong: int
    first: int | None
    learning_s: float
    answer_ms: float | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--task", action="append", default=[])
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--every", type=int, default=10**9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    there = [tool for module, tool in TOOLS.items() if importlib.util.find_spec(module)]
    told: dict[str, dict[str, Any]] = defaultdict(dict)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CONFIG_HOME"] = folder  # homes that are made here are nobody's afterwards
        for task, rows in sorted(tasks_in(options.files).items()):
            if options.task and task not in options.task:
                continue
            for tool in there:
                splits = [fought(tool, rows, seed, options.every) for seed in range(options.splits)]
                told[task][tool.name] = row = summary(splits, rows)
                if not options.json:
                    print(
                        f"{task}; {tool.name}: {'; '.join(f'{k} {v}' for k, v in row.items() if k != 'splits')}",
                        flush=True,
                    )
    if options.json:
        print(json.dumps(told, indent=1))


def tasks_in(files: Sequence[Path]) -> dict[str, list[Row]]:
    tasks: dict[str, list[Row]] = defaultdict(list)
    for file in files:
        with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as lines:
            for row in map(json.loads, lines):
                kept = {name: row[name] for name in ("messages", "tools", "response", "model") if row.get(name)}
                tasks[row["task"]].append(kept)
    return tasks


def fought(kind: type[Ours | ThinkLess | Tracer], rows: Sequence[Row], seed: int, every: int) -> Figures:
    """One tool, from its first call to the last fifth."""
    shuffled = random.Random(seed).sample(rows, len(rows))
    cut = len(rows) - round(LAST * len(rows))
    stream, last = shuffled[:cut], shuffled[cut:]
    with tempfile.TemporaryDirectory() as folder, quiet():
        tool: Tool = kind(Path(folder))
        seconds, first = 0.0, None
        for start in range(0, cut, every):
            began_s = time.process_time()
            tool.learn(stream[start : start + every])
            seconds += time.process_time() - began_s
            if first is None and any(tool.answer(row) is not None for row in last):
                first = min(start + every, cut)
        timed = [answered(tool, row) for row in last]
    kept = [(answer, took, row) for (answer, took), row in zip(timed, last, strict=True) if answer is not None]
    wrong = sum(not same(answer, said(row["response"])) for answer, _, row in kept)
    median = statistics.median(took for _, took, _ in kept) if kept else None
    return Figures(len(last), len(kept), wrong, first, seconds, median)


def answered(tool: Tool, row: Row) -> tuple[str | None, float]:
    began_s = time.perf_counter()
    return tool.answer(row), 1000 * (time.perf_counter() - began_s)


def said(message: Mapping[str, Any]) -> str:
    """An answer as text; tool calls as JSON."""
    if calls := message.get("tool_calls"):
        return json.dumps([[call["function"]["name"], json.loads(call["function"]["arguments"])] for call in calls])
    return str(message.get("content") or "").strip()


def same(one: str, other: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(json.loads(one) == json.loads(other))
    return one == other


def summary(splits: Sequence[Figures], rows: Sequence[Row]) -> dict[str, Any]:
    kept, wrong = sum(one.kept for one in splits), sum(one.wrong for one in splits)
    coverage = statistics.fmean(one.kept / one.asked for one in splits)
    read = sum(len(json.dumps(row["messages"])) + len(json.dumps(row.get("tools") or "")) for row in rows)
    written = sum(len(said(row["response"])) for row in rows)
    teacher = cost_usd(PRICED, read // CHARS_A_TOKEN, written // CHARS_A_TOKEN)
    firsts = [one.first for one in splits if one.first is not None]
    times = [one.answer_ms for one in splits if one.answer_ms is not None]
    return {
        "coverage": round(coverage, 3),
        "wrong": f"{wrong}/{kept}",
        "broken": sum(one.wrong > EPSILON * one.kept for one in splits),
        "first": round(statistics.fmean(firsts)) if firsts else None,
        "learning s": round(statistics.fmean(one.learning_s for one in splits), 1),
        "answer ms": round(statistics.fmean(times), 2) if times else None,
        "saved $": None if teacher is None else round(1000 * coverage * teacher / len(rows), 3),
        "splits": [asdict(one) for one in splits],
    }


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Other tools print as they learn."""
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


if __name__ == "__main__":
    main()
