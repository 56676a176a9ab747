"""What `protege` exports, and that it costs nothing to import."""

from __future__ import annotations

import re
import subprocess
import sys
from types import ModuleType

import protege

HEAVY = ("numpy", "scipy", "sklearn", "datasets", "sqlalchemy", "torch", "httpx", "jinja2", "typer", "rich")


def test_the_names_that_scripts_may_rely_on() -> None:
    assert sorted(vars(protege)["__all__"]) == [
        "Attempt",
        "Base",
        "Call",
        "CurateSettings",
        "Improvement",
        "Message",
        "ProtegeError",
        "Recorder",
        "Reply",
        "Request",
        "Route",
        "Router",
        "Settings",
        "Specialist",
        "Task",
        "TaskPolicy",
        "Template",
        "TuneSettings",
        "Workspace",
        "collect",
        "compare_agents",
        "drain",
        "find_tasks",
        "improve",
        "measure",
        "measure_ceiling",
        "promote",
        "report",
        "retire",
        "rollback",
        "set_policy",
        "status",
        "text_of",
        "wrap",
        "write_report",
    ]
    assert all(hasattr(protege, name) for name in vars(protege)["__all__"])


def test_a_room_that_is_exported_stays_a_room_however_it_is_imported() -> None:
    program = """
import protege
assert protege.collect.drain is protege.drain
import protege.collect, protege.report, protege.measure
from protege.collect import collect, drain
assert protege.collect.collect is collect and protege.collect.drain is drain is protege.drain
assert protege.report.write_report is protege.write_report
assert protege.measure.compare_agents is protege.compare_agents
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert all(isinstance(getattr(protege, name), ModuleType) for name in ("collect", "measure", "report"))


def test_importing_it_loads_nothing_heavy_and_takes_milliseconds() -> None:
    program = f"import protege, sys; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    took_ms: list[float] = []
    for _ in range(5):
        command = [sys.executable, "-X", "importtime", "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.stdout.split() == []
        match = re.search(r"\|\s+(\d+) \| protege$", done.stderr, re.MULTILINE)
        assert match is not None
        took_ms.append(int(match[1]) / 1000)
    assert min(took_ms) <= 80
