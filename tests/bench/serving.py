"""How fast specialists answer, and what memory they take: `python tests/bench/serving.py [--calls 30]`.

The same weights (see specialists.py) served by a real Ollama, by the embedded engine merged and as LoRA weights, and by
transformers and peft in a process that holds the model itself; then ten specialists instead of one, and four callers at
once. Prompts of about 25 tokens, answers of 20. All are asked in turn, so that what else the machine does falls on each
of them alike.

"Equal" counts the answers that are those of transformers. They are free text by an untaught model, so that rounding
decides at many tokens; what a tuned one answers is compared by parity.py.

Memory is that of whole processes: an engine's children, Ollama's server with its children, transformers' Python.
"First answer" is what lies between the end of tuning and an answer: import into Ollama, start of an engine, or loading,
then one completion; a running Ollama and imported libraries are taken for granted.

Ollama is one of the bench's own, on a port and in a folder of its own; without one, its rows are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil
import pytest
from in_process import InProcess
from protege.chat.prompt import render
from protege.ollama.api import Ollama
from protege.serve import Completer, Completion, OllamaEngine, Options, serve
from protege.serve.ollama.models import bring
from protege.specialist import Specialist
from protege.workspace import Workspace
from specialists import make_specialists, smollm2

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from real_ollama import OllamaProcess

OUTPUT_TOKENS = 20
TOPICS = ("rivers", "bridges", "clocks", "maps", "bread", "glass", "paper", "salt", "trains", "wool")
IN_OLLAMA = 3
"""Specialists at once in Ollama's memory: as many as it keeps by default."""


@dataclass
class Contender:
    """Something that answers, and what it answered. pids: of all processes that it takes."""

    name: str
    engine: Completer
    specialists: Sequence[Specialist]
    pids: Callable[[], Sequence[int]]
    first_s: float = 0.0
    answers: list[Completion] = field(default_factory=list[Completion])

    def ask(self, number: int) -> Completion:
        chosen = self.specialists[number % len(self.specialists)]
        text = f"Tell me {number + 10} things about {TOPICS[number % 10]}."
        messages = [{"role": "system", "content": ""}, {"role": "user", "content": text}]
        return self.engine.complete(chosen, render(chosen.base, messages), timeout_s=120.0)

    @property
    def took_ms(self) -> list[float]:
        return [answer.latency_ms for answer in self.answers]

    @property
    def p50_ms(self) -> float:
        return statistics.median(self.took_ms)

    def memory(self) -> tuple[float, float]:
        """Resident MiB, pages of files that processes share counted in each; and without what is shared."""
        found = [psutil.Process(pid).memory_full_info() for pid in self.pids()]
        return sum(one.rss for one in found) / 2**20, sum(one.uss for one in found) / 2**20

    def equal(self, other: Contender) -> str:
        same = sum(a.text.strip() == b.text.strip() for a, b in zip(self.answers, other.answers, strict=True))
        return f"{same}/{len(self.answers)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=30, help="calls to each")
    calls = parser.parse_args().calls
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to end, it ends its Ollama first
    print(f"{psutil.cpu_count(logical=False)} cores, load {os.getloadavg()[0]:.1f}, {calls} calls to each")
    with tempfile.TemporaryDirectory() as home, contextlib.ExitStack() as stack:
        workspace = Workspace(Path(home) / "home")
        stack.callback(workspace.close)
        ten = make_specialists(workspace, smollm2(), 10, IN_OLLAMA, OUTPUT_TOKENS)
        server = start_ollama(Path(home) / "ollama", stack)
        one = compare_engines(workspace, ten, server, calls)
        if server is not None and one is not None:
            compare_in_ollama(workspace, ten[:IN_OLLAMA], server, one)
        compare_at_once(workspace, ten[:1], one, calls)
        print(f"load {os.getloadavg()[0]:.1f}")


def start_ollama(folder: Path, stack: contextlib.ExitStack) -> OllamaProcess | None:
    server = OllamaProcess(folder)
    try:
        server.start()
    except (pytest.skip.Exception, RuntimeError) as why:
        print(f"without Ollama: {why}")
        return None
    stack.callback(server.stop)
    return server


# One specialist by each, and ten


def compare_engines(
    workspace: Workspace, ten: Sequence[Specialist], server: OllamaProcess | None, calls: int
) -> Contender | None:
    """Returns Ollama's, which is still there."""
    reference = first(transformers_loader(workspace, ten[:1]))
    ollama = in_ollama(workspace, ten[0], server) if server is not None else None
    merged = first(lambda: embedded("embedded, merged Q8_0", workspace, ten[:1], "merged"))
    lora = first(lambda: embedded("embedded, Q4_1 + LoRA", workspace, ten[:1], "lora"))
    ten_lora = first(lambda: embedded("embedded, Q4_1 + 10 LoRA", workspace, ten, "lora"))
    ten_merged = first(lambda: embedded("embedded, 10 merged Q8_0", workspace, ten, "merged"))
    contenders = [c for c in (reference, ollama, merged, lora, ten_lora, ten_merged) if c is not None]
    with others(contenders):
        for number in range(-2, calls):  # two to warm up
            for contender in contenders:
                answer = contender.ask(number)
                if number >= 0:
                    contender.answers.append(answer)
    show(contenders, reference)
    of_ten, of_one = ten_lora.memory()[0], lora.memory()[0]
    print(f"ten specialists as LoRA take {of_ten / of_one:.2f} times the memory of one\n")
    for contender in contenders:
        if contender is not ollama:
            contender.engine.close()
    return ollama


def show(contenders: Sequence[Contender], reference: Contender) -> None:
    head = ("", "best ms", "p50 ms", "p95 ms", "tokens/s", "times as fast", "equal", "MiB", "private", "first answer s")
    rows = [
        (
            c.name,
            f"{min(c.took_ms):.0f}",
            f"{c.p50_ms:.0f}",
            f"{statistics.quantiles(c.took_ms, n=20)[-1]:.0f}",
            f"{sum(answer.output_tokens for answer in c.answers) / sum(c.took_ms) * 1000:.0f}",
            f"{reference.p50_ms / c.p50_ms:.2f}",
            c.equal(reference) if len(c.specialists) == 1 else "",
            *(f"{size:.0f}" for size in c.memory()),
            f"{c.first_s:.2f}",
        )
        for c in contenders
    ]
    print(f"times as fast, equal: to {reference.name}")
    table(head, rows)


def first(make: Callable[[], Contender]) -> Contender:
    """Made, and asked once."""
    # Nobody has read these files yet when tuning stops: their digests are remembered in this folder.
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp()
    begin_s = time.perf_counter()
    contender = make()
    contender.ask(0)
    contender.first_s = time.perf_counter() - begin_s
    return contender


def embedded(
    name: str, workspace: Workspace, specialists: Sequence[Specialist], as_: Literal["lora", "merged"]
) -> Contender:
    engine = serve(workspace, specialists, as_=as_)
    return Contender(name, engine, specialists, lambda: engine.pids)


def transformers_loader(workspace: Workspace, one: Sequence[Specialist]) -> Callable[[], Contender]:
    """What loads the model, in a process that has imported its libraries."""
    begin_s = time.perf_counter()
    process = InProcess()
    took_s = time.perf_counter() - begin_s
    without = psutil.Process(process.pid).memory_info().rss / 2**20

    def load() -> Contender:
        process.load(one[0], workspace.specialist_folder(one[0]) / "lora")
        print(f"transformers: imports alone take {took_s:.1f} s and {without:.0f} MiB; it computes in {process.dtype}")
        return Contender("transformers and peft in process", process, one, lambda: (process.pid,))

    return load


# Ollama


def in_ollama(workspace: Workspace, one: Specialist, server: OllamaProcess) -> Contender:
    client = server.client()
    took_s = watch(client, ("send_blob", "create", "load", "generate"))
    version = client.version()

    def make() -> Contender:
        placed = bring(workspace, one, client)
        return Contender(f"Ollama {version}, merged Q8_0", OllamaEngine(), [placed], lambda: processes(server))

    made = first(make)
    size = (workspace.specialist_folder(one) / one.files["gguf"]).stat().st_size
    parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in took_s.items())
    print(f"Ollama, {size / 1e6:.0f} MB of Q8_0, import to first answer: {made.first_s:.2f} s (of it {parts})")
    return made


def processes(server: OllamaProcess) -> list[int]:
    return [server.pid, *(child.pid for child in server.runners)]


def watch(client: Ollama, names: Sequence[str]) -> dict[str, float]:
    """Seconds that these methods will have taken, by name."""
    took_s = dict.fromkeys(names, 0.0)

    def watched(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **options: Any) -> Any:
            begin_s = time.perf_counter()
            try:
                return method(*given, **options)
            finally:
                took_s[name] += time.perf_counter() - begin_s

        return call

    for name in names:
        setattr(client, name, watched(name, getattr(client, name)))
    return took_s


def compare_in_ollama(
    workspace: Workspace, specialists: Sequence[Specialist], server: OllamaProcess, one: Contender
) -> None:
    """Memory by how many specialists Ollama has in it; each is asked once."""
    client = server.client()
    rows: list[Sequence[object]] = []
    for count in range(1, len(specialists) + 1):
        if count > 1:
            placed = bring(workspace, specialists[count - 1], client)
            Contender("", one.engine, [placed], one.pids).ask(0)
        resident, private = one.memory()
        rows.append((count, len(client.loaded()), f"{resident:.0f}", f"{private:.0f}", len(one.pids())))
    table(("specialists in Ollama", "loaded", "MiB", "private", "processes"), rows)


# Four callers


def compare_at_once(workspace: Workspace, one: Sequence[Specialist], ollama: Contender | None, calls: int) -> None:
    """Answers a second for four callers at once, by how many answers the engine works on at a time."""
    contenders: list[Contender] = []
    for count in (1, 2, 4):
        engine = serve(workspace, one, as_="merged", options=Options(parallel=count))
        contenders.append(Contender(f"embedded, {count} at once", engine, one, lambda e=engine: e.pids))
    if ollama is not None:
        contenders.append(Contender("Ollama, its default", ollama.engine, ollama.specialists, ollama.pids))
    per_s: dict[str, list[float]] = {c.name: [] for c in contenders}
    with others(contenders), ThreadPoolExecutor(4) as pool:
        for begin in range(-4, calls, 4):  # four to warm up
            for contender in contenders:
                begin_s = time.perf_counter()
                answers = list(pool.map(contender.ask, range(begin, begin + 4)))
                if begin >= 0:
                    per_s[contender.name].append(4 / (time.perf_counter() - begin_s))
                    contender.answers += answers
    rows = [
        (c.name, f"{statistics.median(per_s[c.name]):.2f}", c.equal(contenders[0]), *(f"{n:.0f}" for n in c.memory()))
        for c in contenders
    ]
    table(("four callers", "answers/s", "equal to the first", "MiB", "private"), rows)
    for contender in contenders:
        contender.engine.close()


@contextlib.contextmanager
def others(contenders: Sequence[Contender]) -> Iterator[None]:
    """Says what other programs took of the cores meanwhile: engines whose threads spin suffer most from them."""

    def seconds() -> tuple[float, float, float]:
        machine = psutil.cpu_times()
        pids = {os.getpid(), *(pid for contender in contenders for pid in contender.pids())}
        ours = sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)
        # Time of guests stands in the users' as well.
        everything = machine.user + machine.nice + machine.system + machine.irq + machine.softirq + machine.steal
        return everything, ours, time.monotonic()

    all_began, ours_began, began = seconds()
    yield
    all_ended, ours_ended, ended = seconds()
    share = (all_ended - all_began - ours_ended + ours_began) / (ended - began) / (os.cpu_count() or 1)
    print(f"\nother programs took {max(share, 0.0):.0%} of the cores in {ended - began:.0f} s")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    widths = [max(len(str(row[i])) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        cells = [
            str(cell).ljust(w) if i == 0 else str(cell).rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells), flush=True)
    print()


if __name__ == "__main__":
    main()
