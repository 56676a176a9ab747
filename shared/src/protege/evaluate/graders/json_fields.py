"""JSON answers, field by field."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import copy
from typing import Any, Self

from ...call import Request
from ...chat.answer import breaks, schema_of
from .base import Grader
from .values import Rules, parsed


class JsonFields(Grader):
    """The same JSON value: every field equal, whatever the order of keys.

    1 equals 1.0 but neither "1" nor true. A null field differs from a missing one. The order of a list counts unless
    `unordered` says otherwise, and so does every digit unless there is a tolerance (see `Rules`). If the request asks
    for a schema, an answer that breaks it agrees with none. Score: of the leaf fields that either answer has, the share
    that is equal. Text that is not JSON agrees only with the same text.
    """

    def __init__(self, *, unordered: bool | Collection[str] = (), abs_tol: float = 0.0, rel_tol: float = 0.0) -> None:
        self.rules = Rules(unordered, abs_tol, rel_tol)
        self.name = f"JSON by fields{self.rules.wording}"
        self._schema: Mapping[str, Any] | None = None

    def for_request(self, request: Request) -> Self:
        bound = copy(self)
        bound._schema = schema_of(request)
        return bound

    def agree(self, answer: str, teacher: str) -> bool:
        mine, theirs = parsed(answer), parsed(teacher)
        if mine is None or theirs is None:
            return mine is theirs and answer.strip() == teacher.strip()
        return self.rules.same(mine[0], theirs[0]) and not breaks(mine[0], self._schema)

    def score(self, answer: str, teacher: str) -> float:
        mine, theirs = parsed(answer), parsed(teacher)
        if mine is None or theirs is None:
            return float(self.agree(answer, teacher))
        return self.rules.share(dict(self.rules.leaves(mine[0])), dict(self.rules.leaves(theirs[0])))
