"""Answers in which some fields are acted on, and others are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import Any, cast

from ...chat.acts import ARGUMENTS, READ, THOUGHTS
from ...chat.answer import breaks
from .json_fields import JsonFields
from .text import TextSimilarity
from .values import parsed

PROSE = 8
"""A text of so many words or more beside them is prose too, and compared by likeness."""
PREFIX = "fields:"


class DecisiveFields(JsonFields):
    """The same JSON, or the same tools called, in the fields that an agent's code acts on.

    fields: the paths that count, such as "actions" or "state.next"; all else is not compared. Without any they are
    found: numbers, true and false, null and texts of less than eight words are compared exactly, longer texts by
    likeness (chrF of .8 or more), and fields such as `thought` or `memory` (`chat.acts.READ`; among an action's
    arguments `chat.acts.THOUGHTS` alone) not at all.

    If the request asks for a schema, an answer that breaks it agrees with none. Text that is not JSON agrees only with
    the same text. Score: of the fields that count, the share that is equal.
    """

    def __init__(self, fields: Sequence[str] = ()) -> None:
        self.fields = tuple(dict.fromkeys(name.strip() for name in fields if name.strip()))
        super().__init__()
        self._likeness = TextSimilarity()
        if self.fields:
            self.name = f"the fields {', '.join(self.fields)} alone"
        else:
            self.name = "decisive fields: texts of eight words or more by chrF, thoughts and notes not compared"
            self.similarity = True

    def agree(self, answer: str, teacher: str) -> bool:
        mine, theirs = parsed(answer), parsed(teacher)
        if mine is None or theirs is None:
            return mine is theirs and answer.split() == teacher.split()
        if breaks(mine[0], self._schema):
            return False
        if not self.fields:
            return self._alike(mine[0], theirs[0])
        ours, others = ([_at(value[0], path) for path in self.fields] for value in (mine, theirs))
        if all(other == MISSING for other in others):  # the teacher's answer has none of them
            return self.rules.same(mine[0], theirs[0])
        return all(map(self.rules.same, ours, others))

    def score(self, answer: str, teacher: str) -> float:
        mine, theirs = parsed(answer), parsed(teacher)
        if mine is None or theirs is None:
            return float(self.agree(answer, teacher))
        ours, others = (dict(self._counted(value[0])) for value in (mine, theirs))
        places = ours.keys() | others.keys()
        equal = sum(self._alike(ours[place], others[place]) for place in ours.keys() & others.keys())
        return equal / len(places) if places else 1.0

    def _counted(self, value: Any) -> Iterator[tuple[Any, Any]]:
        if self.fields:
            value = {path: _at(value, path) for path in self.fields}
        for place, leaf in self.rules.leaves(value):
            read = READ if ARGUMENTS.isdisjoint(place) else THOUGHTS
            if self.fields or not any(str(key).lower() in read for key in place):
                yield place, leaf

    def _alike(self, mine: Any, theirs: Any, read: Set[str] = READ) -> bool:
        if isinstance(mine, dict) and isinstance(theirs, dict):
            ours, others = (
                {key: item for key, item in cast(dict[str, Any], value).items() if key.lower() not in read}
                for value in (mine, theirs)
            )
            return ours.keys() == others.keys() and all(
                self._alike(ours[key], others[key], THOUGHTS if key in ARGUMENTS else read) for key in ours
            )
        if isinstance(mine, list) and isinstance(theirs, list):
            pairs = cast(list[Any], mine), cast(list[Any], theirs)
            return len(pairs[0]) == len(pairs[1]) and all(self._alike(*pair, read) for pair in zip(*pairs, strict=True))
        if isinstance(mine, str) and isinstance(theirs, str) and not self.fields and len(theirs.split()) >= PROSE:
            return self._likeness.agree(mine, theirs)
        return self.rules.same(mine, theirs)


def _at(value: Any, path: str) -> Any:
    """What stands at a path of keys; `MISSING` if nothing does."""
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return MISSING
        value = cast(dict[str, Any], value)[key]
    return value


MISSING = "\0missing"
"""Differs from whatever JSON can hold there, but for itself."""
