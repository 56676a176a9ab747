"""Inputs that nobody thought of: what each target takes, and what must hold of whatever it is given.

A target is a strategy of hypothesis and a check that raises where something that is not documented happens: another
error than the documented ones, JSON that no longer is any. `tests/bench/fuzzing.py` runs them for long,
`tests/test_fuzzing.py` for seconds.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import zstandard
from hypothesis import strategies as st
from protege.call import Call, Request
from protege.chat.sandbox import compiled
from protege.collect import json_files
from protege.collect.formats.registry import FORMATS
from protege.collect.importing import Skipped, _Reading
from protege.common.messages import correction_from
from protege.errors import BadCall, BadInput, BaseModelError, CannotRender, InvalidAnswer, TooLong
from protege.evaluate.graders import grader_for
from protege.gguf.header import read_header
from protege.redact import TYPES, RedactionPolicy, Redactor, find, polish
from protege.task import Task
from written import FORMS, RECORDS

TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=60)
"""Any characters, lone surrogates too."""
KEYS = st.sampled_from(
    [
        "id",
        "role",
        "content",
        "messages",
        "response",
        "choices",
        "message",
        "delta",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "type",
        "text",
        "parts",
        "input",
        "output",
        "usage",
        "correction",
        "feedback",
        "model",
        "tools",
        "spans",
        "attributes",
        "data",
        "info",
        "traj",
        "history",
        "query",
        "conversations",
        "from",
        "value",
        "request",
        "body",
        "custom_id",
        "result",
        "error",
        "object",
        "outputs",
        "inputs",
        "run_type",
        "run_id",
        "generations",
        "time",
        "finish_reason",
        "kwargs",
    ]
) | st.text(max_size=8)
NUMBERS = st.integers() | st.floats() | st.sampled_from([0, -1, 1 << 63, 1 << 64, 10**30, 1e308, 1_760_000_000_000])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)
DOCUMENTS = [json.dumps(document) for form in FORMS.values() for file in form.files(RECORDS[:4]) for document in file]


@st.composite
def documents(draw: st.DrawFn) -> Any:
    """A document of some form in which something else stands in one to three places; or anything."""
    if draw(st.integers(0, 9)) == 0:
        return draw(JSON)
    document = json.loads(draw(st.sampled_from(DOCUMENTS)))
    for _ in range(draw(st.integers(1, 3))):
        held: Any = document
        while True:
            keys = list(held) if isinstance(held, dict) else list(range(len(held)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if not isinstance(held[key], dict | list) or draw(st.integers(0, 4)) == 0:
                held[key] = draw(JSON | st.sampled_from(DOCUMENTS).map(json.loads))
                break
            held = held[key]
    return document


def _packed(data: bytes, how: int) -> bytes:
    if how == 1:
        return gzip.compress(data, 1)
    if how == 2:
        return zstandard.ZstdCompressor().compress(data)
    if how == 3:
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w") as archive:
            archive.writestr("a.jsonl", data)
        return held.getvalue()
    return data.decode("utf-8", "replace").encode("utf-16") if how == 4 else data


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A file of such documents, packed in some way, some bytes of which are others."""
    lines = [json.dumps(line) for line in draw(st.lists(documents(), min_size=1, max_size=4))]
    whole = "\n".join(lines) if draw(st.booleans()) else f"[{','.join(lines)}]"
    data = bytearray(_packed(whole.encode("utf-8", "surrogatepass"), draw(st.integers(0, 4))))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 3]))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.sampled_from([len(data), len(data), len(data) // 2]))])


def check_file(data: bytes) -> None:
    """Each line is a call or is named; a call is one that can be written and read again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.jsonl"
        path.write_bytes(data)
        try:
            json_files.check(path)
        except BadInput:
            return
        reading = _Reading(None)
        for item in reading.of([path]):
            if isinstance(item, Skipped):
                assert item.reason and len(item.reason) < 2000
            else:
                assert Call.from_record(item.to_record()) == item or item.correction is not None


def check_document(given: tuple[str, Any]) -> None:
    """A form that a person names takes anything."""
    name, document = given
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.jsonl"
        path.write_text(json.dumps(document))
        reading = _Reading(FORMATS.get(name))
        for item in reading.of([path]):
            assert isinstance(item, Call | Skipped)
        assert not {"RuntimeError", "RecursionError", "AssertionError"} & {aside.reason for aside in reading.asides}


def check_answer(value: Any) -> None:
    """What is not an answer is refused as one."""
    try:
        correction_from(value)
        Call.from_record({"messages": [{"role": "user", "content": "x"}], "response": value})
    except BadCall:
        pass


PERSONAL = st.sampled_from(
    [
        "ada@example.com",
        "+44 20 7946 0958",
        "4111 1111 1111 1111",
        "DE89 3704 0044 0532 0130 00",
        "44051401359",
        "536-90-4399",
        "203.0.113.9",
        "https://kim.example/a?b=1",
        "1985-02-03",
        "&#97;da&#64;example.com",
        "%61da%40example.com",
        "\\u0061da@example.com",
        "ａｄａ＠ｅｘａｍｐｌｅ．ｃｏｍ",
        "ssn",
        "phone",
        "name",
        "Herr Müller",
    ]
)
SENTENCES = st.lists(PERSONAL | TEXTS | st.sampled_from([" ", "\n", '"', "\\", "{", "}", ":"]), max_size=8).map("".join)
PEOPLE = st.dictionaries(
    st.sampled_from(["ssn", "email", "phone", "name", "city", "note", "id", "first_name", "dob", "pesel"]),
    st.recursive(SENTENCES | NUMBERS, lambda inner: st.lists(inner, max_size=3), max_leaves=5),
    max_size=4,
)
POLICY = RedactionPolicy(types=frozenset(TYPES), key="k", model=False)


def check_redaction(texts: list[str]) -> None:
    """Spans lie in the text; JSON stays JSON; the same text is redacted alike."""
    try:
        for text in texts:
            for span in (*find(text, POLICY), *polish.spans(text)):
                assert 0 <= span.start < span.end <= len(text)
        written = Redactor(POLICY, "c").redact(texts).texts
        assert Redactor(POLICY, "c").redact(texts).texts == written
    except TooLong:
        return
    for before, after in zip(texts, written, strict=True):
        if before[:1] == "{" and _is_json(before):
            assert _is_json(after), (before, after)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _gguf() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_name("Tiny")
        writer.add_context_length(512)
        writer.add_token_list(["a", "b", "<|im_end|>"])
        writer.add_chat_template("{{ messages }}")
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        return path.read_bytes()


GGUF = _gguf()


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    """A small GGUF file with other bytes in some places, cut off or going on."""
    data = bytearray(GGUF)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(4 if draw(st.integers(0, 9)) else 0, len(data) - 1))
        new = draw(st.binary(min_size=1, max_size=8) | st.sampled_from([b"\xff" * 8, b"\0" * 8, b"\x09\0\0\0"]))
        data[at : at + len(new)] = new
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


def check_header(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.gguf"
        path.write_bytes(data)
        with contextlib.suppress(BaseModelError):
            read_header(path)


PIECES = st.sampled_from(
    [
        "{% for m in messages %}",
        "{% endfor %}",
        "{% if m %}",
        "{% elif x %}",
        "{% else %}",
        "{% endif %}",
        "{{ m.content }}",
        "{{ messages[0]['role'] }}",
        "{% set x = x ~ x %}",
        "{% set ns = namespace(a=1) %}",
        "{% set ns.a = ns.a * 9 %}",
        "{{ x * 99999 }}",
        "{{ 'a' * 9 ** 9 }}",
        "{{ range(10 ** 9) | list }}",
        "{{ x | tojson }}",
        "{{ x.__class__ }}",
        "{% macro f(a) %}",
        "{{ f(1) }}",
        "{% endmacro %}",
        "{{ raise_exception('no') }}",
        "{{ '%999999999d' % 5 }}",
        "{{ x | replace('a', x) }}",
        "{{ x.split('') }}",
        "{{ 1 / 0 }}",
        "{{ ns.a ** ns.a }}",
        "{% raw %}",
        "{% endraw %}",
        "{{ '{:>999999999}'.format(5) }}",
        "{{ [x] * 99999999 }}",
        "{{ loop.index }}",
        "{{- x -}}",
        "{# c #}",
        "{{ self }}",
        "{% generation %}",
        "{{ strftime_now('%Y') }}",
        "{{ f(f) }}",
        "{% break %}",
        "{{ x[::-1] }}",
        "{{ x | join(x) }}",
    ]
)
TEMPLATES = st.lists(PIECES | TEXTS, max_size=12).map("".join)


def check_template(source: str) -> None:
    messages = [{"role": "user", "content": "a b"}, {"role": "assistant", "content": "c"}]
    try:
        text = compiled(source)(messages=messages, x="ab" * 20, tools=None, add_generation_prompt=True)
        assert isinstance(text, str)
    except CannotRender:
        pass


ANSWERS = (
    SENTENCES
    | JSON.map(lambda value: json.dumps(value, default=str))
    | st.sampled_from(
        [
            "select a from t where a = 1",
            "select count(*) from t group by",
            "with recursive",
            "1.200,50 EUR",
            "1e999",
            "```json\n{}\n```",
            "[CONTENT]x[/CONTENT]",
            "<think>x",
            '{"name":"f","arguments":{}}',
            "def f(): return 1",
        ]
    )
)
TASK = Task("t", "t", "text", tools=("f",), labels=("a", "b"))
GRADERS = ("exact", "label", "json", "json any order", "tool calls", "numbers", "spans", "text", "sql", "sql form")


def check_grades(given: tuple[str, str, str]) -> None:
    """A grader answers of any two texts, the same each time."""
    name, answer, teacher = given
    grader = grader_for(TASK, name).for_request(Request(({"role": "user", "content": "create table t (a int)"},)))
    try:
        found = grader.agree(answer, teacher)
        assert bool(found) is bool(grader.agree(answer, teacher))
        assert 0 <= grader.score(answer, teacher) <= 1
    except InvalidAnswer:
        pass


@dataclass(frozen=True)
class Target:
    """What is fuzzed."""

    inputs: st.SearchStrategy[Any]
    check: Callable[[Any], None]


TARGETS: Mapping[str, Target] = {
    "files": Target(files(), check_file),
    "formats": Target(st.tuples(st.sampled_from(sorted(FORMATS.names())), documents()), check_document),
    "answers": Target(documents() | JSON, check_answer),
    "redactor": Target(
        st.lists(SENTENCES | PEOPLE.map(lambda held: json.dumps(held)), min_size=1, max_size=3), check_redaction
    ),
    "gguf": Target(headers(), check_header),
    "templates": Target(TEMPLATES, check_template),
    "graders": Target(st.tuples(st.sampled_from(GRADERS), ANSWERS, ANSWERS), check_grades),
}
