"""What counts as personal data: kinds, exceptions, a company's own patterns; for all tasks, and for each by name."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import BadInput
from .model import digest

TYPES = (
    "PERSON",
    "EMAIL_ADDRESS",
    "PHONE_NUMBER",
    "CREDIT_CARD",
    "IBAN_CODE",
    "BANK_ACCOUNT",
    "NATIONAL_ID",
    "IP_ADDRESS",
    "URL",
    "ADDRESS",
    "LOCATION",
    "DATE_TIME",
)
"""Named as presidio names them. NATIONAL_ID: also passports and driving licences. ADDRESS: street, number, postal code.
LOCATION: cities, states, countries."""

DEFAULT_TYPES = frozenset(TYPES) - {"DATE_TIME"}
"""Without dates: alone they name nobody, and answers hang on them ("the day after tomorrow" is another date then)."""

RULES = 2
"""Version of what is found and of what stands for it. To be raised by hand with every change of that, anywhere in this
folder: data sets that were made by other rules are made anew."""

FILE = "redaction.toml"


@dataclass(frozen=True, slots=True)
class Policy:
    """What is to be replaced.

    types: of `TYPES`. allow: texts that stay, whatever they look like. patterns: a company's own, by name, for RE2,
    which no text makes slow; letters and digits of what they find are replaced by others. model: whether names and
    places are looked for, by a model; without it patterns are all. key: makes surrogates other than anyone can guess.
    """

    types: frozenset[str] = DEFAULT_TYPES
    allow: frozenset[str] = frozenset()
    patterns: Mapping[str, str] = field(default_factory=dict[str, str])
    model: bool = True
    key: str = ""

    def __post_init__(self) -> None:
        if unknown := self.types - set(TYPES):
            raise BadInput(f"{min(unknown)!r} is no type of personal data.", f"Choose from: {', '.join(TYPES)}.")
        for name, pattern in self.patterns.items():
            if name in TYPES:
                raise BadInput(f"{name!r} is a type of its own.", "Give the pattern another name.")
            compiled(name, pattern)

    def to_record(self) -> dict[str, Any]:
        """What of it may be written beside a data set: without the key, and without the texts that may stay."""
        return {"types": sorted(self.types), "patterns": dict(self.patterns), "model": self.model}

    @property
    def identity(self) -> list[object]:
        """All that decides what comes out, to be hashed."""
        return [self.to_record(), sorted(self.allow), self.key, RULES, digest() if self.model else ""]


@functools.cache
def compiled(name: str, pattern: str) -> Any:
    """A company's own pattern. Raises BadInput where RE2 does not take it, or where it finds empty text."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        found = re2.compile(pattern, options)
    except re2.error as error:
        raise BadInput(
            f"The pattern {name!r} cannot be used: {_said(error)}.",
            "RE2 takes no look-around and no back-references.",
        ) from None
    if found.search("") is not None:
        raise BadInput(f"The pattern {name!r} finds empty text.", "Let it ask for at least one character.")
    return found


def load_policy(home: Path, task: str = "", *, key: str = "") -> Policy:
    """The policy of `redaction.toml` in the workspace for a task by its name; the default where there is no such file.

        types = ["PERSON", "EMAIL_ADDRESS"]     # instead of the default ones
        allow = ["Contoso"]
        model = true
        [patterns]
        CUSTOMER_NUMBER = 'K-[0-9]{6}'
        [tasks.triage]                          # what differs for the task of this name
        types = []

    Raises BadInput where the file cannot be read or says what is not known.
    """
    try:
        written = tomllib.loads((home / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Policy(key=key)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{home / FILE} cannot be read ({type(error).__name__}).", "Mend or remove it.") from None
    own: dict[str, Any] = written.pop("tasks", {}).get(task, {})
    return _changed(_changed(Policy(key=key), written), own)


def _changed(policy: Policy, written: Mapping[str, Any]) -> Policy:
    read: dict[str, Any] = {}
    for name, value in written.items():
        if name in ("types", "allow") and isinstance(value, list):
            read[name] = frozenset(map(str, value))
        elif (name == "patterns" and isinstance(value, dict)) or (name == "model" and isinstance(value, bool)):
            read[name] = value
        else:
            raise BadInput(
                f"{FILE} says {name!r} in a way that is not known.", "It takes types, allow, patterns, model."
            )
    return replace(policy, **read)


def _said(error: Exception) -> str:
    said = error.args[0] if error.args else error
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
