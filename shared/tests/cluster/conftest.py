"""Made-up agents whose calls repeat: each function gives `count` calls of one node, in the form of a file of calls."""

# pyright: reportArgumentType=false

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
from protege import Call

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
_WORDS = re.findall(
    r"\w+",
    """parcel late refund shoes blue order broken lamp invoice wrong address coupon garden chair delivery cat piano tea
    window bicycle river stamp engine paper lemon market cloud ticket violin carpet mirror basket harbour candle""",
)


class Agents:
    """Each call's text is fresh; the same seed gives the same calls."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)

    def text(self, words: int = 9) -> str:
        return " ".join(self.random.choices(_WORDS, k=words))

    def make(self, kind: str, count: int, messages, answer: Any = "fine", **fields: Any) -> list[Call]:
        """`messages` and `answer` are values, or functions of the call's number that give them."""

        def value(given: Any, n: int) -> Any:
            return given(n) if callable(given) else given

        found = []
        for n in range(count):
            said = [{"role": role, "content": text} for role, text in value(messages, n)]
            response = value(answer, n)
            response = response if isinstance(response, dict) else {"role": "assistant", "content": response}
            extra = {name: value(given, n) for name, given in fields.items()}
            record = {"id": f"{kind}-{n:05}", "messages": said, "response": response, **extra}
            found.append(Call.from_record(record))
        return found

    def triage(self, count: int, kind: str = "triage", start: str = "Ticket: ", **fields) -> list[Call]:
        system = "Triage a support ticket of a web shop.\nAnswer with one of: refund, delivery, account."
        answer = fields.pop("answer", lambda n: ("refund", "delivery", "account")[n % 3])
        return self.make(kind, count, lambda n: [("system", system), ("user", start + self.text())], answer, **fields)

    def summaries(self, count: int) -> list[Call]:
        """No system text."""

        def messages(n):
            return [("user", f"Summarise the report below for a busy manager.\n\nReport: {self.text(30)}")]

        return self.make("summary", count, messages, lambda n: self.text(12) + ".")

    def tracker(self, count: int, services: int = 6) -> list[Call]:
        """One line of the system text names another service each time."""

        def messages(n):
            service = f"Service: {_WORDS[n % services].title()} (slots {_WORDS[n % services + 7]}, {_WORDS[n % 5]})."
            rule = "Return a JSON object with the intent and the slots that the customer has given so far."
            system = f"You track the state of a conversation with a booking assistant.\n{service}\n{rule}"
            return [("system", system), ("user", f"Customer: {self.text()}")]

        return self.make("tracker", count, messages, lambda n: f'{{"intent": "{_WORDS[n % 9]}"}}')

    def retrieval(self, count: int) -> list[Call]:
        """The system text holds another passage in every call."""

        def messages(n):
            head = "You answer questions of the staff about the handbook. Quote the passage that you rely on."
            tail = "If the passages do not hold the answer, say that you do not know."
            return [("system", f"{head}\nPassages:\n{self.text(40)}\n{tail}"), ("user", self.text() + "?")]

        return self.make("handbook", count, messages, lambda n: self.text(15))

    def tools(self, count: int) -> list[Call]:
        """Another set of tools in every call."""

        def tool(n):
            name = "_".join(self.random.choices(_WORDS, k=3))
            return [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}]

        def answer(n):
            call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            return {"role": "assistant", "content": None, "tool_calls": [call]}

        system = "You have access to functions. Choose the function that answers the request and call it."
        return self.make("functions", count, lambda n: [("system", system), ("user", self.text())], answer, tools=tool)


@pytest.fixture
def agents() -> Agents:
    return Agents()


@pytest.fixture(scope="session")
def recorded():
    """Rows of one file of ../shared/data and their calls; skips where it is absent."""
    import gzip

    import orjson

    def read(name: str, every: int = 1):
        path = DATA / f"{name}.jsonl.gz"
        if not path.exists():
            pytest.skip(f"{path.name} is not there: ../shared/data is absent")
        with gzip.open(path, "rb") as file:
            rows = [orjson.loads(line) for n, line in enumerate(file) if n % every == 0]
        calls = [Call.from_record(row, default_id=f"row-{n:06}") for n, row in enumerate(rows)]
        return calls, {call.id: row["task"] for call, row in zip(calls, rows, strict=True)}

    return read
