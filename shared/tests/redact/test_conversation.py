"""What stands for what: one person for one throughout a conversation, in the same shape; JSON stays JSON."""

from __future__ import annotations

import json
import re
import unicodedata

import pytest
from protege.errors import TooLong
from protege.redact import TYPES, RedactionPolicy, Redactor, redacted_text
from protege.redact.surrogates import Surrogates
from stdnum import luhn
from stdnum.iso7064 import mod_97_10

NAMES = RedactionPolicy(types=frozenset(TYPES), key="k")


def redact(
    *texts: str, policy: RedactionPolicy = NAMES, conversation: str = "c", keep: frozenset[str] = frozenset()
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
    assert redact("I am Anna Kowalczyk.", policy=RedactionPolicy(key="other")) != redact("I am Anna Kowalczyk.")


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
    policy = RedactionPolicy(types=frozenset(), patterns={"CUSTOMER": "K-[0-9]{6}"}, model=False)
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
    with pytest.raises(TooLong, match="300,000"):
        redact("a" * 300_000)


def test_a_text_for_people_is_redacted_by_itself() -> None:
    assert "Kowalczyk" not in redacted_text("Anna Kowalczyk called.")


def test_compact_json_is_read_and_an_escaped_line_break_is_no_letter() -> None:
    (text,) = redact('{"first_name":"Agnieszka","last_name":"Kowalczyk","city":"Rotterdam","company":"Contoso","n":17}')
    assert "Agnieszka" not in text and "Kowalczyk" not in text and json.loads(text)["n"] == 17
    (text,) = redact(json.dumps({"t": "Anna Kowalczyk.\nAnna Kowalczyk\n(212) 555-0199\nnina@corp.de"}))
    assert not {"Anna", "Kowalczyk", "corp"} & set(re.findall(r"[A-Za-z]+", json.loads(text)["t"]))


def test_a_name_written_with_escapes_is_the_same_name() -> None:
    answer = json.dumps({"name": "José García", "tags": ["José", 3, None]})
    assert "\\u00e9" in answer
    prompt, written, nested = redact("My name is José García.", answer, json.dumps({"arguments": answer}))
    name = prompt[11:-1]
    assert not {"José", "García"} & set(name.split())
    assert json.loads(written) == {"name": name, "tags": [name.split()[0], 3, None]}
    assert json.loads(json.loads(nested)["arguments"]) == json.loads(written)


def test_a_name_that_stands_only_in_escapes_is_found() -> None:
    (written,) = redact(json.dumps({"customer": "José García", "note": "José García called about his parcel."}))
    assert not {"José", "García"} & set(re.findall(r"\w+", str(json.loads(written))))


def test_a_name_in_escapes_or_in_a_key_is_left() -> None:
    redactor = Redactor(NAMES, "c")
    redactor.redact(["My name is José Kowalczyk."])
    assert redactor.left([json.dumps({"name": "José"})]) == ["a name that was found"]
    assert redactor.left(['{"José Kowalczyk": 3}']) == ["a name that was found"]
    assert redactor.left(['{"anna@corp.de": 3}']) == ["EMAIL_ADDRESS"]
    assert redactor.left(['{"Kowalczyk": 3, "José said": 4}']) == []


def test_what_does_not_change_in_json_stays_to_the_letter() -> None:
    text = '{ "a" : 1.50,\n  "b": "\\u00fc \\/ x", "who": "Anna Kowalczyk", "c": [1e5, true, null] }'
    (written,) = redact(f"Here it is:\n```json\n{text}\n```")
    before, who, after = re.fullmatch(r"(.*\"who\": \")([^\"]*)(\".*)", written, re.DOTALL).groups()  # type: ignore[union-attr]
    assert f"{before}Anna Kowalczyk{after}" == f"Here it is:\n```json\n{text}\n```"
    assert "Anna" not in who and "Kowalczyk" not in who


def test_a_key_stays_and_a_literal_too() -> None:
    texts = redact(
        "My name is Grace Null, I live in Springfield.", '{"Grace": true, "Springfield": null, "n": "Grace"}'
    )
    read = json.loads(texts[1])
    assert list(read) == ["Grace", "Springfield", "n"]
    assert read["Springfield"] is None and read["n"] == texts[0].split()[3]


def test_a_key_that_is_a_number_that_was_found_is_the_same_other_one() -> None:
    prompt, answer = redact("Call +44 20 7946 0958.", '{"+44 20 7946 0958": "+44 20 7946 0958"}')
    assert [[key, value] for key, value in json.loads(answer).items()] == [[prompt[5:-1]] * 2]


def test_a_number_in_json_stays_a_number() -> None:
    prompt, answer = redact("Call (212) 555-0147.", '{"phone": 2125550147}')
    assert str(json.loads(answer)["phone"]) == re.sub(r"\D", "", prompt)


def test_a_name_goes_from_paths_and_identifiers() -> None:
    url = "https://shop.corp.com/users/anna-kowalczyk/Anna%20Kowalczyk?by=anna_kowalczyk2"
    prompt, link, name = redact("I am Anna Kowalczyk.", f"See {url} please.", "anna_kowalczyk, kowalczyk.anna")
    given, surname = prompt[5:-1].split()
    low = f"{given}_{surname}".lower()
    assert f"/users/{given.lower()}-{surname.lower()}/{given}%20{surname}?by={low}2" in link
    assert name == f"{low}, {surname.lower()}.{given.lower()}"


def test_a_path_takes_the_names_that_come_later_and_nothing_is_left() -> None:
    redactor = Redactor(NAMES, "c")
    texts = ["See https://corp.com/u/kowalczyk/17 now.", "I am Anna Kowalczyk.", "Jos%C3%A9 wrote.", "It is José Kim."]
    redactor.learn(texts)
    written = redactor.replaced(texts)
    assert not {"kowalczyk", "jos"} & set(re.findall("[a-z]+", " ".join(written).casefold()))
    assert redactor.left(written) == []


def test_a_place_of_common_words_goes_as_a_whole() -> None:
    prompt, rest, answer = redact(
        "Ship it to 100 Park Ave, New York, NY 10001.",
        "New orders park in the main York hall; the New one too.",
        '{"new": "New York", "street": "Park Ave"}',
    )
    assert "New York" not in prompt and "Park" not in prompt
    assert rest.startswith("New orders park in the main ") and rest.endswith(" hall; the New one too.")
    read = json.loads(answer)
    assert list(read) == ["new", "street"]
    assert read["new"] in prompt and read["street"] in prompt


def test_no_word_of_a_place_stands_for_another_of_its_words() -> None:
    read: dict[str, list[tuple[str, str]]] = {}  # the model reads it once
    for n in range(300):
        redactor = Redactor(RedactionPolicy(types=frozenset({"LOCATION"}), key=str(n)), "c", read=read)
        texts = redactor.redact(["They live in New York."]).texts
        assert "York" not in texts[0] and redactor.left(texts) == []


def test_a_street_s_common_word_goes_where_it_is_a_whole_value() -> None:
    surrogates = Surrogates("k")
    surrogates.add("123 Main Street", "ADDRESS")
    assert surrogates.exact["Main Street"] == f"{surrogates.alone['Main']} Street"
    assert "Main" not in surrogates.words and "main" not in surrogates.words


@pytest.mark.parametrize("user", ["ada.kim", "ada_kim2", "j.smith", "ada-kim"])
def test_the_name_of_a_home_folder_is_replaced_as_a_whole(user: str) -> None:
    redactor = Redactor(RedactionPolicy(types=frozenset(TYPES), key="k", model=False), "c")
    texts = redactor.redact([f'File "/home/{user}/app/main.py", mail {user}@corp.de']).texts
    assert f"/home/{user}" not in texts[0] and "/app/main.py" in texts[0]
    assert redactor.left(texts) == []


def test_names_of_two_letters_go_as_they_are_written() -> None:
    surrogates = Surrogates("k")
    for name in ("Bo", "Al Kim", "An Li", "He Wei"):
        surrogates.add(name, "PERSON")
    for name, type_ in (("NY", "LOCATION"), ("SD", "PERSON"), ("Naked II", "PERSON")):
        surrogates.add(name, type_)
    assert {"Bo", "Al", "Li"} <= surrogates.words.keys()
    assert not {"bo", "al", "li", "An", "He", "he", "NY", "SD", "II"} & surrogates.words.keys()
    assert {"An Li", "He Wei"} <= surrogates.exact.keys() and "He" not in surrogates.exact
    (text,) = redact("My name is Bo. All boats that Bo sells go to Bonn.")
    assert "Bo" not in re.findall(r"\w+", text) and "boats" in text


@pytest.mark.parametrize("name", ["Анна Ковальчук", "Γιώργος Παπαδόπουλος", "王伟", "山田太郎", "محمد علي", "김철수"])
def test_a_name_in_another_script_becomes_letters_of_that_script(name: str) -> None:
    def shape(text: str) -> list[str]:
        return [f"{unicodedata.name(c, '?').split()[0]} {unicodedata.category(c)}" for c in text]

    surrogates = Surrogates("k")
    surrogates.add(name, "PERSON")
    for word in name.split():
        written = surrogates.words[word]
        assert written != word and shape(written) == shape(word)


def test_a_name_in_another_script_goes_from_prompt_and_answer() -> None:
    prompt, answer, han = redact(
        "My name is Анна Ковальчук.", '{"name": "АННА"}', "Please ask 王伟 about it. 我叫王伟。"
    )
    given = prompt.split()[3]
    assert given != "Анна" and json.loads(answer)["name"] == given.upper()
    assert "王伟" not in han and han.endswith("。")


def test_a_company_s_number_in_another_script_keeps_its_shape() -> None:
    policy = RedactionPolicy(types=frozenset(), patterns={"CUSTOMER": "К-[0-9]{3}"}, model=False)
    (text,) = redact("für К-123", policy=policy)
    assert re.fullmatch(r"für [А-Я\u0400-\u040f]-\d{3}", text) and "К" not in text


@pytest.mark.parametrize(
    ("texts", "there"),
    [
        (["ada@example.comada@example.com", "&#97;da&#64;example.com"], "example"),
        (["ada@example.comada@example.com", "ada@example.com and more"], " and more"),
        (['{"phone": "ada@example.com4111 1111 1111 1111:DE89 3704 0044 0532 0130 00:¹"}'], '{"phone": "'),
        (['{"phone": "203.0.113.9 203.0.113.9:x"}'], '{"phone": "'),
        (['{"dob": "2024-13-45"}'], '{"dob": "'),
        (['{"ssn": [], "city": ""}'], '{"ssn": [], "city": ""}'),
    ],
)
def test_finds_that_run_into_each_other_are_replaced_and_what_follows_stays(texts: list[str], there: str) -> None:
    policy = RedactionPolicy(types=frozenset(TYPES), key="k", model=False)
    written = Redactor(policy, "c").redact(texts).texts
    assert there in written[-1]
    assert not any(personal in text for text in written for personal in ("ada@", "4111 1111", "3704 0044", "13-45"))
