"""Hostile texts, and how long work on them takes: for the tests that hold all work on text from outside bounded."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import itertools
import pkgutil
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from protege.errors import ProtegeError

CHARACTERS = 8_000
LONGEST_S = 0.25
"""The most that any work may take for a text of this many characters."""
A_KB_S = 0.010
"""The most that work in the agent's process may take for a KB of text."""

UNITS = (
    "a", "prev", "9", " ", "\n", "\\", '"', "'", "`", "``", '"\\', '\\"', "''", '""', "- ", "(", "[", "{", '{"a":',
    "<", "</", "<a ", "<think>", "```", "é", "٣", "I'm sorry, ", "sorry ", "my apology", "password",
    "password=abcd ",
    "token: ", "--token ", "<password ", "a://x:", "eyJaaaaaaaaaaaaa-hf_aaaaaaaaaaaaaaaaaaaa-", "sk-", "a.b-",
    "-----BEGIN PRIVATE KEY-----", "Bearer ", 'key\\": ', "select ", "1e", "-",
)  # fmt: skip
"""What a hostile text repeats."""
ENDS = ("", "!", "!password", '"', "\\")
"""What makes a search that nearly matched fail."""
NESTED = {
    "(": ")", "[": "]", '{"a":': "}", "<a>": "</a>", "create table a (": ")", "create table a (x int,": ")",
    "case when a then ": " end", "(select a from ": ")", "f(": ")", "“": "”", "{%": "%}", "/*": "*/",
}  # fmt: skip
"""What opens something, and what closes it."""
CLOSED = "closed"
TEXTLESS = frozenset({"Path", "Workspace", "Progress", "bool", "int", "float", "None", "Callable", "object"})
"""Types whose values hold no text from outside: paths are of the user's own making."""


def repeated(unit: str, end: str, characters: int) -> str:
    """The unit, repeated up to this many characters, and the end; of a unit that opens something, all are closed."""
    if end is CLOSED:
        times = characters // len(unit + NESTED[unit])
        return unit * times + NESTED[unit] * times
    return (unit * (characters // len(unit) + 1))[:characters] + end


def check(
    work: Callable[[str], object],
    limit_s: Callable[[str], float],
    units: Iterable[str] = UNITS,
    ends: Iterable[str] = ENDS,
    tried: int = 6,
) -> None:
    """Fail if the work takes longer than `limit_s` for a text of CHARACTERS characters.

    All texts are tried at a quarter of that length first, where work that is not linear stands out already: what takes
    the square of the length and .25 s at 8,000 characters takes 16 ms there, and linear work .1 to 5 ms. The slowest
    are then tried at the full length.
    """
    work("warm")
    work("password=hunter2abc9")
    kinds = [*itertools.product(units, ends), *((unit, CLOSED) for unit in NESTED)]
    took = [(seconds(lambda kind=kind: work(repeated(*kind, CHARACTERS // 4))), kind) for kind in kinds]
    for _, (unit, end) in sorted(took, reverse=True)[:tried]:
        limit = limit_s(repeated(unit, end, CHARACTERS))
        least_s = float("inf")
        for shorter in range(4):  # another text each time, lest a cache answers
            text = repeated(unit, end, CHARACTERS - shorter * len(unit))
            least_s = min(least_s, seconds(lambda text=text: work(text)))
            if least_s <= limit / 5:
                break
        assert least_s <= limit, f"{least_s * 1000:.0f} ms for {unit!r}, repeated, and {end!r}"


def in_the_agent_s(text: str) -> float:
    """The most that work in the agent's process may take for this text."""
    return min(LONGEST_S, A_KB_S * len(text.encode("utf-8", "replace")) / 1000)


def in_the_loop_s(text: str) -> float:
    """The most that work of the loop may take for this text."""
    return LONGEST_S


def functions(*packages: str) -> dict[str, Any]:
    """The public functions of all modules in these packages, by their names within the distribution."""
    found: dict[str, Any] = {}
    for name in modules(*packages):
        module = importlib.import_module(name)
        for function_name, function in vars(module).items():
            plain = inspect.unwrap(function) if callable(function) else None  # also of a function with a cache
            if inspect.isfunction(plain) and plain.__module__ == name and not function_name.startswith("_"):
                found[f"{name.removeprefix('protege.')}.{function_name}"] = function
    return found


def forgotten(found: Mapping[str, Any], called: Collection[str], elsewhere: Collection[str]) -> list[str]:
    """The functions that may be given text and are neither called nor named, themselves or their module; and what is
    named and not there."""
    named = {*called, *elsewhere}
    modules_found = {name.rpartition(".")[0] for name in found}
    missing = [
        name
        for name, function in found.items()
        if name not in named and name.rpartition(".")[0] not in elsewhere and takes_text(function)
    ]
    stale = [name for name in named if name not in found and name not in modules_found and name[-1] != ")"]
    return sorted([*missing, *(f"{name}: is not there" for name in stale)])


def takes_text(function: Any) -> bool:
    """Whether a function has a parameter of a type that may hold text from outside."""
    types = [str(each.annotation) for each in inspect.signature(function).parameters.values()]
    return any(set(re.findall(r"\w+", each)) - TEXTLESS for each in types)


def modules(*packages: str) -> Iterator[str]:
    """The names of the modules in these packages, and in the packages within them; a module is given by itself too."""
    for package in packages:
        path = getattr(importlib.import_module(package), "__path__", None)
        if path is None:
            yield package
            continue
        for found in pkgutil.walk_packages(path, f"{package}."):
            if not found.ispkg:
                yield found.name


def seconds(work: Callable[[], object]) -> float:
    """How long this thread works."""
    begin_s = time.thread_time()
    work()
    return time.thread_time() - begin_s


def quietly(work: Callable[[], object], *errors: type[Exception]) -> None:
    """Do the work; it may refuse the text, by these errors too."""
    with contextlib.suppress(ValueError, ProtegeError, *errors):
        work()
