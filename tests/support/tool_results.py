"""Made-up tool results in JSON, as agents get them, with the personal data in them labelled.

Flights, orders, tickets, calendars, customers, search results, stays, patients, payments, repositories: persons, their
addresses and numbers stand beside names, places, dates and numbers that are nobody's.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple

GIVEN = [
    "Agnieszka", "Tunde", "Marisol", "Björn", "Siobhán", "Ngozi", "Priyanka", "Wojciech", "Zeynep", "Calum",
    "Ottoline", "Rasheed", "Eleni", "Thandiwe", "Joaquín", "Mireille", "Søren", "Aoife", "Dmitri", "Haruka",
    "Lakshmi", "Leocadia", "Bartholomew", "Imani", "Tobiasz", "Guillermo", "Freja", "Kwame",
]  # fmt: skip
SURNAMES = [
    "Kowalczyk", "Adeyemi", "Villanueva", "Lindqvist", "O'Sullivan", "Okonkwo", "Venkataraman", "Wiśniewski",
    "Yıldırım", "MacLeod", "Haversham", "Al-Farsi", "Papadakis", "Dlamini", "Echeverría", "Beaumont", "Kjeldsen",
    "Brennan", "Volkov", "Yamamoto", "Subramanian", "Iglesias", "Featherstone", "Mwangi", "Zieliński", "Santillán",
    "Rasmussen", "Asante",
]  # fmt: skip
STREETS = [
    "Wetherby Road", "Calle Mayor", "Lindenallee", "Rue Oberkampf", "Hawksmoor Lane", "Ulica Długa",
    "Fairmount Avenue",
]  # fmt: skip
TOWNS = [
    ("Rotherham", "S60 1AB"),
    ("Kalamazoo", "49007"),
    ("Göttingen", "37073"),
    ("Perpignan", "66000"),
    ("Bydgoszcz", "85-001"),
]
MAILS = ["mailbox.org", "fastpost.io", "uni-north.edu", "ymail.co"]
AIRPORTS = [("LHR", "London Heathrow"), ("SFO", "San Francisco International"), ("MAD", "Adolfo Suárez Madrid–Barajas")]
AIRPORTS += [("WAW", "Warsaw Chopin Airport"), ("JFK", "John F. Kennedy International"), ("CDG", "Charles de Gaulle")]
AIRLINES = [("LO", "LOT Polish Airlines"), ("BA", "British Airways"), ("UA", "United Airlines"), ("IB", "Iberia")]
PRODUCTS = [
    "Trail Running Shoes", "Espresso Machine Pro", "Noise-Cancelling Headphones", "Oak Desk Lamp", "Merino Sweater",
]  # fmt: skip
HOTELS = ["Grand Hotel Amrath", "The Langham", "Hotel Villa Medici", "Casa Fuster", "Marriott Downtown"]
_OPEN, _CLOSE = "\ue000", "\ue001"


class Row(NamedTuple):
    """A tool result."""

    text: str
    spans: list[tuple[int, int, str]]
    """Start, end and type of the personal data in it."""
    shape: str


class Person:
    """Somebody made up; each of the fields is labelled."""

    def __init__(self, r: random.Random) -> None:
        given, surname = r.choice(GIVEN), r.choice(SURNAMES)
        ascii_name = f"{given}.{surname}".lower().encode("ascii", "ignore").decode().replace("'", "")
        town, code = r.choice(TOWNS)
        self.given, self.surname, self.name = given, surname, labelled(f"{given} {surname}", "PERSON")
        self.mail = labelled(f"{ascii_name}{r.choice(('', '1', '88'))}@{r.choice(MAILS)}", "EMAIL_ADDRESS")
        plan = r.choice(
            ("+44 20 7946 0{:03}", "+1-415-555-{:04}", "(212) 555-{:04}", "+48 601 234 {:03}", "+4930901820{:02}")
        )
        self.phone = labelled(plan.format(r.randint(10, 99)), "PHONE_NUMBER")
        self.street = labelled(f"{r.randint(2, 180)} {r.choice(STREETS)}", "ADDRESS")
        self.town, self.code = labelled(town, "LOCATION"), labelled(code, "ADDRESS")
        self.born = labelled(f"{r.randint(1950, 2004)}-{r.randint(1, 12):02}-{r.randint(1, 28):02}", "DATE_TIME")

    @property
    def parts(self) -> tuple[str, str]:
        return labelled(self.given, "PERSON"), labelled(self.surname, "PERSON")


def labelled(value: str, type_: str) -> str:
    return f"{_OPEN}{type_}|{value}{_CLOSE}"


def rows(number: int, seed: int = 18) -> list[Row]:
    """So many tool results, of all shapes in turn."""
    r = random.Random(seed)
    return [_row(list(SHAPES)[i % len(SHAPES)], r) for i in range(number)]


def _row(shape: str, r: random.Random) -> Row:
    value = SHAPES[shape](r)
    indent, escaped = r.choice((None, None, 2)), r.random() < 0.3
    text = json.dumps(value, indent=indent, ensure_ascii=False, separators=r.choice(((",", ":"), (", ", ": "))))
    if r.random() < 0.15:
        text = json.dumps({"status": "ok", "result": text}, ensure_ascii=False)
    return _read(text, shape, escaped)


def _read(marked: str, shape: str, escaped: bool) -> Row:
    """The text without its marks, and where they were."""
    pieces, spans, size = list[str](), list[tuple[int, int, str]](), 0
    for i, piece in enumerate(marked.split(_OPEN)):
        label, _, rest = piece.partition("|") if i else ("", "", piece)
        value, _, after = rest.partition(_CLOSE) if i else ("", "", rest)
        value, after = (_escaped(t) if escaped and '"result"' not in marked else t for t in (value, after))
        if i:
            spans.append((size, size + len(value), label))
        pieces += (value, after)
        size += len(value) + len(after)
    return Row("".join(pieces), spans, shape)


def _escaped(text: str) -> str:
    return "".join(c if c.isascii() else f"\\u{ord(c):04x}" for c in text)


def _when(r: random.Random) -> str:
    return f"2026-{r.randint(1, 12):02}-{r.randint(1, 28):02}T{r.randint(0, 23):02}:{r.choice(('00', '15', '40'))}:00Z"


def _flights(r: random.Random) -> Any:
    def leg() -> dict[str, Any]:
        (a, at), (b, to), (code, line) = r.choice(AIRPORTS), r.choice(AIRPORTS), r.choice(AIRLINES)
        return {
            "flight_number": f"{code}{r.randint(100, 2999)}",
            "airline": {"code": code, "name": line},
            "origin": {"iata": a, "airport": at, "city": at.split()[0]},
            "destination": b,
            "destination_airport": to,
            "departure": _when(r),
            "arrival_time": _when(r),
            "aircraft": "Boeing 737-800",
            "gate": f"B{r.randint(1, 40)}",
            "cabin": r.choice(("Economy", "Business")),
            "price": {"amount": r.randint(60, 900), "currency": "EUR"},
        }

    found = {"flights": [leg() for _ in range(r.randint(2, 4))], "search_id": f"s-{r.getrandbits(48):x}"}
    if r.random() < 0.5:
        who = Person(r)
        first, last = who.parts
        passenger = {
            "firstName": first,
            "lastName": last,
            "dateOfBirth": who.born,
            "seat": "14C",
            "ticket": "2202445673290",
        }
        found["booking"] = {
            "pnr": "K7XQ2M",
            "passengers": [passenger],
            "contact": {"email": who.mail, "phone": who.phone},
        }
    return found


def _order(r: random.Random) -> Any:
    who = Person(r)
    items = [
        {
            "sku": f"SKU-{r.randint(1000, 9999)}",
            "name": r.choice(PRODUCTS),
            "quantity": r.randint(1, 3),
            "color": "Navy Blue",
        }
        for _ in range(r.randint(1, 4))
    ]
    return {
        "order_id": f"#W{r.randint(1000000, 9999999)}",
        "placed_at": _when(r),
        "status": "in_transit",
        "items": items,
        "customer": {"name": who.name, "email": who.mail, "loyalty_tier": "Gold"},
        "shipping_address": {
            "line1": who.street,
            "city": who.town,
            "postal_code": who.code,
            "country": labelled("Germany", "LOCATION"),
        },
        "carrier": "DHL Express",
        "tracking_number": f"{r.randint(10**11, 10**12 - 1)}",
        "warehouse": "Leipzig Hub 2",
        "payment": {
            "method": "credit_card",
            "last_four": f"{r.randint(1000, 9999)}",
            "total": r.randint(10, 900) + 0.99,
        },
    }


def _ticket(r: random.Random) -> Any:
    who, agent = Person(r), Person(r)
    return {
        "id": r.randint(1000, 99999),
        "subject": "Refund for a damaged parcel",
        "priority": "High",
        "channel": "Web Form",
        "requester": {"full_name": who.name, "email": who.mail},
        "assignee": agent.name,
        "created": _when(r),
        "tags": ["Refund", "Damaged Item"],
        "product": r.choice(PRODUCTS),
        "group": "Logistics Support",
        "comments": [
            {"author": who.name, "body": f"Hello, this is {who.name}. Please call me on {who.phone}.", "at": _when(r)}
        ],
    }


def _calendar(r: random.Random) -> Any:
    people = [Person(r) for _ in range(r.randint(1, 3))]
    return {
        "calendar": "Work",
        "timezone": "Europe/Warsaw",
        "events": [
            {
                "title": f"Interview with {people[0].name}",
                "start": _when(r),
                "end": _when(r),
                "location": "Room Turing 3",
                "organizer": people[-1].mail,
                "attendees": [{"displayName": p.name, "email": p.mail, "response": "accepted"} for p in people],
            },
            {
                "title": "Quarterly Budget Review",
                "start": _when(r),
                "end": _when(r),
                "location": "Main Auditorium",
                "recurring": True,
            },
        ],
    }


def _crm(r: random.Random) -> Any:
    def lead() -> dict[str, Any]:
        who = Person(r)
        first, last = who.parts
        return {
            "Id": f"003{r.getrandbits(56):014x}",
            "FirstName": first,
            "LastName": last,
            "Title": "Head of Procurement",
            "Company": "Northwind Traders",
            "Email": who.mail,
            "MobilePhone": who.phone,
            "MailingCity": who.town,
            "LeadSource": "Trade Show",
            "Industry": "Wholesale",
            "CreatedDate": _when(r),
            "IsConverted": False,
        }

    return {"totalSize": 2, "done": True, "records": [lead(), lead()]}


def _search(r: random.Random) -> Any:
    title = r.choice(("Best Running Shoes of 2026", "How to Descale an Espresso Machine", "Python 3.14 Release Notes"))
    found = [
        {
            "title": title,
            "url": f"https://www.example-guides.com/articles/{r.randint(1, 999)}",
            "rank": i + 1,
            "snippet": "Our editors compared twelve models for comfort, price and durability.",
            "published": "2026-03-02",
        }
        for i in range(3)
    ]
    if r.random() < 0.4:
        who = Person(r)
        found[0]["snippet"] = f"Written by {who.name}, who can be reached at {who.mail}."
    return {"query": title.lower(), "results": found, "total": 12400, "engine": "web"}


def _stay(r: random.Random) -> Any:
    who = Person(r)
    hotel = {
        "name": r.choice(HOTELS),
        "stars": 4,
        "address": "Prinsengracht 315",
        "city": "Amsterdam",
        "rating": 8.7,
        "amenities": ["Free WiFi", "Spa", "Airport Shuttle"],
        "checkin": "2026-05-02",
        "checkout": "2026-05-06",
    }
    return {
        "confirmation": f"HX{r.randint(10**5, 10**6)}",
        "hotel": hotel,
        "guest_name": who.name,
        "guest_phone": who.phone,
        "room_type": "Deluxe King",
    }


def _patient(r: random.Random) -> Any:
    who, doctor = Person(r), Person(r)
    return {
        "patient": {
            "name": who.name,
            "dob": who.born,
            "address": {"street": who.street, "city": who.town, "zip": who.code},
        },
        "physician": doctor.name,
        "department": "Cardiology",
        "diagnosis_code": "I10",
        "medication": [{"name": "Lisinopril", "dosage": "10 mg"}],
        "appointment": {"date": _when(r), "room": "3.14", "type": "Follow-up"},
    }


def _payment(r: random.Random) -> Any:
    who = Person(r)
    iban = r.choice(("DE89370400440532013000", "GB82WEST12345698765432", "FR1420041010050500013M02606"))
    return {
        "transfer_id": f"tr_{r.getrandbits(60):x}",
        "amount": r.randint(5, 5000),
        "currency": "EUR",
        "booked": "2026-02-03",
        "beneficiary": who.name,
        "iban": labelled(iban, "IBAN_CODE"),
        "bank": "Commerzbank",
        "reference": "Invoice 2026-0117",
        "ip": labelled(f"81.2.69.{r.randint(1, 250)}", "IP_ADDRESS"),
        "device": {"model": "Pixel 9", "os": "Android 16"},
    }


def _repository(r: random.Random) -> Any:
    who = Person(r)
    return {
        "repository": "acme/inventory-service",
        "language": "Rust",
        "license": "Apache-2.0",
        "stars": 412,
        "default_branch": "main",
        "commits": [
            {
                "sha": f"{r.getrandbits(160):040x}",
                "author": {"name": who.name, "email": who.mail, "date": _when(r)},
                "message": "Fix overflow in Stock Ledger",
            }
        ],
        "labels": ["Bug", "Good First Issue"],
        "milestone": "Release Orion",
    }


def _weather(r: random.Random) -> Any:
    days = [{"date": f"2026-06-0{i}", "high": 21 + i, "condition": "Partly Cloudy"} for i in range(1, 4)]
    return {
        "units": "metric",
        "station": "Schiphol",
        "forecast": days,
        "provider": "Open Meteo",
        "updated_at": _when(r),
    }


SHAPES: dict[str, Callable[[random.Random], Any]] = {
    "flights": _flights,
    "order": _order,
    "ticket": _ticket,
    "calendar": _calendar,
    "crm": _crm,
    "search": _search,
    "stay": _stay,
    "patient": _patient,
    "payment": _payment,
    "repository": _repository,
    "weather": _weather,
}
