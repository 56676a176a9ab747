"""Programs in Python."""

from __future__ import annotations

import ast

from ....common.wrappers import fenced
from ..base import Grader
from .sandbox import require_sandbox, run


class Code(Grader):
    """The same program: equal syntax trees, so layout, comments, docstrings and kinds of quotes do not count.

    Names do count. A fence of backticks is no part of the program, but either both answers have one or neither. Text
    that Python does not parse must be the same, except for white space around it.

    tests: Python statements that raise if an answer is wrong. With them, two different programs also count as the same
    if both pass. They run one after the other, each in a process of its own that cannot write a file, reach a network
    or start a process (`sandbox.run`). Raises NoSandbox if this machine cannot isolate them; then nothing is run.
    """

    def __init__(self, tests: str = "") -> None:
        self.name = "code by its tests" if tests else "code by syntax tree"
        self._tests = tests
        if tests:
            require_sandbox()

    def agree(self, answer: str, teacher: str) -> bool:
        if answer.strip() == teacher.strip():
            return True
        (fenced, mine), (others_fenced, theirs) = _program(answer), _program(teacher)
        if fenced != others_fenced:
            return False
        forms = _form(mine), _form(theirs)
        if None in forms:
            return False
        return forms[0] == forms[1] or (bool(self._tests) and self._passes(theirs) and self._passes(mine))

    def _passes(self, program: str) -> bool:
        return run(program, self._tests).passed


def _program(text: str) -> tuple[bool, str]:
    """Whether the text is one fenced program, and the program."""
    block = fenced(text)
    if block is None or block.body is None or block.language.lower() not in ("", "py", "python", "python3"):
        return False, text.strip()
    return True, block.body.removesuffix("\n")


def _form(program: str) -> str | None:
    """The syntax tree as text; None if the program does not parse."""
    try:
        tree = ast.parse(program)
        for node in ast.walk(tree):
            _bare(node)
        return ast.dump(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _bare(node: ast.AST) -> None:
    """Remove the docstring, and the u of u"text"."""
    if isinstance(node, ast.Constant):
        node.kind = None
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return
    if ast.get_docstring(node, clean=False) is not None and len(node.body) > 1:
        del node.body[0]
    elif ast.get_docstring(node, clean=False) is not None and not isinstance(node, ast.Module):
        node.body[0] = ast.Pass()
