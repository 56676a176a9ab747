"""The demo's inputs: real entries with the labels that people gave them, out of packages that the set-up fetched.

usaddress 0.5.16 and probablepeople 0.5.6 (MIT, both by DataMade): the training files of their source archives,
addresses, persons and companies tagged field by field. bfcl-eval 2026.3.23 (Apache-2.0): real user requests with the
tools offered and the right calls. The labels stand for a large model's answers.
"""

from __future__ import annotations

import json
import random
import tarfile
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DOWNLOADS = Path(__file__).parents[2] / ".downloads"
SEED = 20250602


@dataclass(frozen=True)
class Entry:
    """One item of the inbox. answers: the published answer by node; tools: those offered, for a free-form request."""

    text: str
    kind: str
    answers: dict[str, dict[str, Any] | str]
    tools: list[dict[str, Any]] = field(default_factory=list)


def inbox(requests: int = 150) -> list[Entry]:
    """All entries, each text once, shuffled with a fixed seed; of the free-form requests the first `requests`."""
    entries = [*_addresses(), *_names("person_labeled.xml", "person"), *_names("company_labeled.xml", "company")]
    once: dict[str, Entry] = {}
    for entry in entries:
        once.setdefault(" ".join(entry.text.lower().split()), entry)
    chosen = [*once.values(), *list(_requests())[:requests]]
    random.Random(SEED).shuffle(chosen)
    return chosen


def _addresses() -> Iterator[Entry]:
    for file in _ADDRESSES:
        for tagged in _tagged("usaddress-0.5.16", f"training/{file}.xml"):
            place = {name: _field(tagged, tag) for name, tag in _PLACE.items()}
            yield Entry(_text(tagged), "address", {"sort": "address", "place": place})


def _names(file: str, kind: str) -> Iterator[Entry]:
    for tagged in _tagged("probablepeople-0.5.6", f"name_data/labeled/{file}"):
        answers: dict[str, Any] = {"sort": kind}
        if kind == "person":
            answers["name"] = {name: _field(tagged, tag) for name, tag in _NAME.items()}
        yield Entry(_text(tagged), kind, answers)


_ADDRESSES = ("labeled", "us50_messiest_manual_label", "us50_train_tagged", "multi_word_state_addresses")
"""The files that were labelled by hand; others were made from databases."""

_PLACE = {"city": "PlaceName", "state": "StateName", "zip": "ZipCode"}
_NAME = {"given": "GivenName", "surname": "Surname"}


def _requests() -> Iterator[Entry]:
    with zipfile.ZipFile(next(DOWNLOADS.glob("bfcl_eval-*.whl"))) as package:
        questions, answers = (
            [json.loads(line) for line in package.read(f"bfcl_eval/data/{name}").decode().splitlines() if line]
            for name in ("BFCL_v4_live_multiple.json", "possible_answer/BFCL_v4_live_multiple.json")
        )
    right = {answer["id"]: answer["ground_truth"] for answer in answers}
    random.Random(SEED).shuffle(questions)
    for row in questions:
        turns = [message for message in row["question"][0] if message["role"] == "user"]
        call = right[row["id"]][0]
        name, arguments = next(iter(call.items()))
        given = {key: values[0] for key, values in arguments.items() if values and values[0] != ""}
        tools = [{"type": "function", "function": _tool(function)} for function in row["function"]]
        yield Entry(turns[-1]["content"], "request", {"assist": {"name": name, "args": given}}, tools)


def _tool(function: dict[str, Any]) -> dict[str, Any]:
    """A tool in OpenAI's form: the benchmark names JSON types as Python does."""
    return {**_schema(function), "name": function["name"].replace(".", "_")}


_TYPES = {"dict": "object", "float": "number", "tuple": "array", "list": "array", "any": "string"}


def _schema(value: Any) -> Any:
    if isinstance(value, list):
        return [_schema(item) for item in value]
    if not isinstance(value, dict):
        return value
    plain = {key: _schema(item) for key, item in value.items()}
    if isinstance(plain.get("type"), str):
        plain["type"] = _TYPES.get(plain["type"].lower(), plain["type"].lower())
    return plain


def _tagged(package: str, file: str) -> list[ElementTree.Element]:
    with tarfile.open(DOWNLOADS / f"{package}.tar.gz") as archive:
        member = archive.extractfile(f"{package}/{file}")
        assert member is not None, file
        return [item for item in ElementTree.parse(member).getroot() if len(item)]


def _text(tagged: ElementTree.Element) -> str:
    return " ".join("".join(tagged.itertext()).split())


def _field(tagged: ElementTree.Element, tag: str) -> str | None:
    """The words under a tag as they stand in the entry, without the punctuation that closes them; None where none."""
    words = [(token.text or "").strip() for token in tagged if token.tag == tag]
    return " ".join(words).strip(" ,.;()") or None
