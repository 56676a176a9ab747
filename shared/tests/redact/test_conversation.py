"""What stands for what: one person for one throughout a conversation, in the same shape; JSON stays JSON."""

from __future__ import annotations

import json
import re

import pytest
from protege.redact import TYPES, Policy, Redactor, redacted_text
from stdnum import luhn
from stdnum.iso7064 import mod_97_10

NAMES = Policy(types=frozenset(TYPES), key="k")


def redact(
    *texts: str, policy: Policy = NAMES, conversation: str = "c", keep: frozenset[str] = frozenset()
) -> list[str]:
    return Redactor(policy, conversation, keep).redact(texts).texts


def test_a_name_is_the_same_other_one_in_prompt_and_answer() -> None:
    prompt, answer = redact("My name is Anna Kowalczyk.", '{"given": "Anna", "surname": "KOWALCZYK"}')
    given, surname = json.loads(answer).values()
    assert given != "Anna" and surname.isupper() and surname != "KOWALCZYK"
    assert prompt == f"My name is {given} {surname.capitalize()}."


def test_another_call_of_the_conversation_knows_it_and_another_conversation_does_not() -> None:
    redactor = Redactor(NAMES, "run 1")
    first = redactor.redact(["I am Anna Kowalczyk."]).texts[0]
    assert redactor.redact(["Is Kowalczyk there?"]).texts[0] == f"Is {first.split()[-1][:-1]} there?"
    others = {redact("I am Anna Kowalczyk.", conversation=f"run {n}")[0] for n in range(20)}
    assert len(others) > 10
    assert redact("I am Anna Kowalczyk.") == redact("I am Anna Kowalczyk.")
    assert redact("I am Anna Kowalczyk.", policy=Policy(key="other")) != redact("I am Anna Kowalczyk.")


def test_two_people_stay_two() -> None:
    people = [f"Anna, Bianca, {name} and Boris" for name in ("Carla", "Celine", "Claudia", "Cora", "Dora", "Emma")]
    texts = redact(*(f"Please invite {text}." for text in people))
    named = {word for text in texts for word in re.findall(r"[A-Z]\w+", text)} - {"Please"}
    assert len(named) == len({word for text in people for word in re.findall(r"[A-Z]\w+", text)})


@pytest.mark.parametrize(
    "text",
    ["+44 20 7946 0958", "(212) 555-0147", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "536-90-4399"],
)
def test_numbers_keep_their_shape(text: str) -> None:
    (written,) = redact(f"It is {text}, yes.")
    value = written[6:-6]
    assert value != text
    assert re.sub(r"\d", "0", re.sub("[A-Z]", "A", value)) == re.sub(r"\d", "0", re.sub("[A-Z]", "A", text))


def test_checksums_hold_again() -> None:
    card, account = redact("4111 1111 1111 1111", "GB82WEST12345698765432")
    assert luhn.is_valid(card.replace(" ", ""))
    assert mod_97_10.is_valid(account[4:] + account[:4])


def test_a_number_is_known_without_its_blanks_and_its_countrys_code() -> None:
    prompt, answer = redact("Call +44 20 7946 0958.", '{"phone": "+442079460958"}')
    assert re.sub(r"\D", "", prompt) == re.sub(r"\D", "", answer)


def test_mail_goes_nowhere() -> None:
    (text,) = redact("Write to anna.kowalczyk@corp.de or Anna Kowalczyk.")
    match = re.fullmatch(r"Write to (\w+)\.(\w+)@example\.(?:com|org|net) or (\w+) (\w+)\.", text)
    assert match and match[1] == match[3].lower() and match[2] == match[4].lower()


def test_json_stays_json_and_structure_stays() -> None:
    customer = {"name": "Anna Kowalczyk", "phone": "+1 (959) 555-0127", "note": 'line\nbreak "quoted"'}
    record = {"customer": customer, "n": 3}
    (text,) = redact(json.dumps(record))
    read = json.loads(text)
    assert read["customer"].keys() == customer.keys() and read["n"] == 3
    assert read["customer"]["name"] != "Anna Kowalczyk" and "555-0127" not in text
    assert read["customer"]["note"] == 'line\nbreak "quoted"'


def test_words_of_the_author_stay() -> None:
    assert redact("Ask Anna at Kowalczyk Ltd.", keep=frozenset({"anna", "kowalczyk"})) == ["Ask Anna at Kowalczyk Ltd."]


def test_a_name_that_is_a_word_too_is_replaced_as_a_name_only() -> None:
    (text,) = redact("My name is Mark Rose. I will mark it where a rose grows.")
    assert text.endswith("I will mark it where a rose grows.") and "Mark" not in text and "Rose" not in text


def test_a_company_s_own_number_keeps_its_shape() -> None:
    policy = Policy(types=frozenset(), patterns={"CUSTOMER": "K-[0-9]{6}"}, model=False)
    one, two = redact("for K-123456", "K-123456", policy=policy)
    assert one == f"for {two}" and two != "K-123456" and re.fullmatch(r"[A-Z]-\d{6}", two)


def test_nothing_is_left_after_redacting_and_what_is_left_is_told() -> None:
    redactor = Redactor(NAMES, "c")
    texts = redactor.redact(["Anna Kowalczyk, anna@corp.de, 4111 1111 1111 1111, +44 20 7946 0958, 10.1.2.3"]).texts
    assert redactor.left(texts) == []
    assert redactor.left(["a note for Kowalczyk"]) == ["a name that was found"]
    assert redactor.left(["to bob@corp.de"]) == ["EMAIL_ADDRESS"]


def test_text_without_personal_data_comes_back_as_it_is() -> None:
    text = "The parcel weighs 3 kg; label: refund.\n\tnext line"
    assert redact(text) == [text]


def test_a_text_too_long_to_be_looked_through_is_refused() -> None:
    with pytest.raises(ValueError, match="300,000"):
        redact("a" * 300_000)


def test_a_text_for_people_is_redacted_by_itself() -> None:
    assert "Kowalczyk" not in redacted_text("Anna Kowalczyk called.")


def test_compact_json_is_read_and_an_escaped_line_break_is_no_letter() -> None:
    (text,) = redact('{"first_name":"Agnieszka","last_name":"Kowalczyk","city":"Rotterdam","company":"Contoso","n":17}')
    assert "Agnieszka" not in text and "Kowalczyk" not in text and json.loads(text)["n"] == 17
    (text,) = redact(json.dumps({"t": "Anna Kowalczyk.\nAnna Kowalczyk\n(212) 555-0199\nnina@corp.de"}))
    assert not {"Anna", "Kowalczyk", "corp"} & set(re.findall(r"[A-Za-z]+", json.loads(text)["t"]))
