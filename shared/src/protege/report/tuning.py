"""What the report tells of how specialists were tuned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..specialist import Specialist
from .data import Doubted, Loss


def losses(specialist: Specialist | None) -> tuple[Loss, ...]:
    """Its learning curve; empty where there is none."""
    points = _figures(specialist).get("losses") or ()
    return tuple(Loss(point["step"], point.get("train"), point.get("validation")) for point in points)


def trials(specialist: Specialist) -> Sequence[Mapping[str, Any]]:
    """The settings that were tried within a budget; empty where there was none."""
    return _figures(specialist).get("trials") or ()


def doubted(specialists: Sequence[Specialist]) -> Doubted | None:
    """Training answers that look wrong to a task's newest head, whether it answers or not; None without one."""
    heads = [specialist for specialist in specialists if "doubted" in _figures(specialist)]
    if not heads:
        return None
    figures = _figures(max(heads, key=lambda head: head.version))
    return Doubted(figures["doubted"], figures["examples"], tuple(figures["doubted_calls"]))


def _figures(specialist: Specialist | None) -> Mapping[str, Any]:
    return ((specialist.report or {}) if specialist else {}).get("tuning") or {}
