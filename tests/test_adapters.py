"""The adapters in packages/: what they import of Protégé, and what they ship."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGES = sorted((Path(__file__).parents[1] / "packages").iterdir())
ALLOWED = {"protege.adapter", "protege.testing"}


def imported(source: str) -> set[str]:
    """The modules of the core that a source imports, wherever in it the import stands."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules.add(str(node.module))
    return {module for module in modules if module.split(".")[0] == "protege"}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_an_adapter_imports_only_the_face_for_adapters(package: Path) -> None:
    files = sorted((package / "src").rglob("*.py"))
    assert files
    wrong = {file.name: modules for file in files if (modules := imported(file.read_text()) - ALLOWED)}
    assert wrong == {}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_only_its_scripted_teacher_imports_the_parts_for_one(package: Path) -> None:
    users = [file.name for file in (package / "src").rglob("*.py") if "protege.testing" in imported(file.read_text())]
    assert set(users) <= {"testing.py"}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_an_adapter_is_typed(package: Path) -> None:
    assert list((package / "src").glob("*/py.typed"))


def test_the_walk_finds_an_import_in_a_function() -> None:
    assert imported("def f():\n    from protege.route import Router\n    import protege.call") == {
        "protege.route",
        "protege.call",
    }
