"""Inputs that nobody thought of, for seconds: the same in each run. `tests/bench/fuzzing.py` goes on for hours."""

from __future__ import annotations

from typing import Any

import pytest
from fuzzed import TARGETS
from hypothesis import HealthCheck, given, settings

EXAMPLES = {"files": 40, "graders": 60, "redactor": 60}
"""Of those that take longer."""


ALL_CHECKS: Any = tuple(HealthCheck)


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_what_is_documented_happens(name: str) -> None:
    target = TARGETS[name]

    @settings(
        max_examples=EXAMPLES.get(name, 150),
        derandomize=True,
        deadline=None,
        suppress_health_check=ALL_CHECKS,
    )
    @given(target.inputs)
    def tried(value: object) -> None:
        target.check(value)

    tried()
