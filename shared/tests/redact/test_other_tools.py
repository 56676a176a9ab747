"""Whose a value is in results of other tools and in other languages: keys and forms alone, without the model."""

from __future__ import annotations

import json
from typing import Any

import pytest
from protege.redact import RedactionPolicy, find, keys
from protege.redact.conversation import Redactor
from protege.redact.leaves import leaves

POLICY = RedactionPolicy(key="k", model=False)


def redacted(value: Any) -> str:
    """The value as JSON text, redacted; nothing may be left in it."""
    redactor = Redactor(POLICY, "c")
    texts = redactor.redact([value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)]).texts
    assert redactor.left(texts) == []
    return texts[0]


@pytest.mark.parametrize(
    ("value", "gone"),
    [
        ({"fields": [{"key": "first_name", "value": "Ottoline"}, {"value": "Adeyemi", "key": "last_name"}]}, "Adeyemi"),
        ({"fields": [{"label": "Telefon", "value": "601234567"}]}, "601234567"),
        ({"answers": [{"question": "What is your full name?", "answer": "Ottoline Adeyemi"}]}, "Adeyemi"),
        ({"properties": {"lastname": {"value": "Adeyemi"}, "phone": {"value": "4155550132"}}}, "4155550132"),
        ({"traits": {"lastName": {"stringValue": "Adeyemi"}}}, "Adeyemi"),
        ({"customer": {"postal_code": "S60 1AB"}}, "S60 1AB"),
        ({"customer": {"address": "12 Wetherby Road, Rotherham S60 1AB"}}, "S60 1AB"),
        ({"shipping_address": {"zip": "K1A 0B1"}}, "K1A 0B1"),
        ({"achternaam": "Adeyemi", "postcode": "1012 AB", "telefoonnummer": "0612345678"}, "1012 AB"),
        ({"förnamn": "Björn", "efternamn": "Lindqvist"}, "Lindqvist"),
        ({"cognome": "Bianchi", "indirizzo": "Via Roma 120"}, "Bianchi"),
        ({"sobrenome": "Ferreira", "celular": "912345678"}, "912345678"),
        ({"имя": "Анна", "фамилия": "Ковальчук"}, "Ковальчук"),
        ({"이름": "김민수", "전화번호": "010-1234-5678"}, "1234-5678"),
        ({"姓名": "王小明", "手机号": "13812345678"}, "王小明"),
        ("我的手机号是13812345678,请联系我", "13812345678"),
        ("邮箱anna.k@firma.pl谢谢", "anna.k"),
        ("カード番号は4111111111111111です", "4111111111111111"),
        ("身份证号11010519491231002X", "11010519491231002X"),
        ("Numéro de sécurité sociale : 2 55 08 14 168 025 38", "168 025"),
    ],
)
def test_it_is_replaced(value: Any, gone: str) -> None:
    assert gone not in redacted(value)


@pytest.mark.parametrize(
    "value",
    [
        {"metrics": [{"name": "latency", "value": "Berlin Region"}]},
        {"total": {"value": "4155550132"}},
        {"full_name": "torvalds/linux"},
        {"month": "April", "weekday": "Wednesday"},
        {"label": "Shipping", "value": "Express"},
        "order 13812345678 and 110105194912310021",
    ],
)
def test_what_is_nobody_s_stays(value: Any) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    assert redacted(text) == text


def test_one_number_is_found_whatever_letters_stand_beside_it() -> None:
    for before, after in (("", ""), ("号", "号"), ("電話", "です"), ("เบอร์", "ครับ"), ("번호", "입니다")):
        spans = find(f"{before}+44 20 7946 0958{after}", POLICY)
        assert [(span.type, span.end - span.start) for span in spans] == [("PHONE_NUMBER", 16)]


def test_lists_of_names_beside_lists_of_values_are_read_in_linear_time(monkeypatch: pytest.MonkeyPatch):
    seen = leaves(json.dumps({"name": ["a"] * 500, "value": ["b"] * 500}))
    looked: list[str] = []
    monkeypatch.setattr(keys, "_said", lambda key, leaf, own: looked.append(key))
    assert all(keys.said_by(leaf, {}) is None for leaf in seen)
    assert len(looked) <= 12 * len(seen)


@pytest.mark.parametrize(
    "value",
    [
        {"name": "update_address", "content": "The address was updated successfully."},
        {"question": "How do I change my address?", "answer": "Go to settings and click on edit profile."},
        {"name": "get_first_name", "content": "Not found"},
        {"label": "Full name", "value": "Required field"},
        {"role": "tool", "name": "lookup_customer_name", "content": "Error: timeout after 30s"},
        {"address": {"text": "We ship to any address in the EU."}},
    ],
)
def test_a_sentence_beside_a_name_is_no_persons(value: Any):
    assert find(json.dumps(value), POLICY) == []


def test_what_a_neighbour_names_is_still_found():
    for name, value in (
        ("first_name", "anna"),
        ("Full name", "anna schmidt"),
        ("Full name", "Jan van der Berg"),
        ("Street", "Rue de la paix"),
        ("address", "calle de la reina 5, planta tercera"),
    ):
        (span,) = find(json.dumps({"label": name, "value": value}), POLICY)
        assert span.type in ("PERSON", "ADDRESS"), name
