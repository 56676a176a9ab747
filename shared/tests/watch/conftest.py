"""A workspace whose task `colour` a specialist answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from protege import Workspace
from protege.rollout import publish
from watched import colour_task, specialist, terms


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    workspace = Workspace(tmp_path / "home")
    workspace.save_tasks([colour_task()], {})
    workspace.save_specialist(specialist(1, "live"))
    workspace.save_route(terms(1))
    publish(workspace)
    yield workspace
    workspace.close()
