"""Measures the structure of the code, and fails where a limit is passed: `python tests/support/structure.py [-v]`.

It prints circles among files and among rooms, floors (the longest chain of rooms each of which imports the next),
product files over 400 lines, modules beside the rooms, and function-level imports. With `-v` it lists everything that
it counted, otherwise only what passes a limit.

An import counts wherever it stands: at the top, in a function, or under TYPE_CHECKING. A name that a room's
`__init__.pyi` hands out is followed to the module that defines it, because the room loads that module when the name is
used; import-linter cannot see that.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT / "shared" / "src", *sorted((ROOT / "packages").glob("*/src")))
LIMITS = {
    "circles among files": 0,
    "circles among rooms": 0,
    "floors": 15,
    "files over 400 lines": 0,
    "modules beside the rooms": 6,
    "function-level imports": 60,
    "function-level imports without a reason": 0,
}


@dataclass(frozen=True)
class Tree:
    """The modules of one distribution, each with its file and its parsed source."""

    package: Path
    files: Mapping[str, Path] = field(init=False)

    def __post_init__(self) -> None:
        files: dict[str, Path] = {}
        for path in sorted(self.package.rglob("*.py")):
            parts = path.relative_to(self.package.parent).with_suffix("").parts
            files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
        object.__setattr__(self, "files", files)

    @cached_property
    def parsed(self) -> dict[str, ast.Module]:
        return {module: ast.parse(path.read_text()) for module, path in self.files.items()}

    @cached_property
    def handed_out(self) -> dict[tuple[str, str], str]:
        """(room, name) → the module that defines the name, as the room's stub or its `__init__.py` says."""
        names: dict[tuple[str, str], str] = {}
        for room, path in self.files.items():
            if path.name != "__init__.py":
                continue
            stub = path.with_suffix(".pyi")
            source = ast.parse(stub.read_text()) if stub.exists() else self.parsed[room]
            for statement in source.body:
                if isinstance(statement, ast.ImportFrom):
                    origin = self.absolute(room, statement)
                    for name in statement.names:
                        submodule = f"{origin}.{name.name}"
                        names[room, name.asname or name.name] = submodule if submodule in self.files else origin
        return names

    def absolute(self, module: str, statement: ast.ImportFrom) -> str:
        """The dotted name that `from … import` in `module` stands for."""
        if not statement.level:
            return statement.module or ""
        parts = module.split(".")
        package = parts if self.files[module].name == "__init__.py" else parts[:-1]
        above = package[: len(package) - statement.level + 1]
        return ".".join([*above, *([statement.module] if statement.module else [])])

    def defining(self, module: str, name: str) -> str:
        """The module that a name of `module` comes from: a submodule, or what a room hands on."""
        submodule = f"{module}.{name}"
        if (origin := self.handed_out.get((module, name))) and origin != module:
            return origin if origin == submodule else self.defining(origin, name)
        return submodule if submodule in self.files else module

    def imports(self, module: str) -> set[str]:
        """The modules of this tree that `module` imports."""
        found: set[str] = set()
        modules: dict[str, str] = {}  # local name → the module that it is bound to
        for node in ast.walk(self.parsed[module]):
            if isinstance(node, ast.Import):
                found.update(name.name for name in node.names)
                modules.update({name.asname: name.name for name in node.names if name.asname})
            elif isinstance(node, ast.ImportFrom):
                origin = self.absolute(module, node)
                for name in node.names:
                    found.add(source := self.defining(origin, name.name))
                    if source == f"{origin}.{name.name}":
                        modules[name.asname or name.name] = source
        for node in ast.walk(self.parsed[module]):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
                found.add(self.defining(modules[node.value.id], node.attr))
        return (found & self.files.keys()) - {module}

    @cached_property
    def graph(self) -> dict[str, set[str]]:
        return {module: self.imports(module) for module in self.files}

    @cached_property
    def rooms(self) -> dict[str, set[str]]:
        """The same graph among rooms and the modules beside them; the package itself is left out."""
        rooms: dict[str, set[str]] = {}
        for module, imported in self.graph.items():
            if module != self.package.name:
                below = {room_of(name) for name in imported - {self.package.name}}
                rooms.setdefault(room_of(module), set()).update(below - {room_of(module)})
        return rooms


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other (Tarjan's strongly connected components of two or more)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_modules: list[str] = []
    groups: list[list[str]] = []

    def visit(module: str) -> None:
        order[module] = lowest[module] = len(order)
        open_modules.append(module)
        for imported in graph[module]:
            if imported not in order:
                visit(imported)
                lowest[module] = min(lowest[module], lowest[imported])
            elif imported in open_modules:
                lowest[module] = min(lowest[module], order[imported])
        if lowest[module] == order[module]:
            group = open_modules[open_modules.index(module) :]
            del open_modules[open_modules.index(module) :]
            if len(group) > 1:
                groups.append(sorted(group))

    for module in graph:
        if module not in order:
            visit(module)
    return groups


def longest_chain(graph: Mapping[str, set[str]]) -> list[str]:
    """The longest chain of names each of which imports the next; exact where there is no circle."""
    chains: dict[str, list[str]] = {}

    def chain(module: str, above: frozenset[str]) -> list[str]:
        if module not in chains:
            below = [chain(name, above | {module}) for name in sorted(graph[module]) if name not in above | {module}]
            chains[module] = [module, *max(below, key=len, default=[])]
        return chains[module]

    return max((chain(module, frozenset()) for module in graph), key=len)


def function_imports(tree: Tree) -> Iterator[tuple[str, bool]]:
    """(place, whether a comment gives the reason) of each import in a function.

    The comment stands on the import's own lines, or on the line above it or above the imports that it follows.
    """
    for module, parsed in tree.parsed.items():
        lines = [line.strip() for line in tree.files[module].read_text().splitlines()]
        for function in ast.walk(parsed):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for node in own_nodes(function):  # not those of a function inside it, which come with that one
                if isinstance(node, ast.Import | ast.ImportFrom):
                    above = node.lineno - 2
                    while lines[above].startswith(("import ", "from ")):
                        above -= 1
                    written = lines[node.lineno - 1 : node.end_lineno]
                    reason = lines[above].startswith("#") or any("# " in line for line in written)
                    yield f"{tree.files[module]}:{node.lineno}", reason


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from own_nodes(child)


def measured(trees: list[Tree]) -> dict[str, list[str]]:
    """For each limit, what counts against it, one text each."""
    core, *_ = trees
    lines = {path: len(path.read_text().splitlines()) for tree in trees for path in tree.files.values()}
    lazy = [place for tree in trees for place in function_imports(tree)]
    return {
        "circles among files": [" ↔ ".join(group) for tree in trees for group in circles(tree.graph)],
        "circles among rooms": [" ↔ ".join(group) for group in circles(core.rooms)],
        "floors": longest_chain(core.rooms),
        "files over 400 lines": [f"{path}: {n}" for path, n in lines.items() if n > 400],
        "modules beside the rooms": [p.name for p in core.package.glob("*.py") if p.name != "__init__.py"],
        "function-level imports": [place for place, _ in lazy],
        "function-level imports without a reason": [place for place, reason in lazy if not reason],
    }


def main() -> int:
    trees = [Tree(next(path.parent for path in source.glob("*/__init__.py"))) for source in SOURCES]
    counted = measured(trees)
    passed = {name for name, items in counted.items() if len(items) > LIMITS[name]}
    for name, items in counted.items():
        print(f"{name}: {len(items)} (at most {LIMITS[name]}){' TOO MANY' if name in passed else ''}")
        if name in passed or "-v" in sys.argv:
            print(*(f"    {item.removeprefix(f'{ROOT}/')}" for item in items), sep="\n")
    return 1 if passed else 0


if __name__ == "__main__":
    sys.exit(main())
