"""What is written in another way is found all the same, is one surrogate, and what a surrogate makes up is no find."""

from __future__ import annotations

import html
import json
import unicodedata
from collections.abc import Callable
from urllib.parse import quote

import pytest
from protege.redact import TYPES, RedactionPolicy, Redactor, find

FORMS = RedactionPolicy(types=frozenset(TYPES), key="k", model=False)
NUMBERS = ("The card is 4111-1111-1111-1111.", "Call 415-555-0123 today.", "Her SSN is 536-90-4399.")


@pytest.mark.parametrize("dash", list("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\uff0d"))
def test_numbers_go_whatever_their_dashes_are(dash: str) -> None:
    for text in NUMBERS:
        redactor = Redactor(FORMS, "c")
        (plain,), (written,) = redactor.redact([text]).texts, redactor.redact([text.replace("-", dash)]).texts
        assert plain != text and written == plain.replace("-", dash)
        assert redactor.left([written]) == []


@pytest.mark.parametrize(
    "write",
    [
        lambda text: text.replace(" ", "\u00a0"),
        lambda text: text.replace(" ", "\u2009"),
        lambda text: text.replace("-", "&#8209;").replace(" ", "&nbsp;"),
        lambda text: text.replace("-", "\\u2011"),
        lambda text: text.replace("@", "%40").replace(":", "%3A"),
        lambda text: text.replace("@", "\uff20"),
        lambda text: "".join(chr(ord(c) + 0xFEE0) if c.isdigit() else c for c in text),
        lambda text: json.dumps({"a": json.dumps({"b": text.replace("-", "\u2013")})}),
    ],
)  # fmt: skip
def test_forms_go_however_they_are_written(write: Callable[[str], str]) -> None:
    text = "Mail ada.kim@corp.de or call 415-555-0123, card 4111 1111 1111 1111."
    written = write(text)
    found = {span.type for span in find(written, FORMS)}
    assert found == {"EMAIL_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD"}
    redactor = Redactor(FORMS, "c")
    texts = redactor.redact([written]).texts
    assert redactor.left(texts) == []
    assert not {"ada", "4111", "0123", "corp"} & set(texts[0].replace("\uff10", "0").split("-"))


@pytest.mark.parametrize(
    ("name", "spellings"),
    [
        ("O'Brien", ["O\u2019Brien", "O&#39;Brien", "O\\u2019Brien", "O%27Brien"]),
        (
            "García",
            [unicodedata.normalize("NFD", "García"), "Garc&iacute;a", "Garc\\u00eda", quote("García"), "Garcia"],
        ),
        ("Müller", ["M&uuml;ller", "Mueller", "Muller", "MÜLLER"]),
        ("Łukasz", ["&#321;ukasz", "Lukasz"]),
        ("王伟", ["&#29579;&#20255;", "\\u738b\\u4f1f", quote("王伟")]),
    ],
)
def test_a_person_in_two_spellings_is_one_other_person(name: str, spellings: list[str]) -> None:
    for spelling in spellings:
        redactor = Redactor(FORMS, "c")
        redactor._surrogates.add(name, "PERSON")
        first, second = redactor.replaced([f"Hi {name}, bye.", f"Hi {spelling}, bye."])
        assert name not in first and spelling not in second
        read = html.unescape(second)
        read = json.loads(f'"{read}"') if "\\" in read else read
        one, other = first[3:-6], quote(first[3:-6])
        assert read[3:-6].casefold() in (one.casefold(), other.casefold())
        assert redactor.left([first, second]) == []


@pytest.mark.parametrize(
    "form", ["+1 ({}) {}-{}", "+1 {} {} {}", "+1-{}-{}-{}", "({}) {}-{}", "1-{}-{}-{}", "+44 {} {} {}", "tel:+1{}{}{}"]
)
def test_a_surrogate_is_no_find(form: str) -> None:
    for number in range(40):
        text = f"Call {form.format(201 + 19 * number, 999 - 17 * number, 1000 + 211 * number)} about it."
        redactor = Redactor(FORMS, f"c{number}")
        texts = redactor.redact([text, json.dumps({"phone": text[5:-10], "card": "4111 1111 1111 1111"})]).texts
        assert texts[0] != text and redactor.left(texts) == []


def test_half_a_character_beside_what_is_personal_is_kept() -> None:
    before = '{"ssn": "+44 20 7946 0958\\ud800"}'
    [after] = Redactor(FORMS, "c").redact([before]).texts
    assert "7946" not in after and len(json.loads(after)) == 1


def test_a_part_of_a_surrogate_is_no_find_and_what_is_real_beside_it_is() -> None:
    redactor = Redactor(FORMS, "c")
    redactor._surrogates.add("123 Hill Street", "ADDRESS")
    made = next(iter(redactor._surrogates.exact.values()))
    assert redactor.left([f"Nr. {made}"]) == []
    assert redactor.left(["Nr. 123"]) == ["a name that was found"]
    assert redactor.left([f"{made} or ada@corp.de"]) == ["EMAIL_ADDRESS"]
