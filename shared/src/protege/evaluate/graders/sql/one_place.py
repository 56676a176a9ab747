"""Whether two queries differ in one place only: then equal rows are no evidence that they are the same.

A mutation of a right query, such as an added DISTINCT or another column, often shows on hardly any data (Zhong, Yu and
Klein 2020 measure it on "neighbour queries"). A query that is merely written another way differs in several places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from .normal_form import form_of, lower_names, settle_names
from .parsing import exp, parse

LEAVES = frozenset({"Column", "Literal", "Table", "Identifier"})
CONDITIONS = frozenset({"EQ", "NEQ", "LT", "LTE", "GT", "GTE", "Is", "In", "Like", "ILike", "Glob", "Between"})
AGGREGATES = frozenset({"Count", "Sum", "Avg", "Min", "Max", "GroupConcat"})
PIECES = LEAVES | CONDITIONS | AGGREGATES
"""Kinds of node that count as a whole: a comparison that differs in sign and literal is one place, not two."""
_QUERIES = frozenset({"Select", "Union", "Except", "Intersect"})


def one_place(first_query: str, second_query: str) -> bool:
    """Whether two queries differ in one place at most. Also True if one of them is not read or is nested too deep.

    They do if, once the parts that both have are taken away, one part is left on each side; or if one query has no part
    that the other lacks, so that something was only added, left out or moved. This is tried on the queries as written,
    with names settled, and in normal form; each with parts of two sizes: single nodes (LEAVES), and conditions and
    aggregates without a query inside (PIECES).
    """
    try:
        mine, theirs = list(_views(first_query)), list(_views(second_query))
        return len(mine) != len(theirs) or any(
            _alike(_parts(view, whole), _parts(its, whole))
            for view, its in zip(mine, theirs, strict=True)
            for whole in (LEAVES, PIECES)
        )
    except RecursionError:
        return True


def _views(query: str) -> Iterator[Any]:
    """The query as nested tuples, in three ways; nothing if it is not read."""
    if (tree := parse(query)) is None:
        return
    lower_names(tree)
    yield _as_written(tree)
    settle_names(tree)
    yield _as_written(tree)
    yield form_of(tree)


def _as_written(node: Any) -> Any:
    if isinstance(node, list):
        return tuple(map(_as_written, node))
    if not hasattr(node, "args"):
        return node
    if isinstance(node, exp.Paren):
        return _as_written(node.this)
    return (type(node).__name__, *((name, _as_written(value)) for name, value in sorted(node.args.items()) if value))


def _alike(mine: Counter[Any], theirs: Counter[Any]) -> bool:
    more, less = mine - theirs, theirs - mine
    return not more or not less or more.total() == less.total() == 1


def _parts(form: Any, whole: frozenset[str]) -> Counter[Any]:
    return Counter(_nodes(form, whole))


def _nodes(form: Any, whole: frozenset[str]) -> Iterator[Any]:
    """Each node: its kind, which begins with a capital, and its values that are not nodes; the whole node if
    `whole`."""
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
