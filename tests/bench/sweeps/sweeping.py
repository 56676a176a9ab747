"""What the sweeps share: the home that they disturb, an agent that looks at it, and how they print their figures."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from protege import Base, Call, Request, Route, Router, Specialist, Task, Template, Workspace
from protege.collect import drain
from protege.rollout import publish
from protege.specialist import State
from protege.task import TemplatePart

INSTRUCTION = "You name the colour of a thing. Answer with one word."
MESSAGES = ({"role": "system", "content": INSTRUCTION}, {"role": "user", "content": "x"})
TEMPLATE = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>"
BASE = Base("tiny", "tiny.gguf", "0", "gguf", "llama", "Apache-2.0", 512, TEMPLATE, control_tokens=("<|user|>",))


def live_home(home: Path) -> Workspace:
    """A home with one task and two specialists; the newer one is live."""
    workspace = Workspace(home)
    template = Template("sig", (TemplatePart(0, "system", lines=(INSTRUCTION,)),))
    task = Task("t", "colour", "label", labels=("red",), templates=(template,), centre={"colour": 1.0}, calls=9)
    workspace.save_tasks([task], {})
    save_specialist(workspace, 1, "retired")
    save_specialist(workspace, 2, "live")
    workspace.state.save_replaced("s1", True)
    publish(workspace)
    return workspace


def save_specialist(workspace: Workspace, version: int, state: State) -> None:
    """A specialist of the task, and the route that it was certified on."""
    name = f"s{version}"
    workspace.save_specialist(Specialist(name, f"colour-v{version}", "t", version, BASE, "slots", state))
    workspace.save_route(Route("t", name, 0.5, "F", 0.05, 0.05, 200, 180, 1, signatures=("sig",)))


def agent_of(home: Path) -> Router:
    """A router that has no engine: it says whom it would ask."""
    return Router(home, connect=lambda home: None, start=lambda home: None)


def asks_specialist(router: Router) -> bool:
    """Whether the agent follows a specialist now."""
    return router.decide(Request(MESSAGES)).reason == "routed"


def record(call_id: str) -> dict[str, Any]:
    """A call of the task, as a recorder takes it."""
    return {"id": call_id, "messages": list(MESSAGES), "response": {"role": "assistant", "content": "red"}}


def eventually(condition: Callable[[], bool], limit_s: float, every_s: float = 0.01) -> bool:
    """Whether the condition holds in time."""
    until_s = time.monotonic() + limit_s
    while time.monotonic() < until_s:
        if condition():
            return True
        time.sleep(every_s)
    return condition()


def calls_of(home: Path, least: int) -> list[Call]:
    """What was recorded, once there is so much, or after half a minute."""
    workspace = Workspace(home)

    def there() -> bool:
        drain(workspace)
        return len(list(workspace.calls())) >= least

    eventually(there, 30, 0.1)
    calls = list(workspace.calls())
    workspace.close()
    return calls


def percentile(values: list[float], share: float) -> float:
    """Of these values, the one that so many are not above."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def command_line(text: str, *numbers: tuple[str, int], parts: Iterable[str] = ()) -> argparse.Namespace:
    """The options of a sweep: numbers with their defaults, --json, and --only for one of its parts."""
    parser = argparse.ArgumentParser(description=text.partition("\n")[0])
    if parts := tuple(parts):
        parser.add_argument("--only", choices=parts, action="append", help="one part; may be given several times")
    for name, default in numbers:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    return parser.parse_args()


def told(figures: dict[str, Any], *, as_json: bool) -> None:
    """Print the figures, and end with 1 if one of them says that something broke."""
    if as_json:
        print(json.dumps(figures, indent=2))
    else:
        _print_lines(figures, "")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0 if figures["ok"] else 1)  # threads of the sweep may be waiting still


def _print_lines(figures: dict[str, Any], indent: str) -> None:
    for name, value in figures.items():
        if isinstance(value, dict):
            print(f"{indent}{name}:")
            _print_lines(value, indent + "  ")
        else:
            print(f"{indent}{name}: {value:.3g}" if isinstance(value, float) else f"{indent}{name}: {value}")
