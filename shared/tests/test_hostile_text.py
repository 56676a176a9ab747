"""Every function that takes text from outside in the agent's process is quick, whatever the text repeats.

The functions are found by introspection: a new one must be called here, or be named with the reason why not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from hostile import LONGEST_S, UNITS, check, forgotten, functions, in_the_agent_s, quietly
from protege import Route, Task
from protege.asking import confidence, novelty
from protege.asking.ask import repeats
from protege.asking.novelty import Novelty
from protege.call import Call, Reply, Request, canonical_json, content_hash, request_from, text_of
from protege.capture.calls import OpenCall, Place
from protege.chat import acts, answer, copied, openai, prompt, refusal, results, streams, tokens
from protege.cluster import states, wording
from protege.cluster.assign import Assigner
from protege.collect.recorder import Recorder
from protege.common import (
    checks,
    framework_messages,
    loopback,
    media,
    messages,
    plain_json,
    reasons,
    terminal,
    tool_calls,
    usage,
    wrappers,
)
from protege.common.hashing import hash_of
from protege.common.shapes import fits
from protege.masking import masking
from protege.route import decision, sealing, table
from protege.serve.engine import Completion
from protege.task import Example, Template, TemplatePart, offered

PLACES = (
    "protege.masking", "protege.chat", "protege.asking", "protege.capture", "protege.route", "protege.call",
    "protege.collect.recorder", "protege.collect.journal", "protege.cluster.assign", "protege.cluster.states",
    "protege.cluster.wording", "protege.common", "protege.task",
)  # fmt: skip

TASK = Task(id="t", name="t", kind="tool_calls", templates=(), centre={}, calls=1)
STEP = Task(id="v", name="v", kind="tool_calls", state="reply")
CONSTANT = (TemplatePart(0, "system", lines=("You name", "a colour.")), TemplatePart(1, "user", prefix="Of: "))
FITTED = Task(
    id="u", name="u", kind="text", templates=(Template("s", CONSTANT),), centre={"colour": 1.0}, calls=1
)  # fmt: skip
ROUTE = Route("u", "s1", 0.5, "F", 0.05, 0.05, 200, 180, 1, signatures=("s",), share=0.5)


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def asked(text: str) -> Request:
    return Request(({"role": "user", "content": text},))


def called(text: str) -> dict[str, Any]:
    """A record of a call with the text in all places that hold any."""
    function = {"name": text[:64], "description": text, "parameters": {"properties": {text: {"description": text}}}}
    use = {"id": "c", "type": "function", "function": {"name": "f", "arguments": text}}
    return {
        "id": "i",
        "time": 1.0,
        "messages": [
            {"role": "system", "content": f"You name\n{text}\na colour."},
            {"role": "user", "content": f"Of: {text}"},
            {"role": "assistant", "content": [{"type": "text", "text": text}], "tool_calls": [use]},
            {"role": "tool", "tool_call_id": "c", "content": text},
        ],
        "response": said(text),
        "tools": [{"type": "function", "function": function}],
        "model": text,
        "node": [text],
    }


def completed(text: str) -> Completion:
    return Completion(text, ("x",), (-0.1,), "stop", 1, 1, 1.0)


class Kept:
    def record(self, call_record: dict[str, Any], /) -> None:
        orjson.dumps(call_record)


def opened(text: str) -> None:
    """A call in the agent, from its request to its answer."""
    record = called(text)
    call = OpenCall(Kept(), record["messages"], {"tools": record["tools"], "model": text}, Place(text, (text,), text))
    _ = call.request, call.token()
    call.failed(text, Reply(said(text), text, text))
    call.answered(Reply(said(text), text, text))


def assigned(text: str) -> None:
    assigner = Assigner([FITTED])
    for request in (asked(text), request_from(called(text))):
        _ = assigner.assign(request), assigner.guess(request), assigner.fit(request), assigner.nearest(request)


CALLED: Mapping[str, Callable[[str], object]] = {
    "masking.masking.mask": lambda text: (
        masking.mask(text.encode()),
        masking.mask(orjson.dumps({text: "hunter2abc9"})),
        masking.mask(orjson.dumps({"password": text})),
    ),
    "masking.masking.mask_text": lambda text: masking.mask_text(f"{text} password=hunter2abc9"),
    "common.messages.correction_from": lambda text: [
        quietly(lambda v=value: messages.correction_from(v)) for value in (text, {text: text}, said(text), [text])
    ],
    "chat.refusal.refuses": refusal.refuses,
    "chat.tokens.estimated_tokens": lambda text: tokens.estimated_tokens([said(text)], [{text: [text]}]),
    "chat.tokens.counted": lambda text: tokens.counted(
        Call.from_record({"messages": [{"role": "user", "content": text}], "response": said(text)}, default_id="c")
    ),
    "chat.acts.acts_of": lambda text: [acts.acts_of(said(t)) for t in (text, "[" + text, f'{{"a":{text}')],
    "chat.acts.acts_in": lambda text: acts.acts_in(f'{{"actions": [{{"{text}": {{}}}}]}}'),
    "chat.acts.act_in": lambda text: acts.act_in({"action": text, "function": {"function": {text: {}}}}),
    "chat.acts.plain_name": acts.plain_name,
    "chat.acts.calls_of": lambda text: acts.calls_of({"tool_calls": text, "function_call": text}),
    "chat.results.is_error": lambda text: [results.is_error({"content": t}) for t in (text, f'{{"error": {text}}}')],
    "chat.answer.answer_text": lambda text: answer.answer_text(said(text)),
    "chat.answer.message_from": lambda text: [
        quietly(lambda t=t: answer.message_from(t, TASK, asked(text))) for t in (text, f"[{text}")
    ],
    "chat.answer.tool_calls_of": lambda text: quietly(
        lambda: answer.tool_calls_of({"tool_calls": [{"arguments": text}]})
    ),
    "chat.answer.taught_text": lambda text: answer.taught_text(STEP, text),
    "chat.answer.history_text": lambda text: answer.history_text({"tool_calls": [{"arguments": text}]}),
    "chat.copied.copied_in": lambda text: copied.copied_in([Example("1", Call(id="1", request=asked(text)), text)]),
    "chat.copied.made_up": lambda text: [
        copied.made_up(t, asked(text), ("a", "a[]", text)) for t in (text, orjson.dumps({"a": text}).decode())
    ],
    "chat.copied.conversation": lambda text: copied.conversation(request_from(called(text))),
    "chat.copied.stands": lambda text: [copied.stands(v, text) for v in (text, text[:3] or "x", f"{text[1:]}x")],
    "chat.answer.breaks": lambda text: answer.breaks(text, {"type": "string", "pattern": "^(.+)+$"}),
    "chat.openai.tool_call": lambda text: openai.tool_call(text, text, text),
    "chat.openai.tool_choice": openai.tool_choice,
    "chat.openai.json_text": openai.json_text,
    "chat.openai.arguments_of": lambda text: quietly(lambda: openai.arguments_of({"arguments": text})),
    "chat.openai.finish_reason": lambda text: openai.finish_reason({"stop_reason": text}),
    "chat.streams.assemble": lambda text: streams.assemble([{"choices": [{"delta": {"content": text}}]}] * 3),
    "chat.prompt.as_messages": lambda text: prompt.as_messages([said(text)]),
    "asking.novelty.words_of": novelty.words_of,
    "asking.novelty.shown_text": lambda text: novelty.shown_text([said(text)]),
    "asking.novelty.Novelty.share()": lambda text: Novelty(bytes(64)).share(text),
    "asking.confidence.features_of": lambda text: [
        confidence.features_of(completed(text), kind, text) for kind in ("json", "sql")
    ],
    "asking.ask.repeats": lambda text: [repeats(text, kind) for kind in ("json", "text")],
    "capture.calls.OpenCall()": opened,
    "cluster.assign.Assigner()": assigned,
    "cluster.states.state_of": lambda text: [
        states.state_of(r) for r in (asked(text), request_from(called(text)), Request((said(text), said(text))))
    ],
    "cluster.wording.sentences": wording.sentences,
    "cluster.wording.labels": wording.labels,
    "cluster.wording.opening_words": wording.opening_words,
    "cluster.wording.free_words": wording.free_words,
    "cluster.wording.opening_text": lambda text: wording.opening_text(asked(text)),
    "cluster.wording.system_sentences": wording.system_sentences,
    "cluster.wording.system_words": wording.system_words,
    "cluster.wording.words": lambda text: wording.words([text]),
    "cluster.wording.name_words": lambda text: wording.name_words([text]),
    "route.decision.objection": lambda text: decision.objection(request_from(called(text)), text, FITTED, ROUTE),
    "route.sealing.parted": lambda text: [
        sealing.parted(t.encode()) for t in (text, f'{text},"signature":"{text[:88]}"}}')
    ],
    "route.sealing.unseal": lambda text: quietly(lambda: sealing.unseal(Path("nowhere"), text.encode())),
    "route.table.from_bytes": lambda text: quietly(lambda: table.from_bytes(text.encode()), TypeError),
    "call.request_from": lambda text: request_from(called(text)),
    "call.text_of": lambda text: text_of({"content": [{"type": "text", "text": text}]}),
    "call.content_hash": lambda text: content_hash(called(text)),
    "call.canonical_json": lambda text: canonical_json(called(text)),
    "call.Call()": lambda text: Call.from_record({**called(text), "model": "m"}).to_record(),
    "task.offered": lambda text: offered({"type": text}, called(text)["tools"]),
    "common.checks.is_figure": lambda text: checks.is_figure(text, "latency_ms"),
    "common.checks.without_odd_fields": lambda text: checks.without_odd_fields({**called(text), "latency_ms": text}),
    "common.checks.without_deep_parts": lambda text: checks.without_deep_parts(called(text)),
    "common.checks.too_deep": lambda text: checks.too_deep(called(text)),
    "common.checks.text": lambda text: quietly(lambda: checks.text({"a": text}, "a")),
    "common.checks.number": lambda text: quietly(lambda: checks.number({"a": text}, "a")),
    "common.checks.time": lambda text: quietly(lambda: checks.time({"time": text})),
    "common.checks.in_seconds": checks.in_seconds,
    "common.wrappers.fenced": lambda text: [wrappers.fenced(t) for t in (text, f"```{text}```", f"```\n{text}\n```")],
    "common.wrappers.unwrapped": lambda text: [
        wrappers.unwrapped(t) for t in (text, f"```{text}```", f"<answer>{text}</answer>", f"[A]{text}")
    ],
    "common.wrappers.bare": wrappers.bare,
    "common.wrappers.without_reasoning": lambda text: [
        wrappers.without_reasoning(t) for t in (text, f"<think>{text}", "<think></think>" * (len(text) // 15))
    ],
    "common.wrappers.Wrapper.around()": lambda text: wrappers.Wrapper(text, text).around(text),
    "common.media.names_in": lambda text: media.names_in(f"{media.SCHEME}{text}".encode(errors="replace")),
    "common.framework_messages.opened": lambda text: [
        list(framework_messages.opened({"role": text, "kind": "request", name: held}))
        for name in ("blocks", "items", "parts", "content")
        for held in (text, [text], [{"type": text, "block_type": text, "part_kind": text, "toolCallId": text}])
    ],
    "common.messages.messages_from": lambda text: [
        quietly(lambda m=m: messages.messages_from(m))
        for m in (
            said(text),
            {"role": text, "content": text},
            {"type": text, text: text},
            {"role": "ai", "parts": [text]},
        )
    ],
    "common.messages.answer_from": lambda text: quietly(lambda: messages.answer_from({text: text})),
    "common.messages.is_plain": lambda text: messages.is_plain(said(text)),
    "common.messages.text_in": lambda text: [messages.text_in(t) for t in (text, [text], {text: text})],
    "common.messages.flattened": lambda text: list(messages.flattened([said(text)])),
    "common.messages.json_in": lambda text: [messages.json_in(t) for t in (text, f"[{text}")],
    "common.tool_calls.is_plain": lambda text: tool_calls.is_plain([{"function": {"arguments": text}}]),
    "common.tool_calls.tool_call_from": lambda text: [
        quietly(lambda c=c: tool_calls.tool_call_from(c)) for c in ({"name": text, "args": text}, {text: text})
    ],
    "common.tool_calls.tool_calls_from": lambda text: quietly(lambda: tool_calls.tool_calls_from(text)),
    "common.tool_calls.arguments_text": lambda text: tool_calls.arguments_text({text: text}),
    "common.plain_json.loads": lambda text: [
        quietly(lambda t=t: plain_json.loads(t.encode(errors="replace"))) for t in (text, f"[{text}, NaN]")
    ],
    "common.plain_json.plain": lambda text: plain_json.plain(called(text)),
    "common.reasons.reason_of": lambda text: [reasons.reason_of(t) for t in (text, f"[{text}")],
    "common.reasons.said_once": reasons.said_once,
    "common.usage.tokens_used": lambda text: quietly(lambda: usage.tokens_used({"input_tokens": 1, text: text})),
    "chat.answer.bare_text": lambda text: answer.bare_text(said(text)),
    "chat.streams.Calls.add()": lambda text: streams.Calls().add({"id": text, "function": {"name": text}}, 0),
    "common.hashing.hash_of": lambda text: hash_of(text, {text: text}),
    "common.loopback.is_loopback": loopback.is_loopback,
    "common.loopback.is_loopback_url": lambda text: [loopback.is_loopback_url(t) for t in (text, f"http://{text}")],
    "common.shapes.fits": lambda text: fits(called(text), dict[str, Any]),
    "common.terminal.printable": terminal.printable,
    "common.terminal.printable_line": terminal.printable_line,
    "common.terminal.printable_json": lambda text: terminal.printable_json(f'"{text}"'),
}
TIMES = {"masking.masking.mask": 3, "cluster.assign.Assigner()": 8}
"""How often the function is called there, if more than once."""
ELSEWHERE = {
    "capture.attaching": "runs a program",
    "capture.wrapping.wrap": "hands a client to its adapter",
    "call.usage_record": "looks counts up",
    "capture.watch.opened": "calls an adapter: tests/test_hostile_text_in_adapters.py",
    "capture.calls.recorder_of": "takes a path",
    "capture.watch.router_of": "takes a path",
    "cluster.assign.weight_of": "adds lengths up",
    "collect.journal": "frames bytes; what they hold is not read",
    "common.configuration": "takes paths and our own file names",
    "common.leftovers": "takes paths",
    "common.trust": "takes paths",
    "route.belief": "compares the bytes and the signature of one file",
    "common.digest": "reads files in parts",
    "common.extras": "takes names of modules",
    "common.files": "takes paths",
    "common.forks": "takes no text",
    "common.logprobs": "takes figures that an engine gave",
    "common.logs": "takes our own words",
    "common.media.media_path": "takes what names_in gave",
    "common.peers": "takes addresses and ids of processes",
    "common.prices": "takes no text",
    "common.signing": "hashes bytes",
    "common.switch": "takes ids, and hashes them",
    "common.tracing": "takes our own words",
    "route.advice": "takes a specialist's own fields",
    "route.decision.chain": "asks objection of each route",
    "route.link": "takes an address of ours",
    "route.sealing.seal": "hashes bytes",
    "route.table.to_bytes": "writes JSON",
    "chat.acts.function_of": "looks an entry up",
    "chat.answer.is_words": "looks an entry up",
    "chat.answer.schema_of": "looks an entry up",
    "chat.openai.sampling": "looks entries up",
    "chat.openai.schema_format": "wraps a schema",
    "chat.prompt.messages_for": "joins what as_messages does",
    "chat.prompt.render": "held by test_sandbox",
    "chat.prompt.tools_text": "writes JSON",
    "chat.prompt.fitting_template": "held by the tests of cluster",
    "chat.prompt.wording_of": "counts what fitting_template gives",
    "chat.prompt.worded": "counts messages",
    "chat.sandbox.compiled": "held by test_sandbox",
    "chat.budget": "held by test_sandbox",
    "chat.schema.checker": "held by test_schema",
    "chat.teacher.openai_compatible": "takes an address",
    "chat.teacher.body_of": "writes JSON",
    "masking.prefilter.prefilter": "takes patterns",
    "asking.ask.ask": "calls what is called here",
    "asking.confidence.keeps": "compares two numbers",
    "asking.confidence.scaled": "computes with a number",
    "asking.novelty.novelty_from": "called by training only",
}


def test_each_function_that_takes_text_is_called_here() -> None:
    unknown = forgotten(functions(*PLACES), CALLED, ELSEWHERE)
    assert not unknown, "Add a call with hostile text, or the reason why there need not be one."


@pytest.mark.parametrize("name", CALLED)
def test_no_repetition_makes_it_slow(name: str) -> None:
    times = TIMES.get(name, 1)
    check(CALLED[name], lambda text: times * in_the_agent_s(text))


def test_recording_is_quick_whatever_the_call_repeats(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    # The text stands in ten places of the record.
    check(lambda text: recorder.record(called(text)), lambda text: 10 * in_the_agent_s(text), UNITS[::4], tried=3)
    recorder.close()


def test_names_beside_values_within_each_other_are_read_once() -> None:
    document = '{"name":"x","key":"y","value":' * 60 + '{"password":"hunter2abc9"}' + "}" * 60
    begin_s = time.process_time()
    masked = masking.mask(document.encode())
    assert time.process_time() - begin_s < LONGEST_S
    assert b"hunter2abc9" not in masked
