"""One form for SQL queries that are certainly the same: they give the same rows on all data, by the standard."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

_QUERY = re.compile(
    r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*(select|with|insert|update|delete|\()", re.IGNORECASE | re.DOTALL
)
MOST_CHARACTERS = 20_000
"""A longer query is not parsed: sqlglot takes some 10 µs a character."""
_NULLS = re.compile(r"\bnulls\s+(first|last)\b", re.IGNORECASE)


def normal_form(query: str) -> str:
    """One text for all queries that differ only in what changes no row of the result.

    That is: layout, comments, the case of what is not quoted; a table's alias, and a column's alias that nothing refers
    to; parentheses that change nothing; the order of operands of AND, OR, =, <> and, where no `*` shows it, of tables
    that are joined inside; > written as <, BETWEEN as two comparisons, IN as OR, NOT before a comparison; commas and
    WHERE for JOIN and ON; the order of GROUP BY; COUNT(1). Whatever else differs makes the forms differ, also where
    the queries would give the same rows. sqlglot parses; where it is not installed or cannot, white space is made one
    and what is not quoted lower case.
    """
    query = query.strip().rstrip(";").strip()
    tree = parse(query)
    if tree is None:
        return _plain_form(query)
    lower_names(tree)
    settle_names(tree)
    orders = " ".join(match[1].lower() for match in _NULLS.finditer(query))  # sqlglot fills in what is not said
    try:
        return f"{form_of(tree)!r} {orders}".rstrip()
    except RecursionError:
        return _plain_form(query)


def parse(query: str) -> Any | None:
    """sqlglot's tree of one query; None where it is not installed, or the text is not one query that it reads."""
    try:
        import sqlglot
        from sqlglot.errors import SqlglotError
    except ImportError:
        return None
    if not _QUERY.match(query) or len(query) > MOST_CHARACTERS:
        return None  # sqlglot reads nearly any words as a column and its alias
    for dialect in (None, "sqlite"):  # the second for names in `backticks` and [brackets]
        try:
            with quietly():
                trees = sqlglot.parse(query, dialect=dialect)
        except (SqlglotError, RecursionError):
            continue
        return trees[0] if len(trees) == 1 else None
    return None


class _Quiet(threading.local):
    on = False


_quiet = _Quiet()
logging.getLogger("sqlglot").addFilter(lambda _: not _quiet.on)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """What sqlglot warns of in this thread is not logged: it quotes the query, which is content of a call."""
    _quiet.on = True
    try:
        yield
    finally:
        _quiet.on = False


def lower_names(tree: Any) -> None:
    """Names in lower case unless quoted."""
    from sqlglot.expressions import Identifier

    for identifier in tree.find_all(Identifier):
        if not identifier.args.get("quoted"):
            identifier.set("this", identifier.name.lower())


def settle_names(tree: Any) -> None:
    """Aliases of tables replaced; names before columns left out where one table is all there is; aliases of the
    result's columns left out."""
    from sqlglot.expressions import Column, Select

    if isinstance(tree, Select):
        _drop_column_aliases(tree)
    _rename_tables(tree)
    if (table := _only_table(tree)) is not None:
        for column in tree.find_all(Column):
            if column.table == _called(table):
                column.set("table", None)
        table.set("alias", None)


def _only_table(tree: Any) -> Any | None:
    """The table of a query that reads one and nothing else."""
    from sqlglot.expressions import Column, Join, Lateral, Select, Table

    tables = list(tree.find_all(Table))
    if len(tables) != 1 or len(list(tree.find_all(Select))) != 1 or tree.find(Join, Lateral):
        return None
    called = _called(tables[0])
    whole_row = any(column.name == called and not column.table for column in tree.find_all(Column))
    return None if whole_row or _renames_columns(tables[0]) else tables[0]


def _drop_column_aliases(select: Any) -> None:
    """Rows have no names: an alias counts where something refers to it."""
    from sqlglot.expressions import Alias, Column

    used = {column.name.lower() for column in select.find_all(Column) if not column.table}
    for place, shown in enumerate(select.expressions):
        if isinstance(shown, Alias) and shown.alias.lower() not in used:
            select.expressions[place] = shown.this


def _rename_tables(tree: Any) -> None:
    """Each table's alias becomes the table's name and its number among those of that name, where no alias stands for
    two things, or for a thing and a column: then it can be replaced wherever it stands."""
    from sqlglot.expressions import CTE, Column, Identifier, Subquery, Table, TableAlias

    tables = list(tree.find_all(Table))
    called = [_called(table) for table in tables]
    others = {node.alias for node in tree.find_all(CTE, Subquery) if node.alias}
    columns = {column.name for column in tree.find_all(Column) if not column.table}
    if len(set(called)) != len(called) or others & set(called) or columns & set(called):
        return
    seen: Counter[str] = Counter()
    new: dict[str, str] = {}
    for table in tables:
        name = _written(table)
        seen[name] += 1
        new[_called(table)] = f"{name} {seen[name]}"
        if not _renames_columns(table):
            table.set("alias", TableAlias(this=Identifier(this=new[_called(table)], quoted=True)))
    for column in tree.find_all(Column):
        if column.table in new:
            column.set("table", Identifier(this=new[column.table], quoted=True))


def _called(table: Any) -> str:
    return table.alias or table.name


def _renames_columns(table: Any) -> bool:
    alias = table.args.get("alias")
    return bool(alias and alias.args.get("columns"))


def _written(table: Any) -> str:
    return ".".join(part.name for part in table.parts)


def form_of(node: Any) -> Any:
    """The tree as nested tuples, with one order for what has none."""
    from sqlglot import expressions as exp

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
    """What hangs on a node, by name; what is empty, false or a comment is left out."""
    said = (item for item in sorted(node.args.items()) if not (item[1] is None or item[1] is False or item[1] == []))
    return tuple((name, _value(value)) for name, value in said if name not in without)


def _value(value: Any) -> Any:
    return tuple(form_of(item) for item in value) if isinstance(value, list) else form_of(value)


def _sorted(forms: Iterable[Any]) -> list[Any]:
    return sorted(forms, key=repr)


def _junction(kind: str, forms: Iterable[Any]) -> Any:
    """AND or OR of conditions: one inside another of its kind is taken apart; one said twice counts once."""
    flat: set[Any] = set()
    for form in forms:
        flat.update(form[1:] if form[0] == kind else (form,))
    return (kind, *_sorted(flat)) if len(flat) > 1 else flat.pop()


def _parts(node: Any, kind: type) -> Iterator[Any]:
    """The operands of a chain of one operator, iteratively: a chain may be long."""
    from sqlglot.expressions import Paren

    left = [node]
    while left:
        one = left.pop()
        while isinstance(one, Paren):
            one = one.this
        if isinstance(one, kind):
            left += [one.args["expression"], one.args["this"]]
        else:
            yield one


def _negated(node: Any) -> Any:
    """NOT of a comparison is the opposite comparison, also of NULL."""
    inside = form_of(node.this)
    if inside[0] in ("EQ", "NEQ", "LT", "LTE") and any(side[0] in ("Any", "All") for side in inside[1:]):
        return ("Not", inside)
    match inside:
        case ("EQ" | "NEQ" as kind, one, other):
            return ("NEQ" if kind == "EQ" else "EQ", one, other)
        case ("LT" | "LTE" as kind, one, other):
            return ("LTE" if kind == "LT" else "LT", other, one)
        case _:
            return ("Not", inside)


def _is_plain_list(node: Any) -> bool:
    from sqlglot.expressions import Column, Literal

    items = node.expressions
    return isinstance(node.this, Column) and bool(items) and all(isinstance(i, Literal) for i in items)


def _joins_inside(node: Any) -> bool:
    """Whether all joins are inner ones of tables or subqueries, with ON or a comma."""
    from sqlglot.expressions import Subquery, Table

    joins = node.args.get("joins") or []
    if not joins or not all(isinstance(source, Table | Subquery) for source in _sources(node)):
        return False
    plain = all({name for name, value in join.args.items() if value} <= {"this", "kind", "on"} for join in joins)
    return plain and all(join.kind in ("", "INNER", "CROSS") for join in joins)


def _sources(node: Any) -> list[Any]:
    beginning = node.args.get("from_") or node.args["from"]  # as sqlglot names it from 28 on, and before
    return [beginning.this, *(join.this for join in node.args["joins"])]


def _select(node: Any) -> Any:
    """A SELECT whose joins are all inner ones: the tables, and one condition for ON and WHERE together."""
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
    return re.sub(r"\s*([(),=<>!+*/-])\s*", r"\1", re.sub(r"\s+", " ", text).lower())
