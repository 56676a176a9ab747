"""Poison: calls with something wrong about them come in through the journal, a file and capture, each with a good call
after it. All good ones must be stored, read, curated and watched, and what was set aside must be counted.

    python tests/bench/sweeps/poisoned_calls.py [--calls 3000] [--seed 1] [--json]

Each call has one kind of fault, drawn evenly by a seeded generator. The good calls hold an audited answer of a live
specialist, so that the watch has to compare each of them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
from protege import Workspace
from protege.call import Reply
from protege.capture.calls import OpenCall, Place
from protege.capture.watch import Watch, opened
from protege.collect import Recorder, collect, drain
from protege.collect.journal import JournalWriter
from protege.curate import curate
from protege.curate.curation import UNREADABLE
from protege.errors import ProtegeError
from protege.loop.tasks import find_tasks
from protege.redact import RedactionPolicy
from protege.report import gather, status
from protege.rollout import publish
from protege.route import Router
from protege.task import Task
from protege.watch import look
from sweeping import command_line, save_specialist, told

SYSTEM = "You sort tickets into one of: billing, tech, other. Answer with one word."
LABELS = ("billing", "tech", "other")
FIRST = 240
"""Good calls that are there before the others come: the task is found among them."""
LATER = 4e9
"""The time of the good calls, seconds since 1970: after the specialist became live."""


def good(number: int, name: str = "") -> dict[str, Any]:
    """A call that must come through, whatever came before."""
    noise = hashlib.sha256(str(number).encode()).hexdigest()  # near repeats would be left out of the training
    return {
        "id": name or f"good-{number}",
        "messages": [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": f"Ticket: {noise[:9]} {noise[9:20]} {noise[20:30]}"},
        ],
        "response": {"role": "assistant", "content": LABELS[number % 3]},
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "parameters": {"temperature": 0.0},
        "node": ["triage"],
        "model": "gpt-4o",
        "usage": {"input_tokens": 12, "output_tokens": 3},
        "latency_ms": 20.0,
        "ttft_ms": 5.0,
        "cost_usd": 0.001,
        "time": LATER + number,
        "run": f"r{number}",
        "finish_reason": "stop",
        "feedback": {"score": 1},
        "attempts": [
            {"by": "s2", "outcome": "audited", "reason": "kept", "confidence": 0.9, "content": LABELS[number % 3],
             "rate": 0.02}
        ],
    }  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A call with one fault."""

    kind: str
    record: dict[str, Any]
    """As an agent may hand it over: values that JSON has no form for included."""
    written: bytes
    """As a file or a journal may hold it: bytes that are no JSON included."""


_FIGURES = ("time", "latency_ms", "ttft_ms", "cost_usd", "usage")
_ABSURD: tuple[Any, ...] = (
    1e300,
    -1e300,
    -1,
    10**18,
    10**400,
    float("nan"),
    float("inf"),
    -float("inf"),
    True,
    "1e400",
)
_WRONG: tuple[Any, ...] = (None, True, 0, "", "x", [], [[]], [None], {}, {"$part": ["x"]}, {"$ref": "#"}, [5], {"": {}})
_HOSTILE = (
    "\u202e" * 50, "\u200d\ufe0f" * 500, "\x1b]0;x\x07\x1b[2J", "a" + "\u0301" * 3000, "\ufeff\ufffe\uffff", "İ" * 400,
    "```" + " " * 3000 + "x", "=" * 4000, "[masked:x]" * 50, "ﷺ" * 900, "\U0010ffff", "\r\n\v\f\x85\u2028",
)  # fmt: skip
_TEXTS = ("\x00", "a\x00b", "\x00" * 300)
_TIMES: tuple[Any, ...] = (
    0, 1e-9, 1e11, -62135596800, 253402300800, 9e15, "0001-01-01", "9999-12-31T23:59:59+00:00", "1970-13-45", "now",
)  # fmt: skip
_SIZES = (9_000, 9_000, 300_000, 300_000, 300_000, 2 << 20)
_LEVELS = (150, 199, 201, 260, 1_100, 20_000)


def _somewhere(call: dict[str, Any], value: Any, chance: random.Random) -> None:
    """Put a value in the place of another, at any depth."""
    at: Any = call
    while True:
        key = chance.choice(list(at) if isinstance(at, dict) else list(range(len(at))))
        inside = at[key]
        if isinstance(inside, dict | list) and inside and chance.random() < 0.6:
            at = inside
            continue
        if at is not call or key != "id":
            at[key] = value
        return


def _absurd(call: dict[str, Any], chance: random.Random) -> None:
    name, value = chance.choice(_FIGURES), chance.choice(_ABSURD)
    call[name] = {"input_tokens": value, "output_tokens": 3} if name == "usage" else value


def _missing(call: dict[str, Any], chance: random.Random) -> None:
    for name in chance.sample(list(call), chance.randint(1, 4)):
        call.pop(name)
    if chance.random() < 0.3 and "messages" in call:
        call["messages"][chance.randrange(2)].pop(chance.choice(("role", "content")))


def _nested(call: dict[str, Any], chance: random.Random) -> None:
    value: Any = chance.choice(("x", {}, []))
    for _ in range(chance.choice(_LEVELS)):
        value = [value] if chance.random() < 0.5 else {"a": value}
    _somewhere(call, value, chance)


def _odd_object(call: dict[str, Any], chance: random.Random) -> None:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    _somewhere(call, chance.choice((object(), {1, 2}, b"\xff", circle, 1j, {("a", 1): 2}, Odd())), chance)


class Odd:
    """Cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("not even this works")


def _same_id(call: dict[str, Any], chance: random.Random) -> None:
    call["id"] = f"first-{chance.randrange(FIRST)}"


MUTATIONS: Mapping[str, Callable[[dict[str, Any], random.Random], None]] = {
    "absurd figures": _absurd,
    "wrong types": lambda call, chance: _somewhere(call, chance.choice(_WRONG), chance),
    "missing fields": _missing,
    "nested deep": _nested,
    "large": lambda call, chance: _somewhere(call, "x" * chance.choice(_SIZES), chance),
    "hostile unicode": lambda call, chance: _somewhere(call, chance.choice(_HOSTILE), chance),
    "lone surrogates": lambda call, chance: _somewhere(call, chance.choice(("\ud83d", "a\udfff" * 9)), chance),
    "NUL": lambda call, chance: _somewhere(call, chance.choice(_TEXTS), chance),
    "times far away": lambda call, chance: call.__setitem__("time", chance.choice(_TIMES)),
    "an id that is taken": _same_id,
    "no JSON": _odd_object,
}
RAW: Mapping[str, Callable[[bytes, random.Random], bytes]] = {
    "the same key twice": lambda body, chance: (
        body[:-1] + chance.choice((b',"id":5}', b',"messages":[]}', b',"run":{}}'))
    ),
    "broken bytes": lambda body, chance: chance.choice(
        (body[: chance.randrange(1, len(body))], b"\xff\xfe" + body, body.replace(b"Ticket", b"\xc3\x28"), b"\x00" * 40)
    ),
    "numbers that no reader takes": lambda body, chance: body.replace(
        b"0.001", chance.choice((b"1e999", b"NaN", b"-Infinity", b"9" * 5000, b"0x1", b"01", b"1."))
    ),
}
KINDS = (*MUTATIONS, *RAW)


def mutants(seed: int, number: int) -> Iterator[Mutant]:
    """`number` calls, each with a fault, of all kinds in turn; the same for the same seed."""
    chance = random.Random(seed)
    for i in range(number):
        kind = KINDS[i % len(KINDS)]
        call = good(i, f"bad-{seed}-{i}")
        if kind in MUTATIONS:
            MUTATIONS[kind](call, chance)
            yield Mutant(kind, call, _written(call))
        else:
            body = RAW[kind](_written(call), chance)
            yield Mutant(kind, _as_read(body, call), body)


def _written(call: dict[str, Any]) -> bytes:
    """As Python's own writer has it: NaN, large integers and half pairs included."""
    try:
        return json.dumps(call, default=lambda value: type(value).__name__, skipkeys=True).encode()
    except (ValueError, RecursionError):  # a circle, or too deep for the writer
        levels = 20_000
        return b'{"id":"' + call["id"].encode() + b'","messages":' + b"[" * levels + b"]" * levels + b"}"


def _as_read(body: bytes, call: dict[str, Any]) -> dict[str, Any]:
    """What an agent has that read these bytes: the record, else the text itself as a message."""
    try:
        record = json.loads(body)
    except ValueError:
        return {**call, "messages": [{"role": "user", "content": body.decode(errors="surrogateescape")}]}
    return record if isinstance(record, dict) else call


# The three ways in


@dataclass(frozen=True)
class Came:
    """What came in on one way."""

    calls: int
    """Those of which Protégé was told."""
    added: int
    refused: int
    """Told to whoever brought them: lines of a file that are named, set aside or no JSON; calls that the recorder
    counts as lost."""


def through_journal(workspace: Workspace, poison: Iterator[Mutant]) -> Came:
    """A recorder of another version may have written anything."""
    writer = JournalWriter(workspace.home / "journal")
    calls = 0
    for number, mutant in enumerate(poison):
        writer.append(mutant.written)
        writer.append(orjson.dumps(good(number)))
        calls += 2
    writer.close()
    return Came(calls, drain(workspace), 0)


def through_file(workspace: Workspace, poison: Iterator[Mutant]) -> Came:
    """A file of calls that somebody exported."""
    calls = 0
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        for number, mutant in enumerate(poison):
            file.write(mutant.written.replace(b"\n", b" ") + b"\n" + orjson.dumps(good(number)) + b"\n")
            calls += 2
        file.flush()
        result = collect(workspace, [file.name], form="calls")
    return Came(calls, result.added, result.unusable)


class Counting:
    """A recorder that counts what it is told to record."""

    def __init__(self, home: Path) -> None:
        self.recorder = Recorder(home)
        self.calls = 0

    def record(self, call_record: dict[str, Any]) -> None:
        self.calls += 1
        self.recorder.record(call_record)


def through_capture(workspace: Workspace, poison: Iterator[Mutant]) -> Came:
    """As an adapter does it: the request becomes an open call, the route is asked, the reply is read and recorded."""
    recorder, router = Counting(workspace.home), Router(workspace.home, connect=lambda home: None)
    for number, mutant in enumerate(poison):
        for call in (mutant.record, good(number)):
            _captured(call, recorder, router)
    recorder.recorder.close()
    router.close()
    return Came(recorder.calls, drain(workspace), recorder.recorder.lost)


def _captured(call: dict[str, Any], recorder: Counting, router: Router) -> None:
    fields = {name: value for name, value in call.items() if name not in ("id", "messages", "response", "usage", "run")}

    def read_request() -> OpenCall:
        place = Place("sweep", run=call.get("run"), call_id=call.get("id"))
        return OpenCall(recorder, call.get("messages", ()), fields, place)

    def read_reply(parts: list[Any]) -> Reply:
        usage = call.get("usage") or {}
        return Reply(parts[0], call.get("finish_reason"), call.get("model"), usage.get("input_tokens"))

    with Watch(opened(read_request), read_reply) as watch:
        if watch.call is not None:
            attempts, decision = watch.call.record.get("attempts"), watch.call.record.get("decision")
            assert watch.routed(lambda: router, lambda outcome: outcome) is None
            # What the adapter's route would have noted here, had it an engine.
            watch.call.record |= {"attempts": attempts, "decision": decision, "time": call.get("time")}
        watch.answered(call.get("response"))


WAYS: Mapping[str, Callable[[Workspace, Iterator[Mutant]], Came]] = {
    "journal": through_journal,
    "file": through_file,
    "capture": through_capture,
}


# What must hold afterwards


def sweep(way: str, calls: int, seed: int, home: Path) -> dict[str, Any]:
    """Send so many poisoned calls this way, and look at every loop behind it."""
    workspace = Workspace(home)
    workspace_is_live(workspace)
    before = workspace.count_calls()
    kinds: Counter[str] = Counter()

    def counted() -> Iterator[Mutant]:
        for mutant in mutants(seed, calls):
            kinds[mutant.kind] += 1
            yield mutant

    came = WAYS[way](workspace, counted())
    of_file = way == "file"  # what a file says of specialists is a claim, which nobody compares
    aside = sum(workspace.quarantine.counts().get("import" if of_file else "drain", {}).values())
    stored = {call.id: call for call in workspace.calls()}
    known = (
        came.calls - came.added - came.refused - (0 if of_file else aside)
    )  # an id that was there already, or came twice
    tasks = find_tasks(workspace)
    (main,) = [task for task in tasks if "good-0" in _ids(workspace, task)]
    curated = _curated(workspace, tasks)
    look(workspace)
    shown, page = status(workspace), gather(workspace)
    wanted = {f"good-{number}" for number in range(calls)}
    compared = {row.call_id for row in workspace.history.attempts() if row.agreed is not None}
    figures: dict[str, Any] = {
        "calls": came.calls,
        "kinds": len(kinds),
        "stored": came.added,
        "set aside": aside,
        "refused and named": came.refused,
        "known already": known,
        "good stored and read": len(wanted & stored.keys()),
        "good in their task": len(wanted & _ids(workspace, main)),
        "good curated": len(wanted - {call_id for call_id, why in curated.items() if why == UNREADABLE}),
        "good watched": 0 if of_file else len(wanted & compared),
        "seen by the watch": workspace.watched.noticed() == workspace.last_call(),
        "set aside by place": {place: sum(n.values()) for place, n in workspace.quarantine.counts().items()},
        "a second drain adds": drain(workspace),
    }
    taken = _ids_taken(way, calls, seed)
    whole = [figures[f"good {what}"] == calls for what in ("stored and read", "in their task", "curated")]
    watched = figures["seen by the watch"] and (of_file or figures["good watched"] == calls)
    adds_up = workspace.count_calls() == before + came.added and 0 <= known <= taken
    adds_up = adds_up and (not of_file or aside <= came.refused)
    told_all = shown["calls"] == page.calls == workspace.count_calls()
    figures["ok"] = all(whole) and watched and adds_up and told_all and figures["a second drain adds"] == 0
    workspace.close()
    return figures


def workspace_is_live(workspace: Workspace) -> None:
    """Good calls, the task that they are, and its specialist that answers."""
    calls = [good(-1 - number, f"first-{number}") for number in range(FIRST)]
    journal = Recorder(workspace.home)
    for call in calls:
        journal.record({**call, "attempts": []})
    journal.close()
    (task,) = find_tasks(workspace)
    save_specialist(workspace, 2, "live")
    (specialist,), route = workspace.specialists(), workspace.routes()["s2"]
    workspace.save_specialist(replace(specialist, task_id=task.id))
    signatures = tuple(template.signature for template in task.templates)
    workspace.save_route(replace(route, task_id=task.id, signatures=signatures, teachers=("gpt-4o",)))
    publish(workspace)


def _ids(workspace: Workspace, task: Task) -> set[str]:
    return {call.id for call in workspace.calls(task_id=task.id)}


def _curated(workspace: Workspace, tasks: list[Task]) -> dict[str, str]:
    """The calls that curation leaves out, each with its reason. Tasks with too few calls have no data set."""
    left_out: dict[str, str] = {}
    for task in tasks:
        calls = list(workspace.calls(task_id=task.id))
        try:
            curated = curate(task, calls, None, RedactionPolicy(model=False), on_aside=workspace.quarantine.keep)
        except ProtegeError as error:
            assert len(calls) < FIRST, error
            continue
        left_out |= curated.provenance["rejected"]
    return left_out


def _ids_taken(way: str, calls: int, seed: int) -> int:
    """How many of the mutants may not be new: those with an id of others, or without one."""
    return sum(mutant.record.get("id") != f"bad-{seed}-{i}" for i, mutant in enumerate(mutants(seed, calls)))


def main() -> None:
    options = command_line(__doc__ or "", ("calls", 3_000), ("seed", 1))
    logging.disable(logging.WARNING)
    figures: dict[str, Any] = {}
    for number, way in enumerate(WAYS):
        with tempfile.TemporaryDirectory() as home:
            figures[way] = sweep(way, options.calls, options.seed + number, Path(home))
    told({**figures, "ok": all(found["ok"] for found in figures.values())}, as_json=options.json)


if __name__ == "__main__":
    main()
