"""SQL queries: the same by form, or by what they give on made-up rows."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Self

from ....call import Request, text_of
from ..base import Grader
from .sql import normal_form

if TYPE_CHECKING:
    from .schema import Table


class Sql(Grader):
    """The same query: equal in normal form (`normal_form`: certain), or equal in rows where the tables are known.

    Rows are compared where the request defines the tables (CREATE TABLE, or lines such as `name(column, column)`) and
    the queries part in more than one place (`one_place`): both run in SQLite, in memory, on dozens of small data sets
    made to tell them apart (`same_rows`). A change in one place is different, whatever the rows are. Equal rows are
    evidence, not proof: queries that part only on data of another kind count as the same. Where there is doubt they
    count as different. What columns are called does not count; their order does. execute: False compares forms only.
    """

    def __init__(self, *, execute: bool = True) -> None:
        self.name = "SQL by form or rows" if execute else "SQL in normal form"
        self._execute = execute
        self._schema: tuple[Table, ...] = ()

    def for_request(self, request: Request) -> Self:
        if not self._execute:
            return self
        from .schema import schema_in  # here: an agent's route imports the graders, and never runs a query

        bound = copy(self)
        bound._schema = schema_in("\n".join(text_of(message) for message in request.messages))
        return bound

    def agree(self, answer: str, teacher: str) -> bool:
        if normal_form(answer) == normal_form(teacher):
            return True
        if not self._schema:
            return False
        from .execution import same_rows
        from .one_place import one_place

        return not one_place(answer, teacher) and same_rows(self._schema, answer, teacher)
