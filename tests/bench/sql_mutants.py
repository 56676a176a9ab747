"""How often the SQL grader calls a spoilt query the same: python tests/bench/sql_mutants.py FILE [--queries 110]
    [--twice | --same] [--show]

FILE holds recorded calls (.jsonl or .jsonl.gz). Those whose answer is one SELECT are taken, the same queries each time,
spoilt in one place each (`tests/support/mutants.py`), and judged by the grader of their request. Printed: how many
mutants are caught, the kinds that are not, by form or by rows, and the milliseconds that a pair takes. --twice spoils
TWICE mutants of each query once more, drawn by a fixed seed, and leaves out those that are the query again. --same
writes each query in other ways that mean the same (WAYS); there "called the same" is right. No content of a call is
printed unless --show.
"""

from __future__ import annotations

import argparse
import gzip
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import sqlglot
from protege.call import Request
from protege.evaluate.graders import Grader, Sql
from protege.evaluate.graders.sql.normal_form import normal_form
from sqlglot import expressions as exp
from sqlglot.errors import SqlglotError

sys.path.append(str(Path(__file__).parents[1] / "support"))
from mutants import Mutant, of_sql

TWICE = 10
SELECT = re.compile(r"\s*(select|with)\b", re.IGNORECASE)


@dataclass
class Seen:
    """passed: kinds of mutation that were called the same, and by what."""

    tried: Counter[str] = field(default_factory=Counter[str])
    passed: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    milliseconds: list[float] = field(default_factory=list[float])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--queries", type=int, default=110)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--twice", action="store_const", dest="vary", const=spoilt_twice, default=spoilt)
    how.add_argument("--same", action="store_const", dest="vary", const=other_ways)
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    rows = list(sql_rows(options.file))
    taken = random.Random(0).sample(rows, min(options.queries, len(rows)))
    seen = Seen()
    for request, teacher in taken:
        grader = Sql().for_request(request)
        for what, mutant in options.vary(teacher):
            if judged(grader, what, mutant, teacher, seen) and options.show:
                print(f"{what}\n  {teacher}\n  {mutant}")
    report(len(taken), seen)


def sql_rows(file: Path) -> Iterator[tuple[Request, str]]:
    """Requests whose answer is one query that sqlglot reads, with the answer."""
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as lines:
        for row in map(orjson.loads, lines):
            answer = row["response"].get("content")
            if isinstance(answer, str) and SELECT.match(answer) and readable(answer):
                yield Request(tuple(row["messages"])), answer


def readable(query: str) -> bool:
    try:
        return len(sqlglot.parse(query.rstrip().rstrip(";"))) == 1
    except SqlglotError:
        return False


def spoilt(query: str) -> Iterator[Mutant]:
    return of_sql(query.rstrip().rstrip(";"))


def spoilt_twice(query: str) -> Iterator[Mutant]:
    once, chance = list(spoilt(query)), random.Random(query)
    for what, mutant in chance.sample(once, min(TWICE, len(once))):
        more, again = chance.choice(list(of_sql(mutant)) or [("", query)]) if readable(mutant) else ("", query)
        if normal_form(again) != normal_form(query):
            yield f"{what}, {more}", again


def other_ways(query: str) -> Iterator[Mutant]:
    """What was done, and the query in another way that means the same."""
    for what, write in WAYS.items():
        tree = sqlglot.parse_one(query.rstrip().rstrip(";"))
        before = tree.sql()
        if (text := write(tree)) and text != before:
            yield what, text


def _layout(tree: Any) -> str:
    return tree.sql(pretty=True)


def _aliases(tree: Any) -> str:
    """Each alias of a table by another."""
    new = {table.alias: f"x{i}" for i, table in enumerate(tree.find_all(exp.Table)) if table.alias}
    for table in tree.find_all(exp.Table):
        if table.alias:
            table.set("alias", exp.TableAlias(this=exp.to_identifier(new[table.alias])))
    for column in tree.find_all(exp.Column):
        if column.table in new:
            column.set("table", exp.to_identifier(new[column.table]))
    return tree.sql()


def _commas(tree: Any) -> str:
    """FROM a, b WHERE for JOIN b ON."""
    for select in tree.find_all(exp.Select):
        joins = select.args.get("joins") or []
        if any(join.side or not join.args.get("on") for join in joins):
            return ""
        for join in joins:
            select.where(join.args["on"], copy=False)
            join.set("on", None)
            join.set("kind", None)
    return tree.sql()


def _sides(tree: Any) -> str:
    """Both sides of each AND and of each comparison changed about."""
    turned = {exp.LT: exp.GT, exp.GT: exp.LT, exp.LTE: exp.GTE, exp.GTE: exp.LTE, exp.And: exp.And, exp.EQ: exp.EQ}
    nodes = [node for node in tree.walk(bfs=False) if type(node) in turned and not isinstance(node.parent, exp.And)]
    for node in nodes:
        node.replace(turned[type(node)](this=node.expression.copy(), expression=node.this.copy()))
    return tree.sql()


def _grouped(tree: Any) -> str:
    """GROUP BY for DISTINCT."""
    plain = isinstance(tree, exp.Select) and all(isinstance(shown, exp.Column) for shown in tree.expressions)
    if not plain or not tree.args.get("distinct") or tree.args.get("group"):
        return ""
    tree.set("distinct", None)
    return tree.group_by(*tree.expressions).sql()


def _in_subquery(tree: Any) -> str:
    """A table whose columns are not shown, joined by one column under DISTINCT: IN for the join."""
    select = tree if isinstance(tree, exp.Select) and tree.args.get("distinct") else None
    join = (select.args.get("joins") or [None])[-1] if select else None
    on = join.args.get("on") if join is not None else None
    if select is None or join is None or not isinstance(on, exp.EQ) or not join.this.alias:
        return ""
    inner, outer = (on.this, on.expression) if on.this.table == join.this.alias else (on.expression, on.this)
    where = select.args.get("where")
    parts = list(where.this.flatten()) if where and isinstance(where.this, exp.And) else [where.this] if where else []
    own = [part for part in parts if all(c.table == join.this.alias for c in part.find_all(exp.Column) if c.table)]
    chosen = exp.select(inner.copy()).from_(join.this.copy()).where(*(part.copy() for part in own))
    rest = [part.copy() for part in parts if part not in own]
    select.set("joins", select.args["joins"][:-1])
    select.set("where", None)
    select.where(*rest, exp.In(this=outer.copy(), query=chosen.subquery()), copy=False)
    left = [c for c in select.find_all(exp.Column) if c.table == join.this.alias and c.find_ancestor(exp.In) is None]
    return "" if left else select.sql()


def _negated(tree: Any) -> str:
    """NOT of the opposite for the conditions under AND together, by De Morgan."""
    where = tree.args.get("where")
    if where is None or not isinstance(where.this, exp.And):
        return ""
    where.set("this", exp.not_(exp.or_(*(exp.not_(part.copy()) for part in where.this.flatten()))))
    return tree.sql()


WAYS: dict[str, Callable[[Any], str]] = {
    "layout": _layout, "aliases": _aliases, "commas for JOIN": _commas, "sides": _sides,
    "GROUP BY for DISTINCT": _grouped, "IN for JOIN": _in_subquery, "De Morgan": _negated,
}  # fmt: skip


def judged(grader: Grader, what: str, mutant: str, teacher: str, seen: Seen) -> bool:
    began = time.thread_time()
    same = grader.agree(mutant, teacher)
    seen.milliseconds.append(1000 * (time.thread_time() - began))
    kind = re.sub(r"column .+? to [^,]+", "another column", what)
    seen.tried[kind] += 1
    if same:
        seen.passed[kind, "form" if normal_form(mutant) == normal_form(teacher) else "rows"] += 1
    return same


def report(queries: int, seen: Seen) -> None:
    times = sorted(seen.milliseconds)
    tried, passed = seen.tried.total(), seen.passed.total()
    print(f"{queries} queries, {tried:,} mutants, {tried - passed:,} different, {passed} called the same")
    for (what, by), count in seen.passed.most_common():
        print(f"  {count:4} of {seen.tried[what]} by {by}: {what}")
    print(
        f"ms a pair: median {times[len(times) // 2]:.1f}, p95 {times[len(times) * 95 // 100]:.1f}, most {times[-1]:.1f}"
    )


if __name__ == "__main__":
    main()
