"""The three nouns: what they read, what they write, what they refuse."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from protege import Attempt, Base, Call, Request, Route, Specialist, Task, Template
from protege.call import text_of
from protege.chat.answer import answer_text, message_from, tool_calls_of
from protege.chat.prompt import messages_for, render
from protege.errors import BadCall, CannotRender, InvalidAnswer
from protege.task import TemplatePart

TOOL = {
    "type": "function",
    "function": {
        "name": "find",
        "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
    },
}
FULL = {
    "id": "c1",
    "messages": [{"role": "system", "content": "Sort."}, {"role": "user", "content": "Entry: é"}],
    "tools": [TOOL],
    "tool_choice": "auto",
    "response_format": {"type": "json_object"},
    "parameters": {"temperature": 0.1},
    "node": ["a", "b"],
    "response": {"role": "assistant", "content": "x"},
    "finish_reason": "stop",
    "model": "m",
    "answered_by": "m",
    "decision": "below threshold",
    "run": "r",
    "parent": "p",
    "framework": "langchain",
    "agent": "g",
    "error": "none",
    "time": 1.5,
    "latency_ms": 2.0,
    "ttft_ms": 1.0,
    "cost_usd": 0.1,
    "feedback": {"score": 1},
    "attempts": [{"by": "sp-1", "outcome": "handed_back", "reason": "below threshold", "confidence": 0.4}],
    "usage": {"input_tokens": 3, "output_tokens": 1},
}


def test_a_record_survives_reading_and_writing():
    assert Call.from_record(FULL).to_record() == FULL


@pytest.mark.parametrize("detail", ["cache_read_tokens", "cache_write_tokens", "reasoning_tokens"])
@pytest.mark.parametrize("count", [0, 2])
def test_details_of_usage_are_kept_without_the_rest(detail: str, count: int) -> None:
    messages, response = [{"role": "user", "content": "a"}], {"role": "assistant", "content": "b"}
    call = Call.from_record({"id": "c", "messages": messages, "response": response, "usage": {detail: count}})
    assert getattr(call, detail) == count and Call.from_record(call.to_record()) == call


def test_unknown_fields_are_ignored_and_openai_usage_is_understood():
    call = Call.from_record({**FULL, "gold": 1, "usage": {"prompt_tokens": 7, "completion_tokens": 2}})
    assert (call.input_tokens, call.output_tokens) == (7, 2)


def test_a_call_without_an_id_is_named_by_its_content():
    record = {"messages": FULL["messages"]}
    assert Call.from_record(record).id == Call.from_record(dict(record)).id
    assert Call.from_record(record, default_id="given").id == "given"


def test_repeats_share_a_content_hash_and_another_answer_does_not():
    call = Call.from_record(FULL)
    assert call.with_id("other").content_hash == call.content_hash
    other = Call.from_record({**FULL, "response": {"role": "assistant", "content": "y"}})
    assert other.content_hash != call.content_hash


@pytest.mark.parametrize(
    "broken",
    [
        {"messages": []},
        {"messages": "text"},
        {"messages": [{"role": "nobody"}]},
        {"messages": ["text"]},
        {"messages": [{"role": "user", "content": 3}]},
        {"messages": [{"role": "assistant", "content": None, "tool_calls": "x"}]},
        {**FULL, "tools": ["x"]},
        {**FULL, "latency_ms": "fast"},
        {**FULL, "latency_ms": True},
        {**FULL, "usage": [1]},
        {**FULL, "time": "yesterday"},
        {**FULL, "response": "text"},
    ],
)
def test_what_is_no_call_is_refused_without_its_content(broken):
    with pytest.raises(BadCall) as caught:
        Call.from_record(broken)
    assert "yesterday" not in str(caught.value) and "nobody" not in str(caught.value)


def test_iso_times_without_a_zone_are_utc():
    assert Call.from_record({**FULL, "time": "1970-01-01T00:00:10"}).time == 10


def test_only_a_kept_answer_makes_a_call_the_specialists():
    call = Call.from_record(FULL)
    assert call.from_teacher
    kept = Call(id="k", request=call.request, attempts=(Attempt("sp-1", "kept", "kept"),))
    assert not kept.from_teacher


def test_text_of_content_parts_leaves_images_out():
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:"}}, "b"]
    assert text_of({"role": "user", "content": parts}) == "ab"


# Templates and prompts


def template(*parts, **options):
    return Template("sig", parts, **options)


def entry(text, system="Sort."):
    return Request(({"role": "system", "content": system}, {"role": "user", "content": text}))


SORT = template(
    TemplatePart(0, "system", ("Sort.",)),
    TemplatePart(1, "user", (), "Entry: "),
)


def test_slots_are_the_request_without_its_constant_text():
    assert SORT.slots(entry("Entry: Anna")) == ({"role": "user", "content": "Anna"},)


@pytest.mark.parametrize("request_", [entry("Anna"), entry("Entry: Anna", "Sort them."), Request(({"role": "user"},))])
def test_another_wording_does_not_fit(request_):
    assert SORT.slots(request_) is None


def test_prefix_and_suffix_must_not_overlap():
    quoted = template(TemplatePart(0, "user", (), 'Say "', '"'))
    assert quoted.slots(Request(({"role": "user", "content": 'Say "'},))) is None
    assert quoted.slots(Request(({"role": "user", "content": 'Say ""'},))) == ()


def test_lines_that_stand_in_every_call_are_taken_out_and_the_others_stay():
    part = template(TemplatePart(0, "user", ("Rules:", "Be brief.")))
    request = Request(({"role": "user", "content": "Rules:\nService: hotels\nBe brief."},))
    assert part.slots(request) == ({"role": "user", "content": "Service: hotels"},)


TASK = Task("t-1", "sort", "label", labels=("person", "company"), templates=(SORT,))
BASE = Base(
    "b", "b.gguf", "0", "gguf", "llama", "Apache-2.0", 2048,
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    eos=("<|im_end|>",),
    control_tokens=("<|im_start|>", "<|im_end|>"),
)  # fmt: skip


def test_a_specialist_is_shown_the_slots_or_the_whole_prompt():
    slots = render(BASE, messages_for(TASK, entry("Entry: Anna"), "slots"))
    assert slots == "<|im_start|>system\n<|im_end|>\n<|im_start|>user\nAnna<|im_end|>\n<|im_start|>assistant\n"
    assert "Sort.<|im_end|>" in render(BASE, messages_for(TASK, entry("Entry: Anna"), "whole"))


def test_tools_are_shown_only_where_they_differ_from_call_to_call():
    request = Request(entry("Entry: Anna").messages, tools=(TOOL,))
    assert "find" not in messages_for(TASK, request, "slots")[0]["content"]
    varying = Task("t", "n", "tool_calls", templates=(template(*SORT.parts, constant_tools=False),))
    assert "find" in messages_for(varying, request, "slots")[0]["content"]


def test_input_that_would_end_the_turn_is_refused():
    with pytest.raises(CannotRender):
        render(BASE, messages_for(TASK, entry("Entry: a<|im_end|>b"), "slots"))


def test_an_image_is_refused():
    request = Request(({"role": "user", "content": [{"type": "image_url"}]},))
    with pytest.raises(CannotRender):
        messages_for(TASK, request, "whole")


def test_a_hostile_chat_template_cannot_leave_the_sandbox():
    from dataclasses import replace

    hostile = replace(BASE, chat_template="{{ messages.__class__.__mro__[1].__subclasses__() }}")
    with pytest.raises(CannotRender, match="SecurityError"):
        render(hostile, messages_for(TASK, entry("Entry: Anna"), "slots"))


# Answers


def calls(*pairs):
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "i", "type": "function", "function": {"name": n, "arguments": a}} for n, a in pairs],
    }


TOOLS = Task("t-2", "act", "tool_calls")
ASKED = Request(({"role": "user", "content": "x"},), tools=(TOOL,))


def test_tool_calls_survive_being_written_as_text():
    for message in (calls(("find", '{"n": 1}')), calls(("find", '{"n": 1}'), ("find", '{"n": 2}'))):
        again = message_from(answer_text(message), TOOLS, ASKED)
        assert tool_calls_of(again) == tool_calls_of(message)


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("", TOOLS),
        ('{"name": "other", "arguments": {}}', TOOLS),
        ('{"name": "find", "arguments": {"n": "one"}}', TOOLS),
        ('{"name": "find", "arguments": {}}', TOOLS),
        ('{"name": "find"', TOOLS),
        ("[]", TOOLS),
        ("robot", TASK),
        ("{", Task("t", "n", "json")),
    ],
)
def test_an_answer_without_the_tasks_structure_is_invalid(text, task):
    with pytest.raises(InvalidAnswer):
        message_from(text, task, ASKED)


def test_a_json_answer_is_held_to_the_requests_schema():
    schema = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}
    asked = Request(ASKED.messages, response_format={"type": "json_schema", "json_schema": {"schema": schema}})
    task = Task("t", "n", "json")
    assert message_from('{"city": "Ulm"}', task, asked)["content"] == '{"city": "Ulm"}'
    with pytest.raises(InvalidAnswer):
        message_from('{"town": "Ulm"}', task, asked)


def test_nouns_survive_being_stored():
    specialist = Specialist("sp-1", "sort-v1", "t-1", 1, BASE, "slots", report={"agreement": 0.9})
    route = Route("t-1", "sp-1", 0.7, "f", 0.05, 0.05, 260, 200, 3, ("sig",))
    assert Task.from_record(TASK.to_record()) == TASK
    assert Specialist.from_record(specialist.to_record()) == specialist
    assert Route.from_record(route.to_record()) == route


def test_where_ollama_had_a_specialist_is_read_from_records_of_before_there_were_others():
    base = Base("b", "b.gguf", "0", "gguf", "llama", "MIT", 512, "")
    where = {"address": "http://127.0.0.1:1", "model": "protege/x:v1"}
    specialist = Specialist("s", "t-v1", "t", 1, base, "slots", engine="ollama", placed={"ollama": where})
    written_before = {name: value for name, value in specialist.to_record().items() if name != "placed"}
    assert Specialist.from_record(written_before | {"imported": where}) == specialist
    assert specialist.address == "http://127.0.0.1:1"
    nowhere = Specialist.from_record(written_before | {"imported": {}})
    assert nowhere.placed == {} and nowhere.address == "" and "imported" not in nowhere.to_record()


def test_a_specialist_may_be_placed_with_several_engines():
    base = Base("b", "b.gguf", "0", "gguf", "llama", "MIT", 512, "")
    specialist = Specialist("s", "t-v1", "t", 1, base, "slots").placed_in("ollama", {"address": "a"})
    moved = specialist.placed_in("toy", {"address": "b"})
    assert (moved.engine, moved.address) == ("toy", "b") and set(moved.placed) == {"ollama", "toy"}
    assert moved.placed_in("embedded").placed == moved.placed and moved.placed_in("embedded").address == ""
    assert set(moved.taken_from("toy").placed) == {"ollama"}


def test_importing_protege_loads_no_model_library_and_no_database():
    heavy = ("torch", "transformers", "sqlalchemy", "pydantic", "sklearn", "datasets", "httpx")
    script = f"import protege, sys; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_any_content_has_a_hash():
    odd = {"role": "user", "content": "lone \ud800 surrogate", "number": 2**70}
    one, other = (Call(id="c", request=Request((odd, {"role": "user", "content": text}))) for text in ("a", "b"))
    assert one.content_hash == replace(one, id="d").content_hash != other.content_hash


def test_a_route_of_before_there_were_proofs_is_one_that_held_out_calls_certified():
    route = Route("t", "s", 0.8, "f", 0.05, 0.05, 100, 90, 1)
    record = route.to_record()
    del record["proof"]
    assert Route.from_record(record) == route and route.proof == "held-out"
    owed = replace(route, proof="owed")
    assert owed.identity != route.identity and replace(owed, kept=5).terms == route.terms
    assert replace(route, threshold=0.7).terms != route.terms
