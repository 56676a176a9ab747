"""What `protege.wrap` adds to a call of a provider's client, without a live route; masking on, fresh text each time.

    .venv/bin/python tests/bench/clients_overhead.py [CALLS]

Prints the median microseconds of the bare and of the wrapped client, by turns in one process; a transport in memory
answers.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import anthropic
import httpx
import httpx2
import openai
from google import genai
from langchain_overhead import ANSWER, text
from protege_clients import wrap
from protege_clients.testing import ScriptedProvider

PROVIDER = ScriptedProvider(lambda request: ANSWER)


def mocked(library: Any) -> Any:
    return library.Client(transport=library.MockTransport(PROVIDER))


def in_openai(client: Any, said: list[Any], stream: bool) -> None:
    answer = client.chat.completions.create(model="m", messages=said, stream=stream)
    _ = list(answer) if stream else answer


def in_anthropic(client: Any, said: list[Any], stream: bool) -> None:
    answer = client.messages.create(model="m", max_tokens=99, messages=said, stream=stream)
    _ = list(answer) if stream else answer


def in_gemini(client: Any, said: list[Any], stream: bool) -> None:
    contents = [said[-1]["content"]]
    models = client.models
    _ = (
        list(models.generate_content_stream(model="m", contents=contents))
        if stream
        else models.generate_content(model="m", contents=contents)
    )


CLIENTS: dict[str, tuple[Callable[[], Any], Callable[[Any, list[Any], bool], None]]] = {
    "openai": (lambda: openai.OpenAI(api_key="none", http_client=mocked(httpx)), in_openai),
    "anthropic": (lambda: anthropic.Anthropic(api_key="none", http_client=mocked(httpx2)), in_anthropic),
    "google-genai": (
        lambda: genai.Client(api_key="none", http_options={"httpx_client": mocked(httpx2)}),  # type: ignore[arg-type]
        in_gemini,
    ),
}


def main(calls: int) -> None:
    random.seed(0)
    with tempfile.TemporaryDirectory() as home:
        for name, (make, ask) in CLIENTS.items():
            clients = (make(), wrap(make(), home))
            for stream in (False, True):
                took: tuple[list[float], list[float]] = ([], [])
                for _ in range(calls + 50):
                    for client, times in zip(clients, took, strict=True):
                        said = [{"role": "user", "content": text(1000)}]
                        begin_s = time.perf_counter()
                        ask(client, said, stream)
                        times.append(time.perf_counter() - begin_s)
                    PROVIDER.asked.clear()
                bare, wrapped = (statistics.median(times[50:]) * 1e6 for times in took)
                print(f"{name}, {'stream' if stream else 'whole'}: {bare:,.0f} µs; wrapped {wrapped - bare:+,.0f} µs")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
