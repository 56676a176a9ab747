"""What keys of JSON say about their values: whose they are, and whether anybody's at all."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from protege.errors import BadInput
from protege.redact import TYPES, RedactionPolicy, Redactor, find

FORMS = RedactionPolicy(types=frozenset(TYPES), key="k", model=False)


def found(value: Any, policy: RedactionPolicy = FORMS) -> list[str]:
    text = json.dumps(value, ensure_ascii=False)
    return [text[span.start : span.end] for span in find(text, policy)]


@pytest.mark.parametrize(
    ("value", "personal"),
    [
        ({"firstName": "Xu", "surname": "Brzęczyszczykiewicz"}, ["Xu", "Brzęczyszczykiewicz"]),
        ({"customer": {"name": "Ada Kim"}, "product": {"name": "Ada Lamp"}}, ["Ada Kim"]),
        ({"passenger_name": "Ada Kim", "airline_name": "Air Kim"}, ["Ada Kim"]),
        ([{"name": "Ada Kim", "email": "a@corp.de"}, {"name": "Oak Desk", "sku": "O-1"}], ["Ada Kim", "a@corp.de"]),
        ({"assignee": "Ada Kim", "owner": "Platform Team", "createdBy": "Bo Li"}, ["Ada Kim", "Bo Li"]),
        ({"phone": "601 234 024", "order": "601 234 024"}, ["601 234 024"]),
        ({"phone": 2125550147, "tracking": "4111111111111111"}, ["2125550147"]),
        ({"card": "4111111111111111", "id": "4111111111111111"}, ["4111111111111111"]),
        ({"dob": "1987-03-02", "departure": "2026-03-02", "created_at": "2026-03-02T10:00:00Z"}, ["1987-03-02"]),
        ({"note": "Born 1987-03-02, flies 2026-03-02"}, ["1987-03-02"]),
        (
            {"address": {"street": "1 Hill Rd", "zip": "123"}, "hotel": {"address": "2 Sea Rd", "city": "Rome"}},
            ["1 Hill Rd", "123"],
        ),
        (
            {"origin": {"city": "Rome", "airport": "FCO"}, "url": "https://a.org/b", "link": "mailto:a@corp.de"},
            ["a@corp.de"],
        ),
        ({"Vorname": "Jörg", "nombre": "Iñaki", "imię": "Łucja", "姓名": "王伟"}, ["Jörg", "Iñaki", "Łucja", "王伟"]),
        ({"passport_number": "XK4471902", "pnr": "XK44719"}, ["XK4471902"]),
        ({"first_name": "unknown", "guest": "2", "author": "system", "contact": "email", "phone": "-"}, []),
        ({"result": json.dumps({"customer_name": "Ada Kim"})}, ["Ada Kim"]),
    ],
)
def test_a_key_says_whose_a_value_is(value: Any, personal: list[str]) -> None:
    assert found(value) == personal


def test_a_company_says_what_its_own_keys_hold() -> None:
    own = RedactionPolicy(types=frozenset(TYPES), keys={"booked_by": "PERSON", "phone": "", "gate": ""}, model=False)
    assert found({"bookedBy": "kim", "phone": "601 234 024", "gate": "Ada"}, own) == ["kim"]
    with pytest.raises(BadInput, match="'NAME' is no type"):
        RedactionPolicy(keys={"booked_by": "NAME"})


def test_dates_of_flights_and_codes_of_airports_stay_as_they_are() -> None:
    flight = {"flight": "LO281", "from": "LHR", "to": "WAW", "departs": "2026-05-02T10:15:00Z", "price": "149.00 EUR"}
    text = json.dumps({"flights": [flight], "passenger": {"name": "Ada Kowalczyk"}})
    redactor = Redactor(RedactionPolicy(types=frozenset(TYPES), key="k"), "c")
    (written,) = redactor.redact([text]).texts
    read = json.loads(written)
    assert read["flights"] == [flight] and "Kowalczyk" not in written and redactor.left([written]) == []


def test_what_the_model_reads_in_one_line_hangs_on_no_other() -> None:
    policy = RedactionPolicy(key="k")
    alone = found({"note": "Ask Agnieszka Kowalczyk about it."}, policy)
    beside = found([{"note": "Ask Agnieszka Kowalczyk about it."}, {"note": "Rotterdam, Lisbon"}], policy)
    assert alone == ["Agnieszka Kowalczyk"] == beside[:1]


@pytest.mark.parametrize(
    "text", ['{"ssn": [], "name": 5e-324}', '{"name": 1e5, "ssn": 2}', '{"city": 5e300, "email": 7}']
)
def test_a_number_is_no_name(text: str) -> None:
    policy = RedactionPolicy(types=frozenset(TYPES), model=False)
    assert orjson.loads(Redactor(policy, "c").redact([text]).texts[0]).keys() == orjson.loads(text).keys()


@pytest.mark.parametrize("number", ["12345e10", "5.36904399e8", "-123456789", "1.5E+09", "123456789"])
def test_a_number_under_a_key_stays_a_number(number: str) -> None:
    policy = RedactionPolicy(types=frozenset(TYPES), model=False)
    (text,) = Redactor(policy, "c").redact([f'{{"ssn": {number}}}']).texts
    value = orjson.loads(text)["ssn"]
    assert isinstance(value, int | float) and value != float(number)
