"""What the keys of JSON say about their values: whose they are, and whether anybody's at all.

Tool results are full of names, places, dates and numbers that are nobody's: of flights, products, hotels and shops. The
model was taught sentences and cannot tell; keys can. `first_name` is a person's whatever it holds, `airport` nobody's,
and `name` that of the object around it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

from .leaves import Leaf, Object

NOBODYS = ""
"""What a key says whose value is not personal."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+")


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


SENTENCES = _set("document event feature job project promotion result task template title topic track")
"""Words for things whose value may be a sentence, which may name somebody."""
PEOPLE = _set(
    """
    account adult applicant approver assignee attendee author beneficiary billing borrower buyer caller
    candidate cardholder caregiver child client colleague commenter companion consignee contact creator customer
    dependent diner doctor donor driver editor employee employer family friend from guardian guest heir holder
    host individual insured interviewer invitee landlord lead lender manager member mother father nurse occupant
    opener organiser organizer owner parent participant partner passenger patient payee payer people person
    personal physician policyholder profile recipient reporter requester requestor resident reviewer salesperson
    sender shipping speaker spouse staff student submitter subscriber supervisor teacher technician tenant
    therapist traveler traveller tutor user visitor winner witness kunde kundin kontakt contacto cliente klient
    pasajero passager fahrgast persona osoba usuario
    """
)
"""Words for somebody: a name under such a key, or in such an object, is a person's."""
OF_PERSON = _set(
    """
    first_name last_name given_name family_name full_name date_of_birth
    birth birthdate birthday dob email emails e_mail firstname forename givenname lastname mail maiden mobile
    passport phone phones surname telephone ssn vorname nachname prenom nombre apellido apellidos imie nazwisko
    """
)
"""Words of keys that stand beside a person's name only."""
THINGS = _set(
    """
    agency aircraft airline airport amenities app application artist bank board book bookstore brand branch
    building bus business campaign car carrier category channel city clinic color colour company competitor
    component country course currency customs department depot destination device document domain drug
    environment event feature field file flight folder format gate genre group hotel house icao iata image
    ingredient instrument item items job label language layover leg line list location manufacturer market
    material medication merchant meta metadata metric model module movie museum number option options order
    organisation organization origin package page parameter park payment place plan platform playlist plugin
    priority product products project promotion property protocol provider publisher queue recipe region
    repository resource restaurant result results room route school seat segment segments seller server service
    shop sku skill song source sprint stadium state station status step stop store street tag tags task team
    template terminal test theme ticket tier timezone title tool topic track train transport trip type unit
    university url vehicle vendor venue version warehouse weather website zone arrival departure inbound
    outbound origins destinations attraction destino origen vol vuelo flug ziel start
    """
)
"""Words for what is nobody: a name under such a key, or in such an object, is no person's."""
OF_THING = _set(
    """
    price sku stars rating amenities airline iata icao capacity stock quantity currency version url dosage genre genres
    runtime imdb director
    cuisine temperature product_id item_id flight_number founded industry duration mpn gtin isbn publisher
    checkin checkout
    """
)
"""Words of keys that stand beside a thing's name only."""
_KEYS = {
    "PERSON": """
        first name, given name, last name, family name, middle name, maiden name, surname, firstname,
        lastname, forename, nick name, nickname, fullname, full name, legal name, preferred name, vorname,
        nachname, familienname, prenom, prénom, nom famille, nombre, apellido, apellidos, imie, imię,
        nazwisko, 姓名, 姓, 名, 氏名, 名前, voornaam, achternaam, tussenvoegsel, förnamn, efternamn, fornavn,
        etternavn, efternavn, cognome, sobrenome, имя, фамилия, отчество, фио, 이름, 성명, 성함, 名字,
        cardholder, name on card, cardholder name, card holder
    """,
    "EMAIL_ADDRESS": """
        email, e mail, mail, email address, correo, courriel, почта, 이메일, 邮箱, メール, メールアドレス
    """,
    "PHONE_NUMBER": """
        phone, telephone, tel, mobile, cell, fax, phone number, telephone number, mobile number, cell phone,
        telefon, telefono, teléfono, handy, whatsapp, telefonnummer, téléphone, 電話, 电话, contact number, msisdn,
        telefoonnummer, telefoon, telefone, celular, телефон, 전화번호, 휴대폰, 手机, 手机号, 電話番号, portable
    """,
    "ADDRESS": """
        address, street, street address, address line, line, line one, line two, street name, street line,
        adresse, anschrift, dirección, direccion, adres, ulica, strasse, straße, rue, calle, 住所, 地址, straat,
        indirizzo, endereço, endereco, адрес, 주소, code postal, codigo postal, código postal, zip, zip code,
        zipcode, postal code, postcode, post code, plz, postal, apartment, house number, mailing
        address, home address, shipping address, billing address
    """,
    "LOCATION": """
        city, town, state, province, county, country, ort, stadt, ville, ciudad, miasto, 市, state code, woonplaats,
        cidade, città, город
    """,
    "NATIONAL_ID": """
        passport, passport number, passport no, ssn, social security number, national id, national id number,
        driver license, drivers license, driver license number, drivers license number, license number, tax
        id, tax number, pesel, dni, nie, personal number, personal id, id number, id card number, nino,
        steuernummer, ausweisnummer, 身份证, マイナンバー, bsn, personnummer,
        codice fiscale, cpf, снилс, паспорт, 주민등록번호, 身份证号
    """,
    "BANK_ACCOUNT": """
        account number, bank account, routing number, sort code, kontonummer
    """,
    "IBAN_CODE": """
        iban
    """,
    "DATE_TIME": """
        dob, date of birth, birth date, birthdate, birthday, born, born on, birth day, geburtsdatum, fecha
        nacimiento, naissance, date of death, 生年月日
    """,
}
GIVEN = {" ".join(name.split()): type_ for type_, names in _KEYS.items() for name in names.split(",")}
"""What keys say by themselves; the longest end of a key counts."""
IMPERSONAL = _set(
    """
    active aircraft airline airlines airport allergens altitude amenities amount amounts app arrival arrivals
    arrives available availability balance baggage barcode base booking brand browser build cabin capacity
    carrier category categories channel checkin checkout class code codes color colour commit confirmation cost
    count created cuisine currency date dates deadline departure departs dimensions dimension discount distance
    due duration end ended ends enabled environment error eta etag event expires expiry fare features filename
    flight format frequency gate genre hash height hours icao iata id ids image images index industry isbn kind
    language languages latitude lat layover length level limit link links lng lon locale longitude material
    medium method mime mode model modified month months offset operator order os page percent percentage permission
    permissions platform pnr points position precision price prices priority product progress quantity query
    rank rate rating ratings ref reference release remaining resolution result revision role roles route runtime
    score seat seats sequence sha size sku slug sort source speed stage start started starts status step stock
    stops subtotal success supplier tag tags tax temperature terminal thumbnail ticket tier time times timestamp
    timezone token total tracking type types uid unit units updated uri url urls uuid value variant version via
    visibility volume warranty weekday weekdays weight width workflow zone
    """
)
"""Last words of keys whose values are nobody's, whatever they look like."""
ROLES = PEOPLE - _set("account billing family from personal profile shipping people person partner")
"""Words that are a key by themselves: `assignee`, `passenger`."""
_STATUSES = _set(
    """
    admin administrator anonymous auto automatic bot default false guest me n/a na no nobody none null root self support
    system tbd team true unassigned unknown user visitor yes
    """
)
_ORGANISATION = re.compile(
    r"(?i)\b(?:inc|ltd|llc|gmbh|corp|corporation|co|company|team|department|dept|group|bank|airlines?|airways|agency|support"
    r"|services?|systems?|solutions|hotel|university|institute|desk|office|bv|ag|sa|plc|s\.a|sp\. z o\.o)\b"
)
_CAPITAL = re.compile(r"[^\W\d_a-z]")


def said_by(leaf: Leaf, own: Mapping[str, str]) -> str | None:
    """The type that a value has by its key; `NOBODYS` if it is not personal; None if the key does not say.

    own: a company's own keys, which come first.
    """
    for key in _keys_of(leaf):
        if (type_ := _said(key, leaf, own)) is not None:
            return type_
    return None


def _keys_of(leaf: Leaf) -> tuple[str, ...]:
    """What may say whose a value is: its key, or, where that is `value` and the like, what stands beside or around
    it."""
    if leaf.key not in _GENERIC:
        return (leaf.key,)
    return (*leaf.inside.named, *leaf.inside.path[-1:], leaf.key)


_GENERIC = frozenset(("value", "val", "answer", "text", "raw", "content", "stringValue", "string_value"))


def _said(key: str, leaf: Leaf, own: Mapping[str, str]) -> str | None:
    words = words_of(key)
    for name, type_ in own.items():
        if words == words_of(name):
            return type_
    type_ = _by_words(words, leaf) if words else None
    return None if key != leaf.key and type_ is not None and _is_sentence(leaf.text, type_) else type_


def _is_sentence(value: str, type_: str) -> bool:
    """Whether a value under no key of its own is a sentence about what its neighbour names: a tool named
    `update_address` says "The address was updated"."""
    first, *others = value.split() or ("",)
    small = sum(len(word) > 3 and word[0].islower() for word in others)
    if type_ == "PERSON":
        return first[:1].isupper() and small > 0
    return type_ in ("ADDRESS", "LOCATION") and small > 1 and not any(c.isdigit() for c in value)


def _by_words(words: tuple[str, ...], leaf: Leaf) -> str | None:
    value = leaf.text
    type_ = next((GIVEN[end] for i in range(len(words)) if (end := " ".join(words[i:])) in GIVEN), None)
    if type_ in ("ADDRESS", "LOCATION"):
        return _of_place(type_, value, words, leaf.inside)
    if type_ is not None:
        return type_ if _fits(type_, value) else None
    last = words[-1]
    if last in ("name", "names", "nom", "nombre", "nazwa"):
        return _of_name(value, words, leaf.inside)
    if last in ROLES or (len(words) > 1 and last == "by"):
        return "PERSON" if _is_full_name(value) else None
    if last == "title" and not _all_words(leaf.inside).isdisjoint(OF_THING):
        return NOBODYS
    return NOBODYS if last in IMPERSONAL or (last in THINGS and last not in SENTENCES) else None


@functools.lru_cache(maxsize=4096)
def words_of(key: str) -> tuple[str, ...]:
    """The words of a key in small letters; those that end in a number or a plural's s without it."""
    words = (word.lower() for word in _WORD.findall(key[:80]))
    return tuple(w[:-1] if w.endswith("s") and w[:-1] in PEOPLE | THINGS else w for w in words)


def _fits(type_: str, value: str) -> bool:
    digits = sum(c.isdigit() for c in value)
    if type_ == "PERSON":
        spelled = any(c.isalpha() for c in value) and "/" not in value
        return value.casefold() not in _STATUSES and spelled and len(value) <= 80 and digits <= 4
    if type_ == "PHONE_NUMBER":
        return digits >= 6 and 3 * digits >= len(value)
    if type_ in ("NATIONAL_ID", "BANK_ACCOUNT"):
        return digits >= 4 and len(value) <= 40
    return type_ == "DATE_TIME" and digits >= 4


def _of_name(value: str, words: tuple[str, ...], inside: Object) -> str | None:
    """Whose a name is: by the words before it, by the object around it, or by what stands beside it."""
    if any(word in PEOPLE for word in words[:-1]):
        return "PERSON" if _fits("PERSON", value) and not _ORGANISATION.search(value) else None
    if any(word in THINGS or word in IMPERSONAL for word in words[:-1]):
        return NOBODYS
    around, beside = _last(inside.path[-1] if inside.path else ""), _all_words(inside)
    thing = (around in THINGS or not beside.isdisjoint(OF_THING)) and beside.isdisjoint(NAMED)
    if around in PEOPLE or (not thing and not beside.isdisjoint(OF_PERSON)):
        return "PERSON" if _fits("PERSON", value) and not _ORGANISATION.search(value) else None
    return NOBODYS if thing else None


def _of_place(type_: str, value: str, words: tuple[str, ...], inside: Object) -> str | None:
    """Whether an address or a place is where somebody lives: not that of a hotel, an airport or a shop."""
    around = {word for key in inside.path for word in words_of(key)} | set(words[:-1])
    beside = _all_words(inside)
    if not around.isdisjoint(PEOPLE):
        return type_ if value.casefold() not in _STATUSES else None
    thing = not (around - PLACES).isdisjoint(THINGS) or not beside.isdisjoint(OF_THING)
    if thing and beside.isdisjoint(NAMED):
        return NOBODYS
    known = type_ == "ADDRESS" or "address" in around or not beside.isdisjoint(OF_PERSON | OF_ADDRESS)
    return type_ if known and value.casefold() not in _STATUSES else None


NAMED = _set("first_name last_name given_name family_name firstname lastname surname date_of_birth birthdate dob")
"""Keys that stand beside a person's name only, whatever else does."""
OF_ADDRESS = _set("zip postal postcode plz zipcode street")
PLACES = _set("city state country street line house building number zone region location")
"""Words for things that are parts of an address too."""


def _is_full_name(value: str) -> bool:
    """Whether a value is a name of two to four words with capitals, and no organisation's."""
    parts = value.replace("_", " ").split()
    return (
        2 <= len(parts) <= 4
        and len(value) <= 60
        and all(_CAPITAL.match(part) or len(part) <= 3 for part in parts)
        and _CAPITAL.match(parts[0]) is not None
        and not any(c.isdigit() for c in value)
        and _ORGANISATION.search(value) is None
    )


def _last(key: str) -> str:
    """The last word of a key; empty if it has none."""
    return " ".join(words_of(key)).rpartition(" ")[2]


@functools.lru_cache(maxsize=256)
def _all_words(inside: Object) -> frozenset[str]:
    """The words of an object's keys, and its keys; asked when all of them are known."""
    return frozenset(word for key in inside.keys for word in (*words_of(key), "_".join(words_of(key))))
