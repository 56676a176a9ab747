"""What recording costs: the handler and its recorder against a handler that does nothing, in one process.

    python tests/bench/recorder.py [rounds]

Calls LangChain's own fake chat models with fresh text each time, secrets masked, the journal on the disk of the
temporary folder (or of TMPDIR). The two handlers alternate; the medians and their difference are in microseconds.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from protege.collect.recorder import Recorder
from protege_langchain import ProtegeCallbackHandler

WORDS = ["the", "customer", "asks", "about", "a", "transfer", "that", "has", "not", "arrived", "and", "wants", "to"]
WORDS += ["know", "whether", "account", "number", "please", "check", "order", "answer", "one", "label", "only"]
MESSAGE_WORDS = 12
LONG_MESSAGE_WORDS = 68
CHUNKS = 52


class NoOp(BaseCallbackHandler):
    """The cheapest handler there is."""

    run_inline = True

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None: ...
    def on_llm_new_token(self, *args: Any, **kwargs: Any) -> None: ...
    def on_llm_end(self, *args: Any, **kwargs: Any) -> None: ...


def text(words: int) -> str:
    return " ".join(random.choices(WORDS, k=words)) + f" {random.random()}"


def one_message() -> list[BaseMessage]:
    return [HumanMessage(text(MESSAGE_WORDS))]


def twenty_messages() -> list[BaseMessage]:
    kinds = (HumanMessage, AIMessage)
    return [SystemMessage(text(LONG_MESSAGE_WORDS)), *(kinds[i % 2](text(LONG_MESSAGE_WORDS)) for i in range(19))]


def answers(words: int) -> Iterator[AIMessage]:
    while True:
        yield AIMessage(text(words))


def invoke(messages: list[BaseMessage], handler: BaseCallbackHandler) -> None:
    GenericFakeChatModel(messages=answers(4)).invoke(messages, {"callbacks": [handler]})


def stream(messages: list[BaseMessage], handler: BaseCallbackHandler) -> None:
    # The fake model splits its answer at the blanks, which are chunks too.
    for _ in GenericFakeChatModel(messages=answers(CHUNKS // 2 - 1)).stream(messages, {"callbacks": [handler]}):
        pass


def medians(
    call: Callable[[list[BaseMessage], BaseCallbackHandler], None],
    make: Callable[[], list[BaseMessage]],
    handlers: tuple[BaseCallbackHandler, ...],
    rounds: int,
) -> list[float]:
    """The median of each handler's calls, in microseconds."""
    taken: list[list[float]] = [[] for _ in handlers]
    for number in range(rounds + 50):
        for place in random.sample(range(len(handlers)), len(handlers)):
            messages = make()
            start = time.perf_counter()
            call(messages, handlers[place])
            if number >= 50:
                taken[place].append((time.perf_counter() - start) * 1e6)
    return [statistics.median(times) for times in taken]


def record_alone(make: Callable[[], list[BaseMessage]], home: str, rounds: int) -> float:
    """The median of `Recorder.record` by itself, in microseconds."""
    recorder = Recorder(home)
    taken: list[float] = []
    for _ in range(rounds):
        messages = [{"role": "user", "content": message.text} for message in make()]
        record = {"messages": messages, "response": {"role": "assistant", "content": text(4)}, "model": "fake"}
        start = time.perf_counter()
        recorder.record(record)
        taken.append((time.perf_counter() - start) * 1e6)
    return statistics.median(taken)


def main(rounds: int) -> None:
    cases = (
        ("1 message", invoke, one_message),
        ("20 messages, 8 KB", invoke, twenty_messages),
        (f"{CHUNKS}-chunk stream", stream, one_message),
    )
    with tempfile.TemporaryDirectory() as home:
        recording = ProtegeCallbackHandler(home)
        print(f"median of {rounds}, µs{'no-op':>15}{'recording':>12}{'net':>8}{'record() alone':>17}")
        for name, call, make in cases:
            plain, recorded = medians(call, make, (NoOp(), recording), rounds)
            alone = record_alone(make, home, rounds)
            print(f"{name:<20}{plain:>15.1f}{recorded:>12.1f}{recorded - plain:>8.1f}{alone:>17.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
