"""Every function of the agent's rooms that takes text from outside is quick, whatever the text repeats.

The functions are found by introspection: a new one must be called here, or be named with the reason why not.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import pkgutil
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import orjson
import pytest
from protege import Task
from protege.asking import confidence, novelty
from protege.asking.ask import repeats
from protege.asking.novelty import Novelty
from protege.call import Request
from protege.chat import answer, openai, prompt, refusal, streams
from protege.masking import masking
from protege.serve.engine import Completion

ROOMS = ("protege.masking", "protege.chat", "protege.asking")
CHARACTERS = 8_000
LONGEST_S, A_KB_S = 0.25, 0.010

TASK = Task(id="t", name="t", kind="tool_calls", templates=(), centre={}, calls=1)


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def asked(text: str) -> Request:
    return Request(({"role": "user", "content": text},))


def completed(text: str) -> Completion:
    return Completion(text, ("x",), (-0.1,), "stop", 1, 1, 1.0)


def quietly(work: Callable[[], object]) -> None:
    with contextlib.suppress(ValueError):  # an answer that is none
        work()


CALLED: dict[Any, Callable[[str], object]] = {
    masking.mask: lambda text: (
        masking.mask(text.encode()),
        masking.mask(orjson.dumps({text: "hunter2abc9"})),
        masking.mask(orjson.dumps({"password": text})),
    ),
    masking.mask_text: lambda text: masking.mask_text(f"{text} password=hunter2abc9"),
    refusal.refuses: refusal.refuses,
    answer.answer_text: lambda text: answer.answer_text(said(text)),
    answer.message_from: lambda text: [
        quietly(lambda t=t: answer.message_from(t, TASK, asked(text))) for t in (text, f"[{text}")
    ],
    answer.tool_calls_of: lambda text: quietly(lambda: answer.tool_calls_of({"tool_calls": [{"arguments": text}]})),
    answer.breaks: lambda text: answer.breaks(text, {"type": "string", "pattern": "^(.+)+$"}),
    openai.tool_call: lambda text: openai.tool_call(text, text, text),
    openai.tool_choice: openai.tool_choice,
    openai.json_text: openai.json_text,
    openai.arguments_of: lambda text: quietly(lambda: openai.arguments_of({"arguments": text})),
    openai.finish_reason: lambda text: openai.finish_reason({"stop_reason": text}),
    streams.assemble: lambda text: streams.assemble([{"choices": [{"delta": {"content": text}}]}] * 3),
    prompt.as_messages: lambda text: prompt.as_messages([said(text)]),
    novelty.words_of: novelty.words_of,
    novelty.shown_text: lambda text: novelty.shown_text([said(text)]),
    Novelty.share: lambda text: Novelty(bytes(64)).share(text),
    confidence.features_of: lambda text: [
        confidence.features_of(completed(text), kind, text) for kind in ("json", "sql")
    ],
    repeats: lambda text: [repeats(text, kind) for kind in ("json", "text")],
}
ELSEWHERE = {
    "answer.schema_of": "looks an entry up",
    "openai.sampling": "looks entries up",
    "openai.schema_format": "wraps a schema",
    "prompt.messages_for": "joins what as_messages does",
    "prompt.render": "held by test_sandbox",
    "prompt.tools_text": "writes JSON",
    "prompt.fitting_template": "held by the tests of cluster",
    "sandbox.compiled": "held by test_sandbox",
    "budget.weight": "held by test_sandbox",
    "budget.weigh": "held by test_sandbox",
    "budget.shallow": "held by test_sandbox",
    "budget.made": "held by test_sandbox",
    "budget.small": "held by test_sandbox",
    "schema.checker": "held by test_schema",
    "teacher.openai_compatible": "takes an address",
    "teacher.body_of": "writes JSON",
    "prefilter.prefilter": "takes patterns",
    "ask.ask": "calls what is called here",
    "confidence.keeps": "compares two numbers",
    "confidence.scaled": "computes with a number",
    "novelty.novelty_from": "called by training only",
}

UNITS = (
    "a", "prev", "9", " ", "\n", "\\", "\"", "'", "`", "``", '"\\', '\\"', "''", '""', "- ", "(", "[", "{", '{"a":',
    "<", "</", "<a ", "<think>", "```", "é", "٣", "I'm sorry, ", "sorry ", "my apology", "password",
    "password=abcd ",
    "token: ", "--token ", "<password ", "a://x:", "eyJaaaaaaaaaaaaa-hf_aaaaaaaaaaaaaaaaaaaa-", "sk-", "a.b-",
    "-----BEGIN PRIVATE KEY-----", "Bearer ", "key\\\": ", "select ", "1e", "-",
)  # fmt: skip
ENDS = ("", "!", "!password", '"', "\\")


def functions() -> Iterator[tuple[str, Any]]:
    """The public functions of the rooms, by module and name."""
    for room in ROOMS:
        package = importlib.import_module(room)
        for found in pkgutil.iter_modules(package.__path__):
            module: ModuleType = importlib.import_module(f"{room}.{found.name}")
            for name, function in inspect.getmembers(module, inspect.isfunction):
                if function.__module__ == module.__name__ and not name.startswith("_"):
                    yield f"{found.name}.{name}", function


def test_each_function_that_takes_text_is_called_here() -> None:
    unknown = [name for name, function in functions() if function not in CALLED and name not in ELSEWHERE]
    assert not unknown, "Add a call with hostile text, or the reason why there need not be one."


@pytest.mark.parametrize("function", CALLED, ids=lambda function: function.__qualname__)
def test_no_repetition_makes_it_slow(function: Any) -> None:
    call = CALLED[function]
    call("warm")
    call("password=hunter2abc9")
    for unit in UNITS:
        for end in ENDS:
            text = (unit * (CHARACTERS // len(unit) + 1))[:CHARACTERS] + end
            took_s = min(_processor_s(call, text) for _ in range(2))
            assert took_s < min(LONGEST_S, A_KB_S * len(text.encode()) / 1000 * 2), (unit, end)


def _processor_s(call: Callable[[str], object], text: str) -> float:
    begin_s = time.process_time()
    call(text)
    return time.process_time() - begin_s


def test_names_beside_values_within_each_other_are_read_once() -> None:
    document = '{"name":"x","key":"y","value":' * 60 + '{"password":"hunter2abc9"}' + "}" * 60
    begin_s = time.process_time()
    masked = masking.mask(document.encode())
    assert time.process_time() - begin_s < LONGEST_S
    assert b"hunter2abc9" not in masked
