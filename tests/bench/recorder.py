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
import signal
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
from protege.capture.calls import recorder_of
from protege.collect.recorder import Recorder
from protege.common.files import home_path
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
    for _ in range(rounds):
        for place in random.sample(range(len(handlers)), len(handlers)):
            messages = make()
            start = time.perf_counter()
            call(messages, handlers[place])
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


BLOCK = 50
"""Calls that one handler makes before it is another's turn."""


def blocks(name: str) -> None:
    """What a handler's own process does: for each case that is asked for, a block of calls, timed."""
    with tempfile.TemporaryDirectory() as home, tracers.sink() as url:
        handler = ProtegeCallbackHandler(home) if name == "protege" else tracers.MAKE[name](url)
        for line in sys.stdin:
            _, call, make = CASES[int(line)]
            plain, taken = medians(call, make, (NoOp(), handler), BLOCK)
            alone = record_alone(make, home, BLOCK) if name == "protege" else 0.0
            print(json.dumps({"no-op": plain, "net": taken - plain, "alone": alone}), flush=True)
        if name == "protege":
            assert recorder_of(home_path(home)).lost == 0  # type: ignore[attr-defined]


def main(rounds: int) -> None:
    # A process for each, since a tracer's threads at work take their time from whoever shares its interpreter; in turn,
    # since the machine is not as fast in one minute as in the next.
    names = ["protege", *tracers.installed()]
    workers = {name: _worker(name) for name in names}
    found: dict[str, list[list[dict[str, float]]]] = {name: [[] for _ in CASES] for name in names}
    for case in range(len(CASES)):
        for turn in range(rounds // BLOCK + 1):
            for name in random.sample(names, len(names)):
                block = _ask(workers[name], case)
                if turn:  # the first one warms up
                    found[name][case].append(block)
    for worker in workers.values():
        worker.send_signal(signal.SIGCONT)
        worker.communicate()
        assert worker.returncode == 0
    print(f"µs a call beyond a no-op handler, median of {rounds}; in brackets: times protege's")
    print(f"{'':<20}" + "".join(f"{name:>22}" for name in names) + f"{'(no-op)':>10}{'(record alone)':>16}")
    for number, (case, _, _) in enumerate(CASES):
        nets = [_median(found[name][number], "net") for name in names]
        shown = [f"{nets[0]:>22.1f}", *(f"{f'{net:.1f} ({net / nets[0]:.1f})':>22}" for net in nets[1:])]
        ours = found["protege"][number]
        print(f"{case:<20}" + "".join(shown) + f"{_median(ours, 'no-op'):>10.1f}{_median(ours, 'alone'):>16.1f}")


def _worker(name: str) -> subprocess.Popen[str]:
    command, pipe = [sys.executable, __file__, name], subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)


def _ask(worker: subprocess.Popen[str], case: int) -> dict[str, float]:
    assert worker.stdin and worker.stdout
    worker.send_signal(signal.SIGCONT)  # a tracer at rest still sends: it is stopped while it is not its turn
    print(case, file=worker.stdin, flush=True)
    # Tracers write on their standard output too.
    line = next(line for line in worker.stdout if line.startswith('{"no-op"'))
    worker.send_signal(signal.SIGSTOP)
    return json.loads(line)


def _median(blocks_of: list[dict[str, float]], name: str) -> float:
    return statistics.median(block[name] for block in blocks_of)


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].isdigit():
        blocks(sys.argv[1])
        sys.stdout.flush()
        os._exit(0)  # a tracer's threads would go on sending
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
