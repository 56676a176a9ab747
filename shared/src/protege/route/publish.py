"""Writing routes.json from the workspace."""

from __future__ import annotations

from pathlib import Path

from ..workspace import Workspace, write_private
from .table import to_bytes


def publish(workspace: Workspace) -> Path:
    """Tell running agents which routes are on: those whose specialist is live. They follow within a second.

    All tasks are written, so that a call of a task without a route is not taken for the nearest that has one.
    """
    specialists = {specialist.id: specialist for specialist in workspace.specialists()}
    pairs = [
        (route, specialists[route.specialist_id])
        for route in workspace.routes().values()
        if route.specialist_id in specialists and specialists[route.specialist_id].state == "live"
    ]
    path = workspace.home / "routes.json"
    write_private(path, to_bytes(workspace.tasks(), pairs))
    return path
