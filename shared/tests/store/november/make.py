# type: ignore  # it runs with an older tree, whose names these are
"""Makes the home of 29 November 2026 that `test_november.py` opens. Run once, with the tree of then:

    git worktree add OLD f42106e
    PYTHONPATH=OLD/shared/src python shared/tests/store/november/make.py

All of it is made up: 36 calls of a task `colour`, some of them tried by specialists; four specialists (live, retired,
in the shadow, a canary of a second task); routes, policies, events and marks as the rollout of then wrote them; the
results of the loop and of the watch under their keys of then; and a route among the results, as older versions kept it.
Writes `store.sql` (a dump of the database), `workspace.json`, `routes.json` and `expected.json`: what the tree of then
read out of it.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from protege import Attempt, Base, Call, Request, Route, Specialist, Task, Template, Workspace, lifecycle
from protege.history import Event
from protege.policy import policy_of, set_policy
from protege.route import publish
from protege.task import TemplatePart
from protege.watch import Reason, look, open_reason

HERE = Path(__file__).parent
BASE = Base("tiny", "tiny.gguf", "0" * 64, "gguf", "llama", "Apache-2.0", 2048, "{{ messages }}", eos=("</s>",))
COLOUR = "You name the colour of a thing. Answer with one word."
SIZE = "You say how big a thing is. Answer with one word. " * 8
START = 4e9
"""Of the calls, seconds since 1970: after whatever the tree of then did here."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(folder)
        fill(workspace)
        expected = told(workspace)
        workspace.close()
        with sqlite3.connect(workspace.home / "store.db") as database:
            (HERE / "store.sql").write_text("\n".join(database.iterdump()) + "\n")
        for name in ("workspace.json", "routes.json"):
            (HERE / name).write_bytes((workspace.home / name).read_bytes())
        (HERE / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")


def fill(workspace: Workspace) -> None:
    tasks = [task("colour", COLOUR, ("red", "blue")), task("size", SIZE, ("big", "small"))]
    for name, version in (("colour", 1), ("colour", 2), ("colour", 3), ("size", 1)):
        workspace.save_specialist(specialist(name, version))
    workspace.add_calls(call(number) for number in range(24))
    workspace.save_tasks(tasks, {f"c{n}": "colour" if n % 3 else "size" for n in range(24)})
    for name, version in (("colour", 1), ("colour", 2)):
        lifecycle.promote(workspace, known(workspace, f"{name}-{version}"), route(name, version), "Certified.")
    lifecycle.shadow(workspace, known(workspace, "colour-3"), route("colour", 3), "Compared first.")
    workspace.add_calls(call(number) for number in range(24, 36))
    results(workspace)
    lifecycle.promote(workspace, known(workspace, "size-1"), route("size", 1), "Certified.")
    lifecycle.rollback(workspace, known(workspace, "size-1"), "By hand.")
    set_policy(workspace, None, {"epsilon": 0.1, "audit": 0.05})
    set_policy(workspace, tasks[0], {"delta": 0.05, "latency_ms": 900.0, "budget_usd": 2.5, "grader": ""})
    set_policy(workspace, tasks[1], {"pin": "teacher", "off": False, "grader": "label any case"})
    look(workspace)
    open_reason(workspace, "size", Reason("It was rolled back.", START + 5, learn_since=START + 1, opened=START + 90))
    workspace.note(Event("drift", "The answers are divided otherwise.", "colour", "colour-2", START + 99, {"n": 200}))
    publish(workspace)


def results(workspace: Workspace) -> None:
    """What the loop, the watch and the demo of then keep, and a route as the oldest homes keep it."""
    ledger = [("first", [f"c{n}" for n in range(4)], 0.05), ("second", [f"c{n}" for n in range(4)], 0.0125)]
    figures = {"certified_coverage": 0.9, "evaluation": {"agreement": 0.95}, "ceiling": {"prompts": 9, "share": 0.97}}
    improvement = {
        "task_id": "colour",
        "decision": "live",
        "reason": "colour-v2 keeps 90%.",
        "passed_over": [["b", "-"]],
    }
    older = asdict(route("size", 9))
    for key, value in {
        "decisions:colour": [{"key": key, "calls": calls, "delta": delta} for key, calls, delta in ledger],
        "data:colour": {"folder": "d0", "terms": "made of", "calls": 20, "time": START + 50, "after": 6},
        "improvement:colour": {**improvement, "specialist_id": "colour-2", "figures": figures},
        "improvement:size": {"task_id": "size", "decision": "teacher", "reason": "Too few calls."},
        "ceiling:size": {"agreement": 0.9, "n": 30, "interval": [0.8, 0.95], "asked_again": True},
        "realised:colour": {"calls": 12, "kept": 9, "compared": 9, "disagreements": 1},
        "end-to-end": {"without": {"runs": 9, "succeeded": 8}, "with": {"runs": 9, "succeeded": 7}, "time": START},
        "teacher": {"price_as": "gpt-4.1", "stand_in": "Labels that people published."},
        "demo:watched": 36,
        "changed:colour-2": {"drift": 4, "prompt changed": 5},
        "route:size-9": {name: older[name] for name in list(older)[:9]},
        "judged:colour-2:f:test:h": [[1, 2], [3, 4]],
        "tasks:36": 2,
        "worth:colour": {"made_from": "x", "worth": {}},
    }.items():
        workspace.save_result(key, value)


def told(workspace: Workspace) -> dict[str, Any]:
    """What the tree of then reads out of the home, as JSON."""
    result, specialists = workspace.result, workspace.specialists()
    every = [s.id for s in specialists]
    return {
        "states": {s.id: s.state for s in specialists},
        "routes": {identity: route.to_record() for identity, route in workspace.routes().items()},
        "policies": {of: asdict(policy_of(workspace, of)) for of in ("*", "colour", "size")},
        "stages": {of: result(f"stage:{of}") for of in every},
        "replaced": [of for of in every if result(f"replaced:{of}")],
        "taken_out": [of for of in every if result(f"taken-out:{of}")],
        "decisions": result("decisions:colour"),
        "calls": [call.id for call in workspace.calls()],
        "numbers": [number for number, _ in workspace.numbered_calls()],
        "contents": {call.id: call.content_hash for call in workspace.calls()},
        "assignments": workspace.assignments(),
        "attempts": [asdict(row) for row in workspace.attempts()],
        "events": [asdict(event) for event in workspace.events()],
        "reason": result("reason:size"),
        "noticed": result("noticed"),
        "compared": result("compared:colour"),
        "windows": {of: result(f"window:{of}") for of in every},
        "results": {key: result(key) for key in STATE},
    }


STATE = (
    "data:colour",
    "improvement:colour",
    "improvement:size",
    "ceiling:size",
    "realised:colour",
    "end-to-end",
    "teacher",
    "changed:colour-2",
    "judged:colour-2:f:test:h",
    "tasks:36",
)


def task(name: str, text: str, labels: tuple[str, ...]) -> Task:
    template = Template(f"sig-{name}", (TemplatePart(0, "system", lines=(text,)),))
    words = {word.strip(".").lower() for word in text.split()}
    return Task(
        name, name, "label", labels=labels, templates=(template,), centre=dict.fromkeys(words, len(words) ** -0.5)
    )


def specialist(name: str, version: int) -> Specialist:
    identity = f"{name}-{version}"
    return Specialist(identity, f"{name}-v{version}", name, version, BASE, "slots", created=START + version)


def known(workspace: Workspace, identity: str) -> Specialist:
    return replace(next(s for s in workspace.specialists() if s.id == identity))


def route(name: str, version: int) -> Route:
    promise = {"epsilon": 0.05, "delta": 0.05, "calibration_calls": 260, "kept": 240, "errors": 4}
    seen = {"signatures": (f"sig-{name}",), "teachers": ("large",), "audit": 0.02}
    return Route(name, f"{name}-{version}", 0.8, f"engine of {name}", **promise, **seen)


def call(number: int) -> Call:
    """Every third is of `size`; of `colour` some were tried by a specialist."""
    colour = number % 3 != 0
    outcome = {1: "kept", 2: "audited", 4: "handed_back"}.get(number % 6) if colour else None
    reason = "below threshold" if outcome == "handed_back" else "kept"
    rate = 0.02 if outcome == "audited" else None
    tries = (Attempt("colour-2", outcome, reason, 0.9, 5.0, "red", rate),) if outcome else ()
    messages = (
        {"role": "system", "content": COLOUR if colour else SIZE},
        {"role": "user", "content": f"thing {number}"},
    )
    return Call(
        id=f"c{number}",
        request=Request(messages),
        response={"role": "assistant", "content": "red" if colour else "big"},
        answered_by="large",
        attempts=tries,
        time=START + number,
    )


if __name__ == "__main__":
    main()
