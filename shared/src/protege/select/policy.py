"""Which models may be chosen as a base."""

from __future__ import annotations

from dataclasses import dataclass

PERMISSIVE = ("Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause")


@dataclass(frozen=True, slots=True)
class SelectionPolicy:
    """Which models may be chosen as a base."""

    licences: tuple[str, ...] = PERMISSIVE
    """SPDX identifiers of the allowed licences; add "LicenseRef-Gemma" or "unknown" to accept those."""
    max_parameters: int | None = None
    """The largest size, in parameters; None for no limit."""
    base: str | None = None
    """The name or path of a base to take instead of choosing; its licence must be allowed all the same."""
