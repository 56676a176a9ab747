"""The embedded engine of a serving process: published to agents, restarted, replaced when others become live."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ...specialist import Specialist
from .engine import EmbeddedEngine, serve
from .process import START_S
from .shared import publish, withdraw

if TYPE_CHECKING:
    from ...workspace import Workspace

DRAIN_S = 2.0
"""How long an engine lives on after another took its place, for the answers under way."""


class EmbeddedHost:
    """Serves a workspace's specialists to its agents; as `serve.kind.Host`."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._engine: EmbeddedEngine | None = None
        self._served: frozenset[tuple[str, str]] | None = None

    def serve(self, specialists: Sequence[Specialist]) -> None:
        """These from now on; those that it has are not started again. Raises as `serve`, and then goes on as before."""
        wanted = frozenset((s.id, s.serve_as) for s in specialists)
        if wanted == self._served:
            return
        before, self._engine = self._engine, serve(self._workspace, specialists)
        self._served = wanted
        self._publish()
        if before is not None:
            closing = threading.Timer(DRAIN_S, before.close)
            closing.daemon = True
            closing.start()

    def mend(self) -> None:
        """Start children again that died. Raises EngineError if one cannot be."""
        if self._engine is not None and self._engine.mend(START_S):
            self._publish()

    def addresses(self) -> Iterable[str]:
        """The sockets of the servers."""
        return {place.socket for place in self._engine.places().values()} if self._engine else set()

    def close(self) -> None:
        """End the servers; agents find them no more."""
        withdraw(self._workspace.home)
        if self._engine is not None:
            self._engine.close()

    def _publish(self) -> None:
        if self._engine is not None:
            publish(self._workspace.home, self._engine.places())
