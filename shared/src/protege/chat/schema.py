"""Whether a value breaks a JSON schema. Both come from outside, and both are looked at inside the agent.

jsonschema gives the keywords their meaning. Here each keyword is paid for from a budget, patterns are RE2's, whose time
is linear in the text, and equal items are found by their hashes. A check that takes more than its budget (`LIMIT`,
about half a second) counts as broken, so the teacher answers. A pattern that RE2 cannot read, such as one that looks
ahead, and a `format` constrain nothing.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import orjson
import re2
from jsonschema import Draft202012Validator, ValidationError, validators
from jsonschema_specifications import REGISTRY as SPECIFICATIONS
from referencing import Registry
from referencing.exceptions import Unresolvable

from ..common.linear import Linear

LIMIT = 60_000
"""What one check may cost. A keyword applied to a value costs 1, which takes some 5 µs, and so do CHARACTERS."""
CHARACTERS = 100
LONGEST_SCHEMA, LONGEST_PATTERN = 1 << 18, 4096


class _TooMuch(Exception):
    pass


def checker(schema: bytes) -> Callable[[Any], bool]:
    """A function that tells whether a value breaks this schema. It takes some 4 ms to make.

    No value breaks a schema that is itself wrong or refers to what is not in it: nothing is fetched over the network.
    """
    if len(schema) > LONGEST_SCHEMA:
        return lambda value: True
    plain = orjson.loads(schema)
    if isinstance(plain, dict) and not isinstance(plain.get("$schema", ""), str):
        return lambda value: False
    kind: Any = validators.validator_for(plain, default=Draft202012Validator)
    budget = _Budget(0)
    try:
        if not _bounded(kind, budget)(kind.META_SCHEMA, registry=SPECIFICATIONS).is_valid(plain):
            return lambda value: False
    except (_TooMuch, RecursionError):
        return lambda value: True
    except Unresolvable:
        return lambda value: False
    return functools.partial(_breaks, plain, kind, len(schema))


def _breaks(schema: Any, kind: Any, size: int, value: Any) -> bool:
    try:
        return not _bounded(kind, _Budget(size))(schema, registry=Registry()).is_valid(value)
    except (_TooMuch, RecursionError):
        return True
    except (Unresolvable, re2.error):
        return False


class _Budget:
    def __init__(self, schema_size: int) -> None:
        self._left = LIMIT
        self.schema_size = schema_size

    def pay(self, cost: int) -> None:
        self._left -= cost
        if self._left < 0:
            raise _TooMuch


def _bounded(kind: Any, budget: _Budget) -> Any:
    """The same kind of validator, whose keywords are paid for."""
    keywords: Mapping[str, Callable[..., Any]] = kind.VALIDATORS
    paid = {name: _paid(_OWN.get(name, keyword), name, budget) for name, keyword in keywords.items()}
    return validators.extend(kind, paid)


def _paid(keyword: Callable[..., Any], name: str, budget: _Budget) -> Callable[..., Iterator[Any]]:
    follows = name in ("$ref", "$dynamicRef", "$recursiveRef")

    def paid(validator: Any, constraint: Any, instance: Any, schema: Any) -> Iterator[Any]:
        budget.pay(1)
        if follows:  # by a path, or by a name that is looked for in all of the schema
            budget.pay(4 if str(constraint).startswith("#/") else 4 + budget.schema_size // CHARACTERS)
        if name in _LOOKS_AT_ALL:
            budget.pay((_weight(instance) + _weight(constraint)) // CHARACTERS)
        if name in ("unevaluatedProperties", "unevaluatedItems"):
            _check_unevaluated(instance, schema, budget)
        for error in keyword(validator, constraint, instance, schema) or ():
            budget.pay(_weight(instance) // CHARACTERS)  # its message shows the value
            yield error

    return paid


_LOOKS_AT_ALL = frozenset({"pattern", "patternProperties", "additionalProperties", "enum", "const", "uniqueItems"})


def _check_unevaluated(instance: Any, schema: Any, budget: _Budget) -> None:
    """jsonschema compares each name with each, and searches with Python's patterns: refuse what that must not see."""
    if isinstance(instance, Mapping | list):
        budget.pay(len(instance) ** 2 // CHARACTERS)
    if b'"patternProperties"' in orjson.dumps(schema):
        raise _TooMuch


def _weight(value: Any) -> int:
    """The characters of a value, about; lists and objects count with all they hold."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return 20 + sum(len(name) + _weight(item) + 20 for name, item in value.items())
    if isinstance(value, list):
        return 20 + sum(_weight(item) + 20 for item in value)
    return 20


@functools.lru_cache(maxsize=1024)
def _linear(pattern: str) -> Linear | None:
    """The pattern for RE2; None if RE2 cannot read it."""
    if len(pattern) > LONGEST_PATTERN:
        return None
    try:
        return Linear(_CODE_POINT.sub(r"\\x{\1}", pattern), groups=False)
    except re2.error:
        return None


_CODE_POINT = re.compile(r"\\u([0-9a-fA-F]{4})")  # ECMA's way to write one, which RE2 does not know


def _matches(pattern: str, text: str) -> bool | None:
    """None if the pattern cannot be read."""
    linear = _linear(pattern)
    return None if linear is None else linear.search(text.encode("utf-8", "replace").decode()) is not None


def _pattern(validator: Any, pattern: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if isinstance(instance, str) and isinstance(pattern, str) and _matches(pattern, instance) is False:
        yield _broken("pattern")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if isinstance(instance, Mapping):
        for pattern, subschema in patterns.items():
            for name, item in instance.items():
                if _matches(pattern, name):
                    yield from validator.descend(item, subschema, path=name, schema_path=pattern)


def _additional_properties(validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if not isinstance(instance, Mapping):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, item in instance.items():
        # A pattern that cannot be read may stand for any name.
        if name in known or any(_matches(pattern, name) is not False for pattern in patterns):
            continue
        if isinstance(allowed, Mapping):
            yield from validator.descend(item, allowed, path=name)
        elif not allowed:
            yield _broken("additionalProperties")


def _enum(validator: Any, values: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if _key(instance) not in set(map(_key, values)):
        yield _broken("enum")


def _const(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if _key(instance) != _key(value):
        yield _broken("const")


def _unique_items(validator: Any, unique: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if unique and isinstance(instance, list) and len(set(map(_key, instance))) < len(instance):
        yield _broken("uniqueItems")


def _key(value: Any) -> Any:
    """Equal for values that JSON Schema takes for equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, bool):
        return bool, value
    if isinstance(value, Mapping):
        return frozenset((name, _key(item)) for name, item in value.items())
    if isinstance(value, list):
        return tuple(map(_key, value))
    return value


def _broken(keyword: str) -> Any:
    return ValidationError(keyword)


_OWN: Mapping[str, Callable[..., Iterable[Any]]] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "enum": _enum,
    "const": _const,
    "uniqueItems": _unique_items,
}
