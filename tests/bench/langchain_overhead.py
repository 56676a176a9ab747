"""What recording adds to a call in LangChain, beside a handler that does nothing; masking on, fresh text each time.

    .venv/bin/python tests/bench/langchain_overhead.py [CALLS]

Prints the median microseconds a call over the bare model, of 2,000 calls by turns in one process; a fake model answers.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from protege_langchain import ChatProtege, ProtegeCallbackHandler

ANSWER = "The parcel went out on Monday and comes on Friday."  # 50 characters: a stream of as many chunks


class Nothing(BaseCallbackHandler):
    run_inline = True

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        pass

    def on_llm_new_token(self, *args: Any, **kwargs: Any) -> None:
        pass

    def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
        pass


def text(length: int) -> str:
    words = [f"{random.choice(('order', 'parcel', 'refund', 'please'))} {random.randrange(10**6)}"]
    while sum(map(len, words)) < length:
        words.append(random.choice(("kept", "lost", "anna@example.org", "today", f"{random.randrange(10**4)}")))
    return " ".join(words)


def conversation(messages: int, length: int) -> list[BaseMessage]:
    return [(AIMessage if i % 2 else HumanMessage)(text(length)) for i in range(messages)]


def main(calls: int) -> None:
    random.seed(0)
    with tempfile.TemporaryDirectory() as home:
        bare = FakeListChatModel(responses=[ANSWER])
        handler = {"callbacks": [ProtegeCallbackHandler(home)]}
        ways: dict[str, tuple[BaseChatModel, Any]] = {
            "bare model": (bare, None),
            "handler that does nothing": (bare, {"callbacks": [Nothing()]}),
            "ProtegeCallbackHandler": (bare, handler),
            "ChatProtege, no route": (ChatProtege(bare, home), None),
        }
        shapes: dict[str, tuple[int, int, Callable[..., Any]]] = {
            "1 short message": (1, 60, lambda model, asked, config: model.invoke(asked, config)),
            "20 messages, 8 KB": (20, 400, lambda model, asked, config: model.invoke(asked, config)),
            "stream of 50 chunks": (1, 60, lambda model, asked, config: list(model.stream(asked, config))),
        }
        print(f"{'µs a call over the bare model':32}" + "".join(f"{name:>22}" for name in shapes))
        columns = [measure(ways, *shape, calls) for shape in shapes.values()]
        for name in ways:
            print(f"{name:32}" + "".join(f"{column[name] - column['bare model']:22.0f}" for column in columns))


def measure(
    ways: dict[str, tuple[BaseChatModel, Any]], messages: int, length: int, ask: Callable[..., Any], calls: int
) -> dict[str, float]:
    """Median microseconds a call by way."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(calls):
        for name, (model, config) in ways.items():
            asked = conversation(messages, length)
            began = time.perf_counter()
            ask(model, asked, config)
            taken[name].append((time.perf_counter() - began) * 1e6)
    return {name: statistics.median(values) for name, values in taken.items()}


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
