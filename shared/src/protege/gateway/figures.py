"""What the gateway counts, for Prometheus. Several workers write into one folder, and any of them tells all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess, values

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.064, 0.25, 1.0)


class Figures:
    """Counts of one worker. folder: where the workers of a gateway write theirs."""

    def __init__(self, folder: Path) -> None:
        os.environ[VARIABLE] = str(folder)
        values.ValueClass = values.MultiProcessValue()  # what its import does where the variable is set by then
        registry = CollectorRegistry()
        self._requests: Counter = Counter(
            "protege_gateway_requests", "Requests by front and by who answered.", ("front", "by"), registry=registry
        )
        self._unrecorded: Counter = Counter(
            "protege_gateway_unrecorded", "Calls that were not recorded, by reason.", ("reason",), registry=registry
        )
        self._own: Histogram = Histogram(
            "protege_gateway_own_seconds",
            "The gateway's own time to read a request.",
            buckets=BUCKETS_S,
            registry=registry,
        )

    def answered(self, front: str, by: str) -> None:
        """A request was answered. by: upstream, specialist, gateway (an error of its own), gone (by nobody)."""
        self._requests.labels(front, by).inc()

    def unrecorded(self, reason: str) -> None:
        """A call was not recorded."""
        self._unrecorded.labels(reason).inc()

    def took(self, seconds: float) -> None:
        """The time from a request's last byte until it was read."""
        self._own.observe(seconds)

    def exposition(self) -> bytes:
        """The figures of all workers in Prometheus' text format."""
        registry: Any = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return generate_latest(registry)
