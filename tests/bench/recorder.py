"""What recording costs: the handler and its recorder against a handler that does nothing, and against the popular
tracers where they are installed (tracers.py), one after the other.

    python tests/bench/recorder.py [rounds]

Calls LangChain's own fake chat models with fresh text each time, secrets masked, the journal on the disk of the
temporary folder (or of TMPDIR). Each
alternates with the no-op in every round; figures are in microseconds.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import tracers
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from protege.capture import recorder_of
from protege.collect.recorder import Recorder
from protege.workspace import home_path
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


CASES = (
    ("1 message", invoke, one_message),
    ("20 messages, 8 KB", invoke, twenty_messages),
    (f"{CHUNKS}-chunk stream", stream, one_message),
)


def net_of(name: str, rounds: int) -> list[dict[str, float]]:
    """For each case what the no-op takes, and what the handler of this name takes beyond it."""
    with tempfile.TemporaryDirectory() as home, tracers.sink() as url:
        handler = ProtegeCallbackHandler(home) if name == "protege" else tracers.MAKE[name](url)
        found: list[dict[str, float]] = []
        for _, call, make in CASES:
            plain, taken = medians(call, make, (NoOp(), handler), rounds)
            alone = record_alone(make, home, rounds) if name == "protege" else 0.0
            found.append({"no-op": plain, "net": taken - plain, "alone": alone})
        if name == "protege":
            assert recorder_of(home_path(home)).lost == 0  # type: ignore[attr-defined]
        return found


def main(rounds: int) -> None:
    # A process for each: a tracer's threads at work would take their time from the others' calls.
    names = ["protege", *tracers.installed()]
    found = {name: _in_process(name, rounds) for name in names}
    print(f"µs a call beyond a no-op handler, median of {rounds}; in brackets: times protege's")
    print(f"{'':<20}" + "".join(f"{name:>22}" for name in names) + f"{'(no-op)':>10}{'(record alone)':>16}")
    for number, (case, _, _) in enumerate(CASES):
        ours = found["protege"][number]
        nets = [found[name][number]["net"] for name in names]
        shown = [f"{nets[0]:>22.1f}", *(f"{f'{net:.1f} ({net / nets[0]:.1f})':>22}" for net in nets[1:])]
        print(f"{case:<20}" + "".join(shown) + f"{ours['no-op']:>10.1f}{ours['alone']:>16.1f}")


def _in_process(name: str, rounds: int) -> list[dict[str, float]]:
    command = [sys.executable, __file__, name, str(rounds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(json.dumps(net_of(sys.argv[1], int(sys.argv[2]))), flush=True)
        os._exit(0)  # a tracer's threads would go on sending
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
