"""What an agent loads of engines is light."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("numpy", "scipy", "sklearn", "datasets", "sqlalchemy", "torch", "transformers", "xllamacpp")


@pytest.mark.parametrize(
    "module",
    [
        "protege.serve.engine",
        "protege.serve.registry",
        "protege.serve.embedded.kind",
        "protege.serve.embedded.shared",
        "protege.serve.embedded.starting",
        "protege.serve.ollama.kind",
        "protege.serve.head.kind",
        "protege.serve.vllm.kind",
        "protege.route.link",
    ],
)
def test_no_numeric_library_and_no_database_is_loaded(module: str) -> None:
    script = f"import {module}, sys; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


def test_a_kind_of_engine_is_loaded_when_it_is_asked_for_and_not_before() -> None:
    script = "import protege.route.link, sys; print(*(n for n in sys.modules if 'kind' in n or n == 'httpx'))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert {name for name in run.stdout.split() if name.startswith(("protege", "httpx"))} == {"protege.serve.kind"}
