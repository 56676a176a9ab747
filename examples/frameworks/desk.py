"""A help desk: its tickets, its one tool, the prompts of its steps, and the teacher that answers without a key.

The tickets are made here, from a few hundred words. The teacher knows how each was made, as a recording would.
"""

from __future__ import annotations

import itertools
import json
import random
import re
from typing import Any

from protege import Request, text_of

TRIAGE = """You sort the tickets of a shop's help desk.
Answer with the one team that is to take the ticket and nothing else:
- billing: charges, invoices, refunds that are owed
- shipping: parcels on their way, late, lost or damaged
- returns: things that go back or are exchanged
- account: sign-in, passwords, addresses, newsletters"""

REPLY = """You answer the tickets of a shop's help desk.
Where the ticket names an order, look it up first. Then answer in one sentence."""

ORCHESTRATE = """You run a shop's help desk with the tools that you have.
Have each ticket sorted first, look up the order where it names one, and then answer in one sentence."""

_SAID = {
    "billing": [
        "I was charged twice for {thing}",
        "the invoice for {thing} is wrong",
        "where is my refund for {thing}",
    ],
    "shipping": ["the parcel with {thing} has not come", "{thing} came broken in its box", "the courier lost {thing}"],
    "returns": ["I want to send back {thing}", "can I swap {thing} for a bigger one", "{thing} does not fit me"],
    "account": ["I cannot sign in any more", "please change my address", "the password link does not work"],
}
_THINGS = ["the blue jacket", "a pair of boots", "my headphones", "the desk lamp", "two tea cups", "a rain coat"]
_BEFORE = ["Hello,", "Hi there,", "Good morning,", "To whom it may concern:", "Dear team,", "Well,"]
_AFTER = ["Please help.", "This is the second time I write.", "Thanks, {name}.", "I am not amused.", "Best, {name}"]
_NAMES = ["Ada", "Bruno", "Chen", "Dilek", "Emeka", "Freya"]

TEAM_OF: dict[str, str] = {}
"""Which team takes a ticket, by its text."""


def tickets(number: int, seed: int = 1) -> list[str]:
    """So many different tickets, in an order of their own; half of them name an order."""
    made: list[tuple[str, str]] = []
    for before, after, thing, name in itertools.product(_BEFORE, _AFTER, _THINGS, _NAMES):
        for team, phrases in _SAID.items():
            for phrase in phrases:
                made.append((team, f"{before} {phrase.format(thing=thing)}. {after.format(name=name)}"))
    chosen = random.Random(seed)
    found: dict[str, str] = {}
    for team, text in chosen.sample(made, len(made)):
        order = f" My order is {chosen.randrange(10_000, 99_999)}." if chosen.random() < 0.5 else ""
        found.setdefault(text, team)
        TEAM_OF[text + order] = team
        if len(found) == number:
            break
    return list(TEAM_OF)[-number:]


def look_up_order(order: str) -> str:
    """What is known of an order, by its number."""
    return f"Order {order}: sent on Monday, two parcels."


def answer(request: Request) -> Any:
    """The teacher's answer to any step of any of the agents."""
    ticket = _ticket(request)
    if request.system == TRIAGE:
        return TEAM_OF[ticket]
    results = [text_of(message) for message in request.messages if message["role"] == "tool"]
    if request.system == ORCHESTRATE and not results:
        return _call("sort_ticket", {"ticket": ticket})
    order = re.search(r"\b\d{5}\b", ticket)
    if order and not any("Order" in result for result in results):
        return _call("look_up_order", {"order": order[0]})
    about = next((result for result in results if "Order" in result), "We are looking into it.")
    return f"The {TEAM_OF[ticket]} team has your ticket. {about}"


def _ticket(request: Request) -> str:
    said = next(text_of(message) for message in request.messages if message["role"] == "user")
    return said.removeprefix("Ticket: ")


def _call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    call = {"id": "call_1", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}
