"""One form for SQL queries that are certainly the same: by the standard, they give the same rows on all data."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from .parsing import exp, parse

_NULLS = re.compile(r"\bnulls\s+(first|last)\b", re.IGNORECASE)


def normal_form(query: str) -> str:
    """One text for all queries that differ only in what changes no row of the result.

    These do not count: layout, comments, and the case of unquoted text; a table's alias, and a column's alias that
    nothing refers to; parentheses that change nothing; the order of operands of AND, OR, = and <>, and of tables joined
    by inner joins unless a `*` shows it; > for <, BETWEEN for two comparisons, IN for OR, NOT before a comparison;
    commas and WHERE for JOIN and ON; the order of GROUP BY; COUNT(1). Any other difference makes the forms differ, even
    if the queries would give the same rows. If sqlglot is not installed or cannot parse the query, white space is
    collapsed and unquoted text put in lower case.
    """
    query = query.strip().rstrip(";").strip()
    tree = parse(query)
    if tree is None:
        return _plain_form(query)
    lower_names(tree)
    settle_names(tree)
    orders = " ".join(
        match[1].lower() for match in _NULLS.finditer(query)
    )  # sqlglot fills them in where the query has none
    try:
        return f"{form_of(tree)!r} {orders}".rstrip()
    except RecursionError:
        return _plain_form(query)


def lower_names(tree: Any) -> None:
    """Put names in lower case unless they are quoted."""
    for identifier in tree.find_all(exp.Identifier):
        if not identifier.args.get("quoted"):
            identifier.set("this", identifier.name.lower())


def settle_names(tree: Any) -> None:
    """Replace the aliases of tables; drop those of the result's columns, and the table's name before columns if there
    is only one table."""
    if isinstance(tree, exp.Select):
        _drop_column_aliases(tree)
    _rename_tables(tree)
    if (table := _only_table(tree)) is not None:
        for column in tree.find_all(exp.Column):
            if column.table == _called(table):
                column.set("table", None)
        table.set("alias", None)


def _only_table(tree: Any) -> Any | None:
    """The table of a query that reads one table and nothing else; None of any other query."""
    tables = list(tree.find_all(exp.Table))
    if len(tables) != 1 or len(list(tree.find_all(exp.Select))) != 1 or tree.find(exp.Join, exp.Lateral):
        return None
    called = _called(tables[0])
    whole_row = any(column.name == called and not column.table for column in tree.find_all(exp.Column))
    return None if whole_row or _renames_columns(tables[0]) else tables[0]


def _drop_column_aliases(select: Any) -> None:
    """Drop aliases of the result's columns that nothing refers to: rows have no names."""
    used = {column.name.lower() for column in select.find_all(exp.Column) if not column.table}
    for place, shown in enumerate(select.expressions):
        if isinstance(shown, exp.Alias) and shown.alias.lower() not in used:
            select.expressions[place] = shown.this


def _rename_tables(tree: Any) -> None:
    """Replace each table's alias by the table's name and its number among the tables of that name.

    This is done only if no alias names two things, or a table and a column: then it can be replaced everywhere.
    """
    tables = list(tree.find_all(exp.Table))
    called = [_called(table) for table in tables]
    others = {node.alias for node in tree.find_all(exp.CTE, exp.Subquery) if node.alias}
    columns = {column.name for column in tree.find_all(exp.Column) if not column.table}
    if len(set(called)) != len(called) or others & set(called) or columns & set(called):
        return
    seen: Counter[str] = Counter()
    new: dict[str, str] = {}
    for table in tables:
        name = _written(table)
        seen[name] += 1
        new[_called(table)] = f"{name} {seen[name]}"
        if not _renames_columns(table):
            table.set("alias", exp.TableAlias(this=exp.Identifier(this=new[_called(table)], quoted=True)))
    for column in tree.find_all(exp.Column):
        if column.table in new:
            column.set("table", exp.Identifier(this=new[column.table], quoted=True))


def _called(table: Any) -> str:
    return table.alias or table.name


def _renames_columns(table: Any) -> bool:
    alias = table.args.get("alias")
    return bool(alias and alias.args.get("columns"))


def _written(table: Any) -> str:
    return ".".join(part.name for part in table.parts)


def form_of(node: Any) -> Any:
    """The tree as nested tuples; what has no order of its own is sorted."""
    if not hasattr(node, "args"):  # a text, a number, a kind
        return node
    if isinstance(node, exp.Paren):
        return form_of(node.this)
    if isinstance(node, exp.And | exp.Or):
        return _junction(type(node).__name__, (form_of(part) for part in _parts(node, type(node))))
    if isinstance(node, exp.EQ | exp.NEQ):
        return (type(node).__name__, *_sorted([form_of(node.this), form_of(node.expression)]))
    if isinstance(node, exp.GT | exp.GTE):
        return ("LT" if isinstance(node, exp.GT) else "LTE", form_of(node.expression), form_of(node.this))
    if isinstance(node, exp.LT | exp.LTE):
        return (type(node).__name__, form_of(node.this), form_of(node.expression))
    if isinstance(node, exp.Not):
        return _negated(node)
    if isinstance(node, exp.Between) and isinstance(node.this, exp.Column) and not node.args.get("symmetric"):
        column = form_of(node.this)
        return _junction(
            "And", [("LTE", form_of(node.args["low"]), column), ("LTE", column, form_of(node.args["high"]))]
        )
    if isinstance(node, exp.In) and _is_plain_list(node):
        column = form_of(node.this)
        return _junction("Or", [("EQ", *_sorted([column, form_of(item)])) for item in node.expressions])
    if isinstance(node, exp.Count) and isinstance(node.this, exp.Literal) and not node.expressions:
        node = exp.Count(**{**node.args, "this": exp.Star()})
    if isinstance(node, exp.Anonymous):
        return ("Function", str(node.this).lower(), *(form_of(item) for item in node.expressions))
    if isinstance(node, exp.Column) and isinstance(node.this, exp.Star) and not node.table:
        return form_of(node.this)
    if isinstance(node, exp.Join) and (node.kind == "OUTER" if node.side else node.kind == "INNER"):
        return ("Join", *_fields(node, {"kind"}))  # LEFT OUTER is LEFT, INNER is nothing
    if isinstance(node, exp.Group):
        return ("Group", *_sorted(map(form_of, node.expressions)), _fields(node, {"expressions"}))
    if isinstance(node, exp.Select) and _joins_inside(node):
        return _select(node)
    return (type(node).__name__, *_fields(node))


def _fields(node: Any, without: Iterable[str] = ()) -> tuple[Any, ...]:
    """A node's arguments, by name; without those that are empty or false."""
    given = (item for item in sorted(node.args.items()) if not (item[1] is None or item[1] is False or item[1] == []))
    return tuple((name, _value(value)) for name, value in given if name not in without)


def _value(value: Any) -> Any:
    return tuple(form_of(item) for item in value) if isinstance(value, list) else form_of(value)


def _sorted(forms: Iterable[Any]) -> list[Any]:
    return sorted(forms, key=repr)


def _junction(kind: str, forms: Iterable[Any]) -> Any:
    """AND or OR of conditions: nested ones of the same kind are flattened, and a condition said twice counts once."""
    flat: set[Any] = set()
    for form in forms:
        flat.update(form[1:] if form[0] == kind else (form,))
    return (kind, *_sorted(flat)) if len(flat) > 1 else flat.pop()


def _parts(node: Any, kind: type) -> Iterator[Any]:
    """The operands of a chain of one operator; without recursion, since a chain may be long."""
    left = [node]
    while left:
        operand = left.pop()
        while isinstance(operand, exp.Paren):
            operand = operand.this
        if isinstance(operand, kind):
            left += [operand.args["expression"], operand.args["this"]]
        else:
            yield operand


def _negated(node: Any) -> Any:
    """The opposite comparison for NOT of a comparison; this holds for NULL too."""
    inside = form_of(node.this)
    if inside[0] in ("EQ", "NEQ", "LT", "LTE") and any(side[0] in ("Any", "All") for side in inside[1:]):
        return ("Not", inside)
    match inside:
        case ("EQ" | "NEQ" as kind, left, right):
            return ("NEQ" if kind == "EQ" else "EQ", left, right)
        case ("LT" | "LTE" as kind, left, right):
            return ("LTE" if kind == "LT" else "LT", right, left)
        case _:
            return ("Not", inside)


def _is_plain_list(node: Any) -> bool:
    items = node.expressions
    return isinstance(node.this, exp.Column) and bool(items) and all(isinstance(i, exp.Literal) for i in items)


def _joins_inside(node: Any) -> bool:
    """Whether all joins are inner joins of tables or subqueries, with ON or a comma."""
    joins = node.args.get("joins") or []
    if not joins or not all(isinstance(source, exp.Table | exp.Subquery) for source in _sources(node)):
        return False
    plain = all({name for name, value in join.args.items() if value} <= {"this", "kind", "on"} for join in joins)
    return plain and all(join.kind in ("", "INNER", "CROSS") for join in joins)


def _sources(node: Any) -> list[Any]:
    beginning = node.args.get("from_") or node.args["from"]  # as sqlglot names it from 28 on, and before
    return [beginning.this, *(join.this for join in node.args["joins"])]


def _select(node: Any) -> Any:
    """A SELECT with inner joins only: its tables, and one condition for ON and WHERE together."""
    sources = [form_of(source) for source in _sources(node)]
    if not any(shown.is_star for shown in node.expressions):
        sources = _sorted(sources)
    conditions = [form_of(join.args["on"]) for join in node.args["joins"] if join.args.get("on")]
    conditions += [form_of(node.args["where"].this)] if node.args.get("where") else []
    rest = _fields(node, {"from_", "from", "joins", "where"})
    return ("Select", ("sources", *sources), ("conditions", _junction("And", conditions) if conditions else ()), *rest)


def _plain_form(query: str) -> str:
    pieces = re.split(r"('(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")", query)
    return "".join(piece if place % 2 else _tight(piece) for place, piece in enumerate(pieces))


def _tight(text: str) -> str:
    return re.sub(r" ?([(),=<>!+*/-]) ?", r"\1", re.sub(r"\s+", " ", text).lower())
