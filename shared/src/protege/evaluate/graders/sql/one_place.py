"""Whether two queries part in one place only: then rows are no evidence that they are the same.

A mutation of a right query, such as a DISTINCT more, or another column, often shows on hardly any data (Zhong, Yu and
Klein 2020 measure it on "neighbour queries"), whereas one that was written another way parts in several places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from .sql import form_of, lower_names, parse, settle_names

LEAVES = frozenset({"Column", "Literal", "Table", "Identifier"})
CONDITIONS = frozenset({"EQ", "NEQ", "LT", "LTE", "GT", "GTE", "Is", "In", "Like", "ILike", "Glob", "Between"})
AGGREGATES = frozenset({"Count", "Sum", "Avg", "Min", "Max", "GroupConcat"})
PIECES = LEAVES | CONDITIONS | AGGREGATES
"""Kinds of node that are taken whole: a comparison that is another in sign and literal is one place, not two."""
_QUERIES = frozenset({"Select", "Union", "Except", "Intersect"})


def one_place(one: str, other: str) -> bool:
    """Whether two queries are the same but for one place, or that cannot be said: one is not read, or nested too deep.

    That is: of their parts, nothing is left but one each once those that both have are taken away; or one query has
    nothing that the other has not, so that something was only added, left out or moved. It is tried on the queries as
    they are written, with one set of names, and in normal form; and for parts of two sizes, single nodes (LEAVES) and
    conditions and aggregates without a query inside (PIECES).
    """
    try:
        mine, theirs = list(_views(one)), list(_views(other))
        return len(mine) != len(theirs) or any(
            _alike(_parts(view, whole), _parts(its, whole))
            for view, its in zip(mine, theirs, strict=True)
            for whole in (LEAVES, PIECES)
        )
    except RecursionError:
        return True


def _views(query: str) -> Iterator[Any]:
    """The query as nested tuples, in three ways; none where it is not read."""
    if (tree := parse(query)) is None:
        return
    lower_names(tree)
    yield _as_written(tree)
    settle_names(tree)
    yield _as_written(tree)
    yield form_of(tree)


def _as_written(node: Any) -> Any:
    from sqlglot.expressions import Paren

    if isinstance(node, list):
        return tuple(map(_as_written, node))
    if not hasattr(node, "args"):
        return node
    if isinstance(node, Paren):
        return _as_written(node.this)
    return (type(node).__name__, *((name, _as_written(value)) for name, value in sorted(node.args.items()) if value))


def _alike(mine: Counter[Any], theirs: Counter[Any]) -> bool:
    more, less = mine - theirs, theirs - mine
    return not more or not less or more.total() == less.total() == 1


def _parts(form: Any, whole: frozenset[str]) -> Counter[Any]:
    return Counter(_nodes(form, whole))


def _nodes(form: Any, whole: frozenset[str]) -> Iterator[Any]:
    """Each node: its kind, which begins with a capital, and what hangs on it but nodes; or all of it."""
    if not isinstance(form, tuple):
        return
    match form:
        case (str() as kind, *inside) if kind[:1].isupper():
            if kind in whole and not _has_query(form):
                yield form
                return
            yield (kind, *(item for item in inside if not _holds_nodes(item)))
        case _:
            pass
    for item in form:
        yield from _nodes(item, whole)


def _holds_nodes(item: Any) -> bool:
    return isinstance(item, tuple) and any(isinstance(value, tuple) for value in item)


def _has_query(form: Any) -> bool:
    return isinstance(form, tuple) and bool((form and form[0] in _QUERIES) or any(map(_has_query, form)))
