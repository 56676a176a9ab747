"""Which engines a specialist is asked in: its own, and that of the head whose opinion its confidence needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, cast

from ..asking.confidence import Scorer
from ..errors import NoOpinion, NotServed
from ..serve.opinion import HEAD
from ..specialist import Specialist

if TYPE_CHECKING:
    from ..serve import Adviser
    from .link import EngineKey, EngineLink

    LinkTo: TypeAlias = Callable[[EngineKey], EngineLink]


def engine_of(specialist: Specialist) -> EngineKey:
    """The engine that has the specialist. Each engine fails by itself."""
    return specialist.engine, specialist.address


def needed(specialist: Specialist, scorer: Scorer | None) -> list[EngineKey]:
    """The engines without which none of its answers is kept."""
    head = [_head_engine(specialist)] if scorer is not None and scorer.adviser else []
    return [engine_of(specialist), *head]


def adviser_of(specialist: Specialist, scorer: Scorer | None, link: LinkTo) -> Adviser | None:
    """Whom to ask for the opinion that the scorer needs; None if it needs none, or nobody is connected."""
    if scorer is None or not scorer.adviser:
        return None
    return cast("Adviser | None", link(_head_engine(specialist)).engine())


def blame(specialist: Specialist, error: NoOpinion, link: LinkTo) -> None:
    """Leave the head's engine alone for a while if that failed; look again if it is another."""
    head = link(_head_engine(specialist))
    if error.__cause__ is None or isinstance(error.__cause__, NotServed):
        head.refresh()
    else:
        head.failure()


def _head_engine(specialist: Specialist) -> EngineKey:
    return HEAD, str((specialist.second_opinion or {}).get("address", ""))
