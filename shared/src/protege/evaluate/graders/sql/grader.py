"""SQL queries: the same by their form, or by their rows on made-up data."""

from __future__ import annotations

from copy import copy
from typing import Self

from ....call import Request, text_of
from ....common.wrappers import bare
from ..base import Grader
from .execution import same_rows
from .normal_form import normal_form
from .one_place import one_place
from .schema import Table, schema_in


class Sql(Grader):
    """The same query: equal in normal form (`normal_form`), which is certain, or equal in rows if the tables are known.

    Rows are compared if the request defines the tables (CREATE TABLE, or lines such as `name(column, column)`) and the
    queries differ in more than one place (`one_place`): both run in SQLite, in memory, on dozens of small data sets
    made to tell them apart (`same_rows`). Queries that differ in one place are different, whatever their rows. Equal
    rows are evidence, not proof: queries that differ only on other kinds of data count as the same. In doubt they count
    as different. The names of columns do not count; their order does. execute: False compares forms only.
    """

    def __init__(self, *, execute: bool = True) -> None:
        self.name = "SQL by form or rows" if execute else "SQL in normal form"
        self._execute = execute
        self._schema: tuple[Table, ...] = ()

    def for_request(self, request: Request) -> Self:
        if not self._execute:
            return self
        bound = copy(self)
        bound._schema = schema_in("\n".join(text_of(message) for message in request.messages))
        return bound

    def agree(self, answer: str, teacher: str) -> bool:
        answer, teacher = bare(answer), bare(teacher)
        if normal_form(answer) == normal_form(teacher):
            return True
        if not self._schema:
            return False
        return not one_place(answer, teacher) and same_rows(self._schema, answer, teacher)
