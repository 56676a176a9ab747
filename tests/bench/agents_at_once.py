"""Sixteen agents at once: how many answers a second, and how long each waits, by kind of specialist and engine.

    python tests/bench/agents_at_once.py [--agents 16] [--calls 4] [--json]

Each agent is a thread that asks the same router call after call. A head is learnt from made-up tickets; the models are
SmolLM2-135M with LoRA weights as tuning makes them (specialists.py), and answer 20 tokens. In the cascade the head
hands every call on, so that each takes both. No answer may take longer than the time-out of its route; what an engine
cannot take in time goes to the teacher, and is counted. Ollama is one of the bench's own; without one, its row is left
out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import protege
import pytest
from protege import Call, Request, Route, Specialist, Workspace
from protege.rollout import promote
from protege.route import Router
from protege.serve import engine_kind, open_engine
from protege.serve.embedded.starting import background
from specialists import make_specialists, smollm2

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from real_ollama import OllamaProcess

SYSTEM = "Sort the support ticket. Answer with one word: billing, shipping or access."
WORDS = {"billing": ("invoice", "refund"), "shipping": ("parcel", "courier"), "access": ("password", "login")}
NOUNS = ("coat", "lamp", "phone", "chair", "watch", "book", "bike", "kettle", "tent", "mirror", "drill", "scarf")


@dataclass(frozen=True)
class Figures:
    """Of one kind of specialist. Times are milliseconds; longest: of any call, kept or not."""

    name: str
    answers_per_s: float
    median_ms: float
    p95_ms: float
    longest_ms: float
    limit_ms: float
    decisions: dict[str, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=16)
    parser.add_argument(
        "--calls", type=int, default=4, help="calls of each agent to a model; a head gets 100 times as many"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures: list[Figures] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        server = ollama(Path(folder) / "ollama", stack)
        workspace = Workspace(Path(folder) / "home")
        head = learnt(workspace)
        lora = replace(make_specialists(workspace, smollm2(), 1, 1, 20)[0], task_id=head.task_id)
        figures.append(asked("head", workspace.home, options.agents, 100 * options.calls))
        for engine in ("embedded", *(("ollama",) if server else ())):
            placed = served(workspace, lora, engine)
            for name, cascade in ((f"LoRA, {engine}", False), (f"head, then LoRA, {engine}", True)):
                go_live(workspace, placed, head if cascade else None)
                with background(workspace.home) if engine == "embedded" else ExitStack():
                    figures.append(asked(name, workspace.home, options.agents, options.calls))
        workspace.close()
    show(figures, as_json=options.json)


def ticket(number: int) -> tuple[str, str]:
    team = tuple(WORDS)[number % 3]
    word, thing, other = WORDS[team][number // 3 % 2], NOUNS[number // 6 % 12], NOUNS[number * 7 % 11]
    return f"The {word} for my {thing} and the {other}, order {number * 7919 % 100_003}.", team


def request(number: int) -> Request:
    return Request(({"role": "system", "content": SYSTEM}, {"role": "user", "content": ticket(number)[0]}))


def learnt(workspace: Workspace) -> Specialist:
    """A head that is live."""
    answered = ((n, {"role": "assistant", "content": ticket(n)[1]}) for n in range(600))
    workspace.add_calls(Call(id=f"c{n}", request=request(n), response=said, model="big") for n, said in answered)
    settings = protege.Settings(compete=False, tune=protege.TuneSettings(method="head"))
    (done,) = protege.improve(workspace, (), settings)
    assert done.decision == "live", done.reason
    (head,) = workspace.specialists()
    return head


def served(workspace: Workspace, lora: Specialist, engine: str) -> Specialist:
    kind = engine_kind(engine)
    kind.check(lora.serve_as)
    mine = replace(lora, id=f"{lora.id}-{engine}", name=f"lora-{engine}")
    workspace.specialist_folder(mine).symlink_to(workspace.specialist_folder(lora))
    return kind.place(workspace, mine, keep_alive="30m")


def go_live(workspace: Workspace, lora: Specialist, first: Specialist | None) -> None:
    """Live by itself, or after a head that hands every call on. Every answer of its own is kept."""
    with closing(open_engine(workspace, lora)) as engine:
        fingerprint = engine.fingerprint(lora)
    signatures = tuple(template.signature for template in workspace.tasks()[0].templates)
    route = Route(lora.task_id, lora.id, 0.0, fingerprint, 0.05, 0.05, 200, 200, 0, signatures, audit=0.0)
    if first is not None:
        certified = workspace.routes()[first.id]
        before = replace(certified, threshold=2.0)
        promote(workspace, first, before)
        route = replace(route, after=first.id, below=2.0, rests_on=before.identity)
    promote(workspace, lora, route)


def asked(name: str, home: Path, agents: int, calls: int) -> Figures:
    router = Router(home)
    if not router.wait_until_ready(120):
        raise SystemExit(f"{name}: no engine answers")
    took_ms: list[float] = []
    decisions: Counter[str] = Counter()
    begin = threading.Barrier(agents + 1)

    def agent(number: int) -> None:
        begin.wait()
        for call in range(calls):
            began_s = time.perf_counter()
            outcome = router.answer(request(10_000 + number * calls + call))
            took_ms.append((time.perf_counter() - began_s) * 1000)
            decisions[outcome.decision] += 1

    threads = [threading.Thread(target=agent, args=(number,)) for number in range(agents)]
    for thread in threads:
        thread.start()
    router.answer(request(9_999))  # the first loads what there is to load
    begin.wait()
    began_s = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began_s
    router.close()
    limit_ms = 1000 * max(route.timeout_s for route in Workspace(home).routes().values())
    ordered = sorted(took_ms)
    p95 = ordered[int(0.95 * (len(ordered) - 1))]
    return Figures(
        name, len(took_ms) / seconds, statistics.median(took_ms), p95, ordered[-1], limit_ms, dict(decisions)
    )


def ollama(folder: Path, stack: ExitStack) -> OllamaProcess | None:
    server = OllamaProcess(folder)
    try:
        server.start()
    except (pytest.skip.Exception, RuntimeError) as why:
        print(f"without Ollama: {why}", file=sys.stderr)
        return None
    stack.callback(server.stop)
    os.environ["OLLAMA_HOST"] = server.url
    return server


def show(figures: list[Figures], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([asdict(one) for one in figures]))
        return
    print(f"{'':28}{'answers/s':>10}{'median ms':>11}{'p95 ms':>9}{'longest':>9}{'limit':>8}  decisions")
    for one in figures:
        line = f"{one.name:28}{one.answers_per_s:10.1f}{one.median_ms:11.1f}{one.p95_ms:9.1f}"
        print(f"{line}{one.longest_ms:9.0f}{one.limit_ms:8.0f}  {one.decisions}")


if __name__ == "__main__":
    main()
