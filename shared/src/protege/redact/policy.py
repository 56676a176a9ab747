"""What counts as personal data: types, exceptions, a company's own patterns; for all tasks or for one by its name."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import re2

from ..errors import BadInput
from .weights import digest

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
"""The types of personal data, named as presidio names them. NATIONAL_ID includes passports and driving licences.
ADDRESS: street, number, postal code. LOCATION: cities, states, countries."""

DEFAULT_TYPES = frozenset(TYPES) - {"DATE_TIME"}
"""Dates are left out: alone they identify nobody, and answers depend on them ("the day after tomorrow" would become
another date)."""

RULES_VERSION = 6
"""The version of what is found and of its surrogates. Raise it by hand with every change of either, anywhere in this
folder: data sets made by other rules are then made anew."""

FILE = "redaction.toml"


@dataclass(frozen=True, slots=True)
class RedactionPolicy:
    """What is replaced. Raises BadInput for an unknown type or an unusable pattern."""

    types: frozenset[str] = DEFAULT_TYPES
    """A subset of `TYPES`."""
    allow: frozenset[str] = frozenset()
    """Texts that stay, whatever they look like."""
    patterns: Mapping[str, str] = field(default_factory=dict[str, str])
    """A company's own patterns, by name, for RE2, which no text makes slow. Letters and digits of their matches are
    replaced by others."""
    model: bool = True
    """Whether a model looks for names and places; without it only patterns are used."""
    key: str = ""
    """A secret that makes surrogates impossible to guess."""
    keys: Mapping[str, str] = field(default_factory=dict[str, str])
    """What a company's own keys of JSON say about their values: a type, or "" where they are nobody's. `booked_by` also
    stands for `bookedBy`."""

    def __post_init__(self) -> None:
        if unknown := self.types - set(TYPES):
            raise BadInput(f"{min(unknown)!r} is no type of personal data.", f"Choose from: {', '.join(TYPES)}.")
        for name, pattern in self.patterns.items():
            if name in TYPES:
                raise BadInput(f"{name!r} is already the name of a type.", "Give the pattern another name.")
            compiled(name, pattern)
        if unknown := set(self.keys.values()) - {*TYPES, ""}:
            raise BadInput(f"{min(unknown)!r} is no type of personal data.", f'Choose from "", {", ".join(TYPES)}.')

    def to_record(self) -> dict[str, Any]:
        """The part that may be written beside a data set: without the key and without the texts that stay."""
        return {
            "types": sorted(self.types),
            "patterns": dict(self.patterns),
            "keys": dict(self.keys),
            "model": self.model,
        }

    @property
    def identity(self) -> list[object]:
        """Everything that decides the result of redaction, to be hashed."""
        return [self.to_record(), sorted(self.allow), self.key, RULES_VERSION, digest() if self.model else ""]


@functools.cache
def compiled(name: str, pattern: str) -> Any:
    """A company's own pattern. Raises BadInput if RE2 does not accept it, or if it matches empty text."""
    options = re2.Options()
    options.log_errors = False
    try:
        regex = re2.compile(pattern, options)
    except re2.error as error:
        raise BadInput(
            f"The pattern {name!r} cannot be used: {_said(error)}.",
            "RE2 has no look-around and no back-references.",
        ) from None
    if regex.search("") is not None:
        raise BadInput(f"The pattern {name!r} matches empty text.", "Make it match at least one character.")
    return regex


def load_policy(home: Path, task: str = "", *, key: str = "") -> RedactionPolicy:
    """The policy that the workspace's `redaction.toml` gives for a task, by its name; the default without such a file.

        types = ["PERSON", "EMAIL_ADDRESS"]     # instead of the default ones
        allow = ["Contoso"]
        model = true
        [patterns]
        CUSTOMER_NUMBER = 'K-[0-9]{6}'
        [keys]                                  # of JSON: whose their values are
        booked_by = "PERSON"
        gate = ""                               # nobody's
        [tasks.triage]                          # what differs for the task of this name
        types = []

    Raises BadInput if the file cannot be read, or holds an unknown setting.
    """
    try:
        written = tomllib.loads((home / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return RedactionPolicy(key=key)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{home / FILE} cannot be read ({type(error).__name__}).", "Correct or remove it.") from None
    own: dict[str, Any] = written.pop("tasks", {}).get(task, {})
    return _changed(_changed(RedactionPolicy(key=key), written), own)


def _changed(policy: RedactionPolicy, written: Mapping[str, Any]) -> RedactionPolicy:
    read: dict[str, Any] = {}
    for name, value in written.items():
        if name in ("types", "allow") and isinstance(value, list):
            read[name] = frozenset(map(str, value))
        elif (name in ("patterns", "keys") and isinstance(value, dict)) or (
            name == "model" and isinstance(value, bool)
        ):
            read[name] = value
        else:
            raise BadInput(
                f"{FILE} has an unknown or malformed setting {name!r}.", "It takes types, allow, patterns, keys, model."
            )
    return replace(policy, **read)


def _said(error: Exception) -> str:
    said = error.args[0] if error.args else error
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
