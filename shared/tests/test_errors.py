"""The tree of errors shows every one."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

from protege import errors

SOURCE = Path(errors.__file__).parent


def drawn() -> dict[str, str]:
    """Each error in the tree, and the error above it."""
    above: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"    ((?:│   |    )*)(├── |└── )?([A-Z]\w+)", line):
            depth = len(match[1]) // 4 + bool(match[2])
            path[depth:] = [match[3]]
            above[match[3]] = path[depth - 1] if depth else ""
    return above


def test_the_tree_at_the_head_shows_every_error_under_its_own() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]
    tree = drawn()
    assert {kind.__name__: kind.__bases__[0].__name__ for kind in kinds if kind is not errors.ProtegeError} == {
        name: parent for name, parent in tree.items() if parent
    }


def test_no_other_module_of_the_core_defines_one() -> None:
    own = {name for name, kind in inspect.getmembers(errors, inspect.isclass)}
    elsewhere = [
        f"{path.relative_to(SOURCE)}: {node.name}"
        for path in sorted(SOURCE.rglob("*.py"))
        if path.name != "errors.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and {ast.unparse(base).split(".")[-1] for base in node.bases} & own
    ]
    assert elsewhere == []


def test_each_has_a_docstring_of_its_own() -> None:
    for name, kind in inspect.getmembers(errors, inspect.isclass):
        if kind.__module__ == errors.__name__:
            assert kind.__dict__.get("__doc__"), name
