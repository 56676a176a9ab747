"""The table of extras is that of pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from protege.common.extras import EXTRAS, distribution_of, extra_of

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_brings_what_its_row_says_and_nothing_else(extra: str) -> None:
    required = {re.split(r"[<>=\[ ]", line)[0] for line in PROJECT["optional-dependencies"][extra]}
    assert {distribution_of(module) for module in EXTRAS[extra].modules} == required - {"protege"}


def test_a_module_leads_to_its_extra() -> None:
    assert extra_of("sklearn.feature_extraction.text") == "discover" and extra_of("torch") == "tune"
    assert extra_of("httpx") is None and extra_of("") is None
