"""Right answers spoilt in one place each, for tests of graders: (what was done, the spoilt answer)."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

Mutant = tuple[str, str]


def of_json(text: str) -> Iterator[Mutant]:
    """One field dropped, renamed, doubled, or of another value, or one item of a list dropped, doubled or moved."""
    value = json.loads(text)
    for path in _paths(value):
        for what, changed in _changes(_at(value, path)):
            yield f"{what} at {path}", json.dumps(_with(value, path, changed))
    yield from _doubled_keys(text)


def _changes(value: Any) -> Iterator[tuple[str, Any]]:
    match value:
        case bool():
            yield from (("flip", not value), ("null", None), ("as text", json.dumps(value)), ("as number", int(value)))
        case int() | float():
            yield from (("+1", value + 1), ("as text", json.dumps(value)), ("null", None))
            if value:
                yield from (("sign", -value), ("digit", float(re.sub(r"\d", _next_digit, str(value), count=1))))
        case str():
            yield from (("longer", f"{value}x"), ("null", None), ("padded", f" {value}"), ("quoted", json.dumps(value)))
            if value:
                yield ("shorter", value[:-1])
            if value != value.swapcase():
                yield ("case", value.swapcase())
            if re.search(r"\d", value):
                yield ("digit", re.sub(r"\d", _next_digit, value, count=1))
        case None:
            yield from (("not null", 0), ("empty", ""), ("as text", "null"))
        case list():
            yield ("one more", [*value, value[-1] if value else 0])
            yield ("wrapped", [value])
            yield from ((f"drop {i}", value[:i] + value[i + 1 :]) for i in range(len(value)))
            if value != value[::-1]:
                yield ("reversed", value[::-1])
        case dict():
            for key, item in value.items():
                rest = {k: v for k, v in value.items() if k != key}
                yield from ((f"drop {key}", rest), (f"rename {key}", {**rest, f"{key}_": item}))
            yield ("one more", {**value, "more": 1})
        case _:
            raise TypeError


def _doubled_keys(text: str) -> Iterator[Mutant]:
    """A key that stands twice, first with another value: programs differ in which of the two they read."""
    for match in re.finditer(r'[{,]\s*("(?:[^"\\]|\\.)*")\s*:', text):
        at = match.start() + 1
        yield f"doubled key at {at}", f'{text[:at]}{match[1]}: "other", {text[at:]}'


def of_tool_calls(text: str) -> Iterator[Mutant]:
    """As of JSON, save that calls stand in any order and one call may stand alone; also a call doubled, or renamed."""
    value = json.loads(text)
    calls = value if isinstance(value, list) else [value]
    for i, call in enumerate(calls):
        others = calls[:i] + calls[i + 1 :]
        yield f"rename call {i}", json.dumps([*others, {**call, "name": f"{call['name']}s"}])
        yield f"double call {i}", json.dumps([*calls, call])
        if others:
            yield f"drop call {i}", json.dumps(others)
        for what, mutant in of_json(json.dumps(call["arguments"])):
            if not what.startswith("doubled key"):
                yield f"call {i}: {what}", json.dumps([*others, {**call, "arguments": json.loads(mutant)}])


def of_sql(query: str) -> Iterator[Mutant]:
    """Operators, names, literals, clauses and joins of a query, one at a time."""
    import sqlglot
    from sqlglot import expressions as exp

    tree = sqlglot.parse_one(query)
    columns = sorted({column.name for column in tree.find_all(exp.Column)} - {"*"})
    for i, node in enumerate(tree.walk()):
        for what, spoil in _spoilers(node, columns):
            spoilt = copy.deepcopy(tree)
            spoil(next(n for j, n in enumerate(spoilt.walk()) if j == i))
            if (text := spoilt.sql()) != tree.sql():
                yield what, text


def _spoilers(node: Any, columns: list[str]) -> Iterator[tuple[str, Any]]:
    from sqlglot import expressions as exp

    both_ways = [
        (exp.And, exp.Or), (exp.LT, exp.LTE), (exp.GT, exp.GTE), (exp.EQ, exp.NEQ), (exp.LT, exp.GT),
        (exp.Add, exp.Sub), (exp.Max, exp.Min), (exp.Sum, exp.Avg), (exp.Union, exp.Except),
    ]  # fmt: skip
    one_way = [(exp.Like, exp.EQ), (exp.Count, exp.Sum), (exp.Except, exp.Intersect)]
    swaps = [*both_ways, *((other, one) for one, other in both_ways), *one_way]
    if isinstance(node, exp.EQ) and isinstance(node.expression, exp.Literal) and node.expression.is_string:
        swaps.append((exp.EQ, exp.Like))
    for one, other in swaps:
        if type(node) is one and not isinstance(node.this, exp.Star):
            yield f"{one.__name__} to {other.__name__}", lambda n, other=other: n.replace(other(**n.args))
    if isinstance(node, exp.Not):
        yield "without NOT", lambda n: n.replace(n.this)
    if isinstance(node, exp.Literal) and node.is_string:
        yield "literal case", lambda n: n.set("this", n.name.swapcase())
        yield "literal longer", lambda n: n.set("this", f"{n.name}x")
        yield "quotes", lambda n: n.replace(exp.column(n.name, quoted=True))
    elif isinstance(node, exp.Literal):
        yield "literal + 1", lambda n: n.set("this", str(float(n.name) + 1) if "." in n.name else str(int(n.name) + 1))
        if not isinstance(node.parent, exp.Limit | exp.Offset):
            yield "sign", lambda n: n.replace(exp.Neg(this=n.copy()))
    if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star):
        for other in columns:
            if other != node.name and not (isinstance(node.parent, exp.Join)):
                yield f"column {node.name} to {other}", lambda n, other=other: n.this.set("this", other)
    if isinstance(node, exp.Select):
        yield "DISTINCT", lambda n: n.set("distinct", None if n.args.get("distinct") else exp.Distinct())
        for clause in ("where", "group", "having", "order", "limit", "joins"):
            if node.args.get(clause):
                yield f"without {clause}", lambda n, clause=clause: n.set(clause, None)
        if len(node.expressions) > 1:
            yield "without a column", lambda n: n.set("expressions", n.expressions[:-1])
            yield "columns reversed", lambda n: n.set("expressions", n.expressions[::-1])
        yield "a column more", lambda n: n.set("expressions", [*n.expressions, exp.Literal.number(1)])
    if isinstance(node, exp.And | exp.Or):
        yield "left side only", lambda n: n.replace(n.this)
        yield "right side only", lambda n: n.replace(n.expression)
    if isinstance(node, exp.Ordered):
        yield "direction", lambda n: n.set("desc", not n.args.get("desc"))
    if isinstance(node, exp.Join):
        yield "LEFT JOIN", lambda n: n.set("side", None if n.side else "LEFT")
    if isinstance(node, exp.Union):
        yield "ALL", lambda n: n.set("distinct", not n.args.get("distinct"))
    if isinstance(node, exp.Count) and isinstance(node.this, exp.Star) and columns:
        yield "count of a column", lambda n: n.set("this", exp.column(columns[0]))


def of_numbers(text: str) -> Iterator[Mutant]:
    """The last number with another digit, sign, place of the point, or unit."""
    last = list(re.finditer(r"\d", text))[-1].start()
    start = re.search(r"[\d.,]*$", text[: last + 1]).start()  # pyright: ignore[reportOptionalMemberAccess]
    for at in range(start, last + 1):
        if text[at].isdigit():
            yield f"digit at {at}", text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :]
    negative = text[:start].endswith("-")
    yield "sign", f"{text[: start - 1]}{text[start:]}" if negative else f"{text[:start]}-{text[start:]}"
    yield "one digit more", f"{text[: last + 1]}7{text[last + 1 :]}"
    yield (
        "percent",
        f"{text[: last + 1]}%{text[last + 1 :].replace('%', '')}" if "%" not in text else text.replace("%", ""),
    )
    yield "a number more", f"{text} or 7"
    yield "billions", f"{text[: last + 1]} billion"
    yield "no number", re.sub(r"\d", "", text)


def of_lines(text: str) -> Iterator[Mutant]:
    """One line dropped, changed, or added."""
    lines = text.split("\n")
    for i, line in enumerate(lines):
        rest = lines[:i] + lines[i + 1 :]
        if rest:
            yield f"drop line {i}", "\n".join(rest)
        yield f"longer line {i}", "\n".join([*rest, f"{line} x"])
        yield f"case of line {i}", "\n".join([*rest, line.swapcase()])
    yield "one more", f"{text}\nanother"


def of_code(program: str) -> Iterator[Mutant]:
    """Operators, names, constants and lines of a program, one at a time."""
    for old, new in (
        (" < ", " <= "),
        (" > ", " >= "),
        (" == ", " != "),
        (" + ", " - "),
        (" and ", " or "),
        ("True", "False"),
    ):
        for match in re.finditer(re.escape(old), program):
            yield f"{old.strip()} to {new.strip()}", program[: match.start()] + new + program[match.end() :]
    for match in re.finditer(r"\b\d", program):
        yield "digit", program[: match.start()] + _next_digit(match) + program[match.end() :]
    for match in re.finditer(r"'(\w+)'", program):
        yield "string", f"{program[: match.start()]}'{match[1]}x'{program[match.end() :]}"
    lines = program.split("\n")
    for i, line in enumerate(lines):
        if line.strip() and not line.strip().startswith("#") and '"""' not in line and not line.rstrip().endswith(":"):
            yield f"without line {i}", "\n".join([*lines[:i], re.sub(r"\S.*", "pass", line), *lines[i + 1 :]])
            yield f"double line {i}", "\n".join([*lines[: i + 1], line, *lines[i + 1 :]])
    yield "renamed", re.sub(r"def (\w+)", r"def \1_", program, count=1)


def _next_digit(match: re.Match[str]) -> str:
    return str((int(match[0]) + 1) % 10)


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _paths(item, (*path, key))


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _with(value: Any, path: tuple[str | int, ...], changed: Any) -> Any:
    if not path:
        return changed
    made = copy.deepcopy(value)
    _at(made, path[:-1])[path[-1]] = changed
    return made
