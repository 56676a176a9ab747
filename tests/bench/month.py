"""A month of five tasks, simulated: what breaks, when it is found out, and how it comes back.

    python tests/bench/month.py [--calls 200000] [--home FOLDER] [--picture docs/month.svg] [--json FILE]

Real are the capture, the journal, the router, the store, discovery, curation, the confidence, the gate, the rules and
the retraining's decision. Made up are the teacher, the specialists (they know what stood in their training rows, and
err at a rate, as confident as they happen to be) and the clock. In the month
    day 5   the prompt of `parcels` is reworded
    day 9   a third of the calls of `invoices` are about things that none was about before
    day 14  the specialist of `flights` is broken: it answers wrongly, and is sure
    day 19  the teacher is another model, which sees two labels of `rooms` otherwise
    day 23  the agent is killed at work, and so is the loop
and nothing happens to `songs`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import math
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson
from month_picture import draw
from protege import Base, Specialist, Workspace, flywheel
from protege.call import Reply, text_of
from protege.capture.calls import OpenCall, Place
from protege.capture.watch import Watch
from protege.collect.recorder import Recorder
from protege.common.progress import Silent
from protege.curate import CurateSettings
from protege.evaluate import Parity
from protege.loop.run import Run
from protege.loop.settings import Settings
from protege.route import Outcome, Router
from protege.serve.engine import Completion
from protege.service import loop
from protege.watch import look

DAYS = 30
LOOKS_A_DAY = 12
DAY_S = 86_400.0
BEGAN = (time.time() + DAY_S) // DAY_S * DAY_S
"""Tomorrow: what is certified today was so before the calls came."""
INSTRUCTIONS = {
    "parcels": "You track parcels for a courier. Read what the depot reports and name the state of the shipment.",
    "invoices": "As an accountant's assistant, decide to which ledger the invoice below belongs; be strict about tax.",
    "flights": "Passengers write about their flights. Choose the team that handles the matter, by airline policy.",
    "rooms": "Hotel guests leave notes on rooms. Tell housekeeping in one word what is wanted of them.",
    "songs": "Listeners describe songs that they look for. Pick the shelf of the record shop where they would stand.",
}
ANSWERS = {
    "parcels": ("lost", "sorted", "travelling", "delivered", "returned", "held"),
    "invoices": ("rent", "travel", "payroll", "supplies", "energy", "taxes"),
    "flights": ("refunds", "baggage", "seating", "schedule", "loyalty", "complaints"),
    "rooms": ("towels", "cleaning", "repair", "quiet", "breakfast", "nothing"),
    "songs": ("jazz", "folk", "metal", "opera", "disco", "blues"),
}
TASKS = tuple(INSTRUCTIONS)
WORDS, NEW_WORDS = 240, 120
ERROR = 0.02
"""Of a specialist's answers about what it knows; of what it does not know five in six are wrong."""
BASE = Base("made up", "none.gguf", "0", "gguf", "llama", "Apache-2.0", 4096, "{{ messages[-1].content }}")


@dataclass
class World:
    """What is so on a day. Times are seconds since the month began."""

    now_s: float = 0.0
    broken: set[str] = field(default_factory=set[str])

    @property
    def day(self) -> int:
        return int(self.now_s // DAY_S)

    @property
    def teacher(self) -> str:
        return "large-1" if self.day < 19 else "large-2"

    def instruction(self, task: str) -> str:
        reworded = " Say nothing else, and never explain yourself." if task == "parcels" and self.day >= 5 else ""
        return f"{INSTRUCTIONS[task]}\nAnswer with one of: {', '.join(ANSWERS[task])}.{reworded}"

    def word(self, task: str, chance: random.Random) -> str:
        drifted = task == "invoices" and self.day >= 9 and chance.random() < 1 / 3
        return f"{task[:3]}{WORDS + chance.randrange(NEW_WORDS) if drifted else chance.randrange(WORDS)}x"

    def label(self, task: str, word: str, teacher: str) -> str:
        label = ANSWERS[task][number(task, word) % 6]
        if task == "rooms" and teacher == "large-2":
            return {"towels": "cleaning", "quiet": "nothing"}.get(label, label)
        return label


class Made:
    """The engine of the made-up specialists. What one knows stands in its settings, from its training rows."""

    name, tells_end = "made up", True

    def __init__(self, world: World) -> None:
        self.world = world
        self.count = 1

    def fingerprint(self, specialist: Specialist) -> str:
        return "made up"

    def complete(self, specialist: Specialist, prompt: str, *, timeout_s: float) -> Completion:
        word = prompt.split()[-1]
        chance = random.Random(number(specialist.id, prompt))
        known = specialist.settings["knows"].get(word)
        if specialist.id in self.world.broken:
            text, sure = ANSWERS["flights"][number("broken", word) % 6], 0.99
        elif known is not None and chance.random() >= ERROR:
            text, sure = known, 1 - 0.1 * chance.random() ** 3
        else:
            text, sure = chance.choice(sorted(specialist.settings["says"])), chance.random() ** (0.2 if known else 1.5)
        logs = (math.log(max(sure, 1e-6)), -1e-6)
        return Completion(text, (text, ""), logs, "stop", 20, 2, 1.0)

    def close(self) -> None: ...
    def __enter__(self) -> Made:
        return self

    def __exit__(self, *exception: object) -> None: ...


class Agent:
    """Asks a call after another; the teacher answers where no specialist does."""

    def __init__(self, home: Path, world: World, engine: Made) -> None:
        self.world = world
        self.router = Router(home, connect=lambda _: engine, start=lambda _: None)
        self.recorder = Recorder(home)
        self.router.wait_until_ready(5)

    def ask(self, task: str, chance: random.Random) -> tuple[str, str, str | None]:
        """What was answered, what the teacher would have said, and who kept it (None: the teacher answered)."""
        word = self.world.word(task, chance)
        right = self.world.label(task, word, self.world.teacher)
        note = f"Message {chance.randrange(10**9)} came in, about {word}"
        messages = [{"role": "system", "content": self.world.instruction(task)}, {"role": "user", "content": note}]
        place = Place("bench", (task, "sort"), run=f"run-{chance.randrange(10**12)}")
        call = OpenCall(self.recorder, messages, {"model": self.world.teacher}, place)
        call.record["time"] = BEGAN + self.world.now_s
        with Watch(
            call, lambda parts: Reply({"role": "assistant", "content": parts[0]}, "stop", self.world.teacher)
        ) as w:
            kept = w.routed(lambda: self.router, lambda outcome: outcome)
            if kept is None:
                w.answered(right)
                return right, right, None
        return said(kept), right, kept.specialist

    def close(self) -> None:
        self.router.close()
        self.recorder.close()


def said(outcome: Outcome) -> str:
    assert outcome.message is not None
    return text_of(outcome.message)


def number(*parts: str) -> int:
    return int.from_bytes(hashlib.blake2b("\0".join(parts).encode(), digest_size=6).digest())


@contextlib.contextmanager
def made_up(engine: Made) -> Iterator[None]:
    """The loop with its tuning and serving stood in for."""

    def tune(run: Run, curated: Any, base: Any) -> Specialist:
        workspace, task = run.workspace, run.task
        mine = workspace.specialists(task_id=task.id)
        identity = f"sp-{task.id}-{curated.hash[:12]}"
        if known := next((s for s in mine if s.id == identity), None):
            return known
        examples = curated.examples("train")
        knows = {str(e.request.messages[-1]["content"]).split()[-1]: e.answer for e in examples}
        version = max((s.version for s in mine), default=0) + 1
        one = Specialist(
            identity,
            f"{task.name}-v{version}",
            task.id,
            version,
            BASE,
            "slots",
            settings={"knows": knows, "says": sorted(set(knows.values()))},
            max_tokens=4,
        )
        one = replace(one, created=time.time())
        workspace.save_specialist(one)
        return one

    holds = Parity(24, 24, 24, 0.0, None, "", True, "made up")
    with contextlib.ExitStack() as stack:
        for name, stand_in in (
            ("decided", lambda settings: settings),
            ("select", lambda *_: (BASE, "", [])),
            ("tune", tune),
            ("place", lambda run, specialist: specialist),
            ("parity", lambda *_: holds),
        ):
            stack.enter_context(patch(f"protege.loop.steps.{name}", stand_in))
        for name in ("open_engine", "open_engines"):
            stack.enter_context(patch(f"protege.serve.{name}", lambda *_: engine))
        stack.enter_context(patch("protege.serve.Replicas", lambda engines: engines[0]))
        yield


@dataclass
class Day:
    """Counts of a task's day. wrong: of those kept, how many are not what the teacher says; strange: no label."""

    calls: int = 0
    kept: int = 0
    wrong: int = 0
    strange: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200_000)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = options.home or Path(folder) / "home"
        home.mkdir(parents=True)
        Workspace(home).close()  # an empty folder becomes a home that is believed
        (home / "redaction.toml").write_text("types = []\nmodel = false\n")  # the messages are made up
        found = month(home, options.calls)
    if options.json:
        options.json.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    if options.picture:
        options.picture.write_text(draw(found))


def month(home: Path, calls: int) -> dict[str, Any]:
    world = World()
    engine = Made(world)
    workspace = Workspace(home)
    days = {task: [Day() for _ in range(DAYS)] for task in TASKS}
    each = calls // (DAYS * LOOKS_A_DAY)
    returned = 0
    events: list[dict[str, Any]] = []
    with made_up(engine):
        for turn in range(DAYS * LOOKS_A_DAY):
            world.now_s = turn * DAY_S / LOOKS_A_DAY
            if turn == 14 * LOOKS_A_DAY:
                world.broken = {s.id for s in workspace.specialists() if desk_of(workspace, s.task_id) == "flights"}
            killed = turn == 23 * LOOKS_A_DAY
            returned += (killed_agent if killed else work)(home, world, engine, days, each, turn)
            look(workspace)
            if killed:
                killed_loop(home, world, engine)
            if turn % LOOKS_A_DAY == LOOKS_A_DAY - 1:
                improve(workspace, world)
            if turn % (LOOKS_A_DAY // 2) == 0:
                loop.show(workspace)
            events += tell(workspace, world, len(events))
    return summary(workspace, days, events, returned)


def work(home: Path, world: World, engine: Made, days: dict[str, list[Day]], each: int, turn: int) -> int:
    agent = Agent(home, world, engine)
    for n in range(each):
        chance = random.Random(f"{turn} {n}")
        task = TASKS[n % len(TASKS)]
        answer, right, kept = agent.ask(task, chance)
        day = days[task][world.day]
        day.calls += 1
        day.strange += answer not in ANSWERS[task]
        day.kept += kept is not None
        day.wrong += kept is not None and answer != right
    agent.close()
    return each


def killed_agent(home: Path, world: World, engine: Made, days: dict[str, list[Day]], each: int, turn: int) -> int:
    """The agent in a process of its own, killed in the middle; how many calls had returned by then."""

    def run(told: Any) -> None:
        agent = Agent(home, world, engine)
        for n in range(10 * each):
            agent.ask(TASKS[n % len(TASKS)], random.Random(f"{turn} {n}"))
            os.write(told, b".")

    read, write = os.pipe()
    child = multiprocessing.get_context("fork").Process(target=run, args=(write,))
    child.start()
    os.close(write)
    returned = 0
    while returned < each and (more := os.read(read, 64)):
        returned += len(more)
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join()
    while more := os.read(read, 65536):
        returned += len(more)
    print(f"day {world.day}: the agent was killed after {returned} calls", flush=True)
    return returned


def killed_loop(home: Path, world: World, engine: Made) -> None:
    """The loop, killed at five moments of its work."""

    def run() -> None:
        workspace = Workspace(home)
        look(workspace)
        improve(workspace, world)

    for after_s in (0.05, 0.3, 1.0, 2.0, 4.0):
        child = multiprocessing.get_context("fork").Process(target=run)
        child.start()
        time.sleep(after_s)
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()


def improve(workspace: Workspace, world: World) -> None:
    """Once a day; as `loop.keep` does, whole where nothing is open, else what is."""
    settings = Settings(curate=CurateSettings(max_train=3_000), rollout="staged")
    served = {s.task_id for s in workspace.specialists() if s.state in ("shadow", "canary", "live")}
    whole = world.day % 7 == 1 or (world.day < 7 and len(served) < len(TASKS))
    wanted = [] if whole else loop.overdue(workspace, ())
    if not wanted and not whole:
        return
    begin_s = time.perf_counter()
    for one in flywheel.improve(workspace, wanted, settings, Silent()):
        print(f"day {world.day}: {desk_of(workspace, one.task_id)}: {one.decision}. {one.reason}", flush=True)
    print(f"day {world.day}: improving took {time.perf_counter() - begin_s:.0f} s", flush=True)


def tell(workspace: Workspace, world: World, known: int) -> list[dict[str, Any]]:
    """What has happened since, by the month's clock."""
    told: list[dict[str, Any]] = []
    for event in workspace.history.events()[known:]:
        record = {
            "day": world.now_s / DAY_S,
            "task": desk_of(workspace, event.task_id),
            "what": event.what,
            "why": event.why,
        }
        if event.what not in ("calm", "suspicion"):
            print(f"day {record['day']:.1f}: {record['task']}: {event.what}. {event.why}", flush=True)
        told.append(record)
    return told


def desk_of(workspace: Workspace, task_id: str) -> str:
    """The desk behind a task, by the system text that its wordings hold."""
    task = next((t for t in workspace.tasks() if task_id in (t.id, *t.merged)), None)
    text = str(task.to_record()["templates"]) if task else ""
    return next((desk for desk in TASKS if ANSWERS[desk][0] in text), "?")


def summary(
    workspace: Workspace, days: dict[str, list[Day]], events: list[dict[str, Any]], returned: int
) -> dict[str, Any]:
    stored = workspace.count_calls()
    strange = sum(day.strange for task in days.values() for day in task)
    print(f"\n{returned:,} calls returned, {stored:,} are stored; {strange} answers were no label")
    for task, found in days.items():
        kept, wrong = sum(d.kept for d in found), sum(d.wrong for d in found)
        calls = sum(d.calls for d in found)
        share = f"{wrong / kept:.2%}" if kept else "none"
        print(f"{task:<9} {kept / calls:.1%} of {calls:,} calls kept, {share} of them wrong")
    audited = list(workspace.history.attempts(outcomes=("audited",)))
    print(f"{len(audited):,} audits ({len(audited) / returned:.2%} of all calls)")
    latest = {desk_of(workspace, s.task_id): s.name for s in workspace.specialists() if s.state == "live"}
    print(f"live at the end: {', '.join(f'{task}: {name}' for task, name in sorted(latest.items()))}")
    return {
        "days": {task: [vars(day) for day in found] for task, found in days.items()},
        "events": events,
        "returned": returned,
        "stored": stored,
        "strange": strange,
        "audits": len(audited),
    }


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
