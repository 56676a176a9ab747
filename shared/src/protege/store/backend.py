"""What a store brings. `registry` finds it by its name, `protege.testing.stores` checks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import sqlalchemy as sa

TURN_S = 60.0
"""How long `turn` waits for whoever has it."""


@dataclass(frozen=True, slots=True)
class Damage:
    """What of a store cannot be read."""

    fault: str = ""
    """What is wrong with the whole, so that nothing can be done with it before it is repaired; "" if nothing is."""
    rows: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many rows of each table are damaged. All else goes on without them."""


@dataclass(frozen=True, slots=True)
class Mended:
    """What a repair found and did."""

    fault: str = ""
    """What was wrong with the whole store, which was written anew; "" if nothing was."""
    lost: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many rows of each table were set aside; of pages that could not be read, one for each table."""
    state_lost: bool = False
    """Whether something is lost that says who may answer."""
    kept: Path | None = None
    """The folder with the damaged original, if the store was written anew."""


class Backend(Protocol):
    """A database of one home, and the locks of its workspace."""

    @property
    def name(self) -> str:
        """The name that it is registered under."""
        ...

    def connect(self) -> sa.Engine:
        """An engine for the store, its tables migrated (`store.migrations.migrate`). Many processes may call it at
        once.

        Raises WorkspaceError if the store cannot be opened or was written by a newer version.
        """
        ...

    def insert_new(self, connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> int:
        """Insert the rows that break no unique constraint, in their order; leave the others. Returns how many.

        A reader that has seen a `number` must never meet a smaller one later: a store that lets several processes
        write at once makes them take turns here.
        """
        ...

    def upsert(self, connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows, in place of those with the same primary key: the columns named are overwritten."""
        ...

    def lock(self) -> AbstractContextManager[None]:
        """Held for hours by the loop, which runs alone. Raises WorkspaceBusy at once if another process holds it.

        A killed process loses it.
        """
        ...

    def turn(self) -> AbstractContextManager[None]:
        """Held for moments by whoever changes who answers; a thread that holds it may take it again.

        Raises WorkspaceBusy after TURN_S. A killed process loses it. Independent of `lock`.
        """
        ...

    def set_aside(self) -> Mapping[str, Mapping[str, int]]:
        """How much is in quarantine, by place and reason: a look, as `journal_offsets`."""
        ...

    def repair(self, before: Callable[[], object]) -> Mended:
        """Set aside what cannot be read, so that all else can be used (`mending`). A store that is sound is left as it
        is. Killed at any time, it can be done again.

        before: is called before anything is changed if something is lost that says who may answer. Raises WorkspaceBusy
        if the store has to be written anew and another process has it open.
        """
        ...

    def damage(self) -> Damage:
        """What of the store is damaged: a look, as `journal_offsets`."""
        ...

    def journal_offsets(self) -> Mapping[str, int]:
        """How far each journal file is stored, in bytes, by its name: a look that makes and changes nothing.

        Empty if there is no store yet, or it cannot be read.
        """
        ...


Factory: TypeAlias = Callable[[Path, str], Backend]
"""Makes a store from the home folder and the address that stands behind the store's name in workspace.json ("" if none
does). It opens nothing: `connect` does."""
