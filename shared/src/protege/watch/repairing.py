"""Repairs a home: what is damaged is set aside, and nobody answers whose promise was lost with it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import store
from ..collect import drain
from ..common.digest import sha256_of
from ..common.files import home_path
from ..common.leftovers import remove_leftovers
from ..common.switch import ALL, take
from ..errors import BadInput
from ..rollout.lifecycle import retire
from ..rollout.policy import EVERY
from ..rollout.publishing import publish
from ..rollout.switching import set_policy, settle
from ..specialist import Specialist
from ..store import Mended
from ..store.home import read
from ..store.records import Event
from ..store.salvage import EVERYTHING, SCHEMA
from ..workspace import Workspace


@dataclass(frozen=True, slots=True)
class Repair:
    """What a repair did."""

    store: Mended
    off: bool
    """Whether every task was switched off, since something is lost that says who may answer."""
    specialists: dict[str, str]
    """By name, why these answer no more, or could not."""
    calls: int
    """How many were taken in from journals."""
    damaged_journals: int
    """Journal files with damaged frames; what can be read of them is in the store."""
    temporaries: int
    """How many were removed."""

    def to_record(self) -> dict[str, Any]:
        """As JSON holds it."""
        names = ("off", "specialists", "calls", "damaged_journals", "temporaries")
        return {
            "fault": self.store.fault,
            "lost": dict(self.store.lost),
            "kept": self.store.kept and str(self.store.kept),
            **{name: getattr(self, name) for name in names},
        }

    def lines(self) -> list[str]:
        """For people; empty if nothing was damaged."""
        said: list[str] = []
        if self.store.fault:
            where = f"; the damaged one is kept in {self.store.kept}" if self.store.kept else ""
            said.append(f"The store was damaged ({self.store.fault}). What could be read stands in a new one{where}.")
        if rows := {name: number for name, number in self.store.lost.items() if name not in (EVERYTHING, SCHEMA)}:
            said.append(f"Set aside: {store.in_words(rows)}.")
        if EVERYTHING in self.store.lost:
            said.append("All of it, or its latest changes, are lost: collect calls again, and improve anew.")
        if self.off:
            said.append(
                "Something is lost that says who may answer, so the teacher answers every task. Look at `protege "
                "status` and `protege policy TASK`, set anew what is missing, then: protege on"
            )
        said += [f"{name}: {why}" for name, why in self.specialists.items()]
        if self.calls:
            said.append(f"{self.calls:,} calls were taken in from journals.")
        if self.damaged_journals:
            said.append(f"{self.damaged_journals} journal files are damaged; what could be read is in the store.")
        if self.temporaries:
            said.append(f"{self.temporaries} temporaries of killed processes were removed.")
        return said


def repair(home: str | os.PathLike[str] | None = None) -> Repair:
    """Repair what is damaged in a home. Killed at any time, it can be done again; done again, it finds nothing.

    Raises WorkspaceBusy while the loop or another process that would be in the way is at work, BadInput if there is no
    home, or its store cannot be repaired.
    """
    folder = home_path(home)
    try:
        backend = store.open_store(folder, read(folder))
    except FileNotFoundError:
        raise BadInput(f"There is no home {folder}.", "Name one with --home.") from None
    if not hasattr(backend, "repair"):
        raise BadInput(f"The store {backend.name} cannot be repaired from here.", "Use what its database brings.")
    mended = backend.repair(lambda: take(folder, ALL))
    workspace = Workspace(folder)
    try:
        with workspace.turn:
            if mended.state_lost and not workspace.state.policy(EVERY).get("off"):
                set_policy(workspace, None, {"off": True})
            if mended.state_lost:
                why = "A repair lost what says who may answer: the teacher answers until `protege on`."
                workspace.history.note(Event("repaired", why, ""))
            ended = _without_files(workspace)
            settle(workspace)
        temporaries = remove_leftovers(folder)
        calls = drain(workspace)
        publish(workspace)
    finally:
        workspace.close()
    journals = len([*(folder / "journal").glob("*.damaged")])
    return Repair(mended, mended.state_lost, ended, calls, journals, temporaries)


def _without_files(workspace: Workspace) -> dict[str, str]:
    """Take specialists off the route whose files are missing or are others than were made."""
    told: dict[str, str] = {}
    for specialist in workspace.specialists():
        if (fault := _fault(workspace.specialist_folder(specialist), specialist)) is not None:
            told[specialist.name] = f"{fault}, so it cannot answer: `protege improve` makes another"
            if specialist.state in ("shadow", "canary", "live"):
                retire(workspace, specialist, f"{fault}.")
    return told


def _fault(folder: Path, specialist: Specialist) -> str | None:
    for name, file in specialist.files.items():
        path = folder / file
        if not path.exists():
            return f"its file {file} is missing"
        if name in specialist.digests and sha256_of(path) != specialist.digests[name]:
            return f"its file {file} is damaged"
    return None
