"""Polish: names in each of their cases, PESEL and NIP by their check digits; other languages are left alone."""

from __future__ import annotations

import pytest
from polish_names import labelled
from protege.redact import TYPES, RedactionPolicy, Redactor, find
from protege.redact.polish import is_polish, spans

ALL = RedactionPolicy(types=frozenset(TYPES), key="k")


def test_names_are_found_in_every_case() -> None:
    """By the rules alone, without the model; half of the names are in no list."""
    whole = named = found = right = 0
    for text, name in labelled():
        start = text.find(name) if name else len(text)
        covered = [span for span in spans(text) if span.start < start + len(name) and span.end > start]
        named += bool(name)
        whole += any(span.start <= start and span.end >= start + len(name) for span in covered) if name else 0
        found += len(list(spans(text)))
        right += len(covered)
    assert whole / named >= 0.97 and right / found >= 0.95


@pytest.mark.parametrize(
    "text",
    [
        "Please call Łukasz Nowak about the Samsung Galaxy in New York.",
        "Ich habe mit Frau Wałęsa aus der Deutsche Bank gesprochen.",
        "O pedido do João na Vila Nova não chegou.",
        "The Quick Brown Fox from the White House",
        "Zamówienie nie dotarło, proszę o pomoc.",
    ],
)
def test_sentences_of_other_languages_and_without_names_are_left_alone(text: str) -> None:
    assert list(spans(text)) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Mój PESEL to 44051401359, proszę o kontakt.", "44051401359"),
        ("NIP 526-104-08-28", "526-104-08-28"),
        ("NIP firmy: 5261040828.", "5261040828"),
        ("tel. +48 601 234 567", "+48 601 234 567"),
        ("tel. 601-234-567", "601-234-567"),
    ],
)
def test_numbers_are_found(text: str, value: str) -> None:
    assert value in [text[span.start : span.end] for span in find(text, ALL)]


@pytest.mark.parametrize("text", ["order 44051401358", "at 1760000000", "id 5261040828", "526-104-08-29"])
def test_numbers_whose_digits_do_not_check_are_none(text: str) -> None:
    assert not list(find(text, RedactionPolicy(types=frozenset({"NATIONAL_ID"}), model=False)))


def test_a_row_in_polish_keeps_its_words_and_loses_its_names() -> None:
    redactor = Redactor(ALL, "c")
    (text,) = redactor.redact(["Paczka dla Krzysztofa Zielińskiego nie dotarła, proszę o pomoc."]).texts
    assert "Krzysztofa" not in text and "Zielińskiego" not in text
    assert text.startswith("Paczka dla ") and text.endswith(" nie dotarła, proszę o pomoc.") and is_polish(text)
    assert redactor.left([text]) == []
