"""A second opinion: the head that is asked what it makes of a tuned model's answers.

Its file lies in the tuned model's own folder, so that both travel, and end, together. It is served as any head is: in
the process that asks, known by its digest, and by its embedder and that one's version.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..common.files import write_private
from ..common.trust import check_trusted
from ..errors import ProtegeError, ResourceError
from ..specialist import Specialist
from .registry import engine_kind

if TYPE_CHECKING:
    from ..heads import Opinion
    from ..workspace import Workspace

HEAD = "head"
"""The kind of engine, and what the file is among a specialist's `files`."""

log = logging.getLogger("protege.serve")


class Adviser(Protocol):
    """Gives opinions. Safe for many threads."""

    def fingerprint(self, specialist: Specialist) -> str:
        """SHA-256 (hex) over all that its opinions depend on. Raises NotServed, EngineError."""
        ...

    def opinion(self, specialist: Specialist, prompt: str, answer: str, *, timeout_s: float) -> Opinion:
        """What this head makes of an answer to a prompt as `head_of` shows it. Raises EngineError."""
        ...


def head_of(specialist: Specialist) -> Specialist:
    """The head that gives a tuned model's second opinion, as heads are asked."""
    from ..heads import NGRAMS  # it needs numpy, and agents load this module

    placed: Mapping[str, Mapping[str, Any]] = {HEAD: specialist.second_opinion or {}}
    return replace(specialist, base=NGRAMS, serve_as=HEAD, engine=HEAD, placed=placed, second_opinion=None)


def advised(workspace: Workspace, specialist: Specialist, head: Specialist) -> Specialist:
    """The specialist with a copy of this head for a second opinion; as it is if it has one that can be asked.

    Raises ResourceError where it cannot be copied; BaseModelError, BadInput, MissingDependency where not placed.
    """
    if adviser(workspace, specialist) is not None:
        return specialist
    name = head.files[HEAD]
    try:
        body = (workspace.specialist_folder(head) / name).read_bytes()
        write_private(workspace.specialist_folder(specialist) / name, body)
    except OSError as error:
        raise ResourceError(f"The head of {head.name} cannot be copied: {error.strerror}.", "Free disk.") from None
    files, digests = {**specialist.files, HEAD: name}, {**specialist.digests, HEAD: head.digests[HEAD]}
    return with_opinion(workspace, replace(specialist, files=files, digests=digests))


def with_opinion(workspace: Workspace, specialist: Specialist) -> Specialist:
    """The specialist with the head in its folder for a second opinion. Raises as `advised`."""
    kind = engine_kind(HEAD)
    placed = kind.place(workspace, replace(specialist, engine=HEAD), keep_alive="0").placed[HEAD]
    return replace(specialist, second_opinion=placed)


def adviser(workspace: Workspace, specialist: Specialist) -> Adviser | None:
    """Whom to ask for the specialist's second opinion; None if it has none, or its head cannot be asked.

    Raises WorkspaceError if the home is not known as this user's.
    """
    if specialist.second_opinion is None:
        return None
    check_trusted(workspace.home)
    try:
        return cast("Adviser", engine_kind(HEAD).open(workspace, head_of(specialist)))
    except ProtegeError as error:
        log.warning("%s has no second opinion: %s", specialist.name, error)
        return None
