"""The power that this machine takes while it works: read from the processor's own meter (RAPL), else estimated."""

from __future__ import annotations

import hashlib
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import BadInput

METERS = Path("/sys/class/powercap")
ESTIMATED_W_A_CORE = 7.0
"""Of a server processor with 64 cores and 280 W, a core takes 4.4 W; memory, fans and conversion add about half."""
MEASURED_S = 1.0
"""How long all cores are kept busy while the meter is read."""


@dataclass(frozen=True, slots=True)
class Power:
    """watts: of the whole machine at work. source: a meter tells of processors alone; "given" is a user's figure.

    Raises BadInput if no machine takes so many.
    """

    watts: float
    source: Literal["meter", "estimate", "given"]

    def __post_init__(self) -> None:
        if not 0 <= self.watts < math.inf:
            raise BadInput(f"{self.watts} watts are no power.", "Give what the machine takes at work, such as 65.")


def machine_power(meters: Path = METERS) -> Power:
    """The power with all cores busy: measured for a second where the meter can be read, else estimated."""
    before, began_s = _microjoules(meters), time.monotonic()
    if before is None:
        return Power(ESTIMATED_W_A_CORE * (os.cpu_count() or 1), "estimate")
    _busy(MEASURED_S)
    after, spent_s = _microjoules(meters), time.monotonic() - began_s
    if after is None or after <= before:  # it has wrapped around
        return Power(ESTIMATED_W_A_CORE * (os.cpu_count() or 1), "estimate")
    return Power((after - before) / 1e6 / spent_s, "meter")


def _microjoules(meters: Path) -> int | None:
    """What all packages have taken so far; None where no meter can be read."""
    counts: list[int] = []
    for package in meters.glob("intel-rapl:[0-9]*"):
        if package.name.count(":") == 1:  # those below it are parts of it
            try:
                counts.append(int((package / "energy_uj").read_text()))
            except (OSError, ValueError):
                return None
    return sum(counts) if counts else None


def _busy(seconds: float) -> None:
    """Keep all cores at work. Hashing lets threads run side by side."""
    until_s, block = time.monotonic() + seconds, bytes(1 << 20)

    def work() -> None:
        while time.monotonic() < until_s:
            hashlib.sha256(block).digest()

    with ThreadPoolExecutor() as pool:
        for _ in range(os.cpu_count() or 1):
            pool.submit(work)
