"""Every function of the loop that takes text from calls and files takes bounded time, whatever the text repeats.

That is import, discovery, curation, redaction, graders and reports.

The functions are found by introspection: a new one must be called here, or be named with the reason why not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from hostile import UNITS, check, forgotten, functions, in_the_loop_s, quietly
from protege.call import Call, Request
from protege.cluster import (
    answers,
    correct,
    document,
    drift,
    free,
    identity,
    naming,
    steps,
    survey,
    tally,
    templates,
    worth,
)
from protege.cluster.discovery import discover
from protege.cluster.wording import Wording
from protege.collect import correcting, draining, importing, json_files, json_lists, pricing
from protege.collect.formats import registry
from protege.curate import curation, near, noise, redacting, rows
from protege.evaluate import differences, judging, slices
from protege.evaluate.graders.llm_judge import LlmJudge
from protege.evaluate.graders.registry import grader_for, grader_names
from protege.evaluate.graders.sql import normal_form, one_place, parsing, schema
from protege.evaluate.graders.values import Rules, parsed
from protege.evaluate.judging import Judged
from protege.redact import (
    RedactionPolicy,
    countries,
    detect,
    folding,
    keys,
    leaves,
    matching,
    patterns,
    polish,
    scripts,
    writing,
)
from protege.redact.conversation import Redactor
from protege.redact.plausible import Read, plausible
from protege.report import markdown, plots
from protege.task import Task, Template, TemplatePart

ROOMS = ("collect", "cluster", "redact", "evaluate", "curate", "report")
FORMS = RedactionPolicy(model=False)
KINDS = ("label", "json", "tool_calls", "sql", "code", "text")
PART = (TemplatePart(0, "system", lines=("You name", "a colour.")),)
TASK = Task(id="t", name="t", kind="text", templates=(Template("s", PART, constant_tools=False),), centre={}, calls=1)


def asked(text: str) -> Request:
    return Request(({"role": "user", "content": text},))


def whole(text: str) -> str:
    """The text with halves of characters replaced: a file cannot hold them."""
    return text.encode("utf-8", "replace").decode()


def recorded(text: str, number: int = 0) -> dict[str, Any]:
    """The record of a call that has the text wherever a call has one."""
    use = {"id": "c", "type": "function", "function": {"name": "f", "arguments": text}}
    function = {"name": "f", "description": text, "parameters": {"properties": {text: {"description": text}}}}
    return {
        "id": f"i{number}",
        "run": "r",
        "time": 86_400.0 * number,
        "messages": [
            {"role": "system", "content": f"You name\n{text}\na colour."},
            {"role": "user", "content": text},
            {"role": "assistant", "content": None, "tool_calls": [use]},
            {"role": "tool", "tool_call_id": "c", "content": text},
        ],
        "response": {"role": "assistant", "content": text},
        "tools": [{"type": "function", "function": function}],
        "feedback": {"score": text},
    }


def called(text: str, number: int = 0) -> Call:
    return Call.from_record(recorded(text, number))


def asking(text: str) -> Call:
    """A call that has the text once."""
    messages = [{"role": "system", "content": "You name\na colour."}, {"role": "user", "content": text}]
    return Call.from_record({"id": "j", "messages": messages, "response": {"role": "assistant", "content": "red"}})


def judged(text: str) -> list[Judged]:
    one = Judged("a", text, text, f"{text}x", False, 0.5, True)
    return [one, replace(one, call_id="b", answer=f'{{"a":{json.dumps(text)}}}', teacher='{"a":1}')]


def read(tmp_path: Path, text: str) -> None:
    """A file that holds the text as one line, and as the content of a call."""
    file = tmp_path / "calls.jsonl"
    text = whole(text)
    file.write_bytes(f"{text}\n".encode() + orjson.dumps(recorded(text)))
    quietly(lambda: json_files.check(file))
    _ = list(json_files.documents(file))
    quietly(lambda: list(importing.read(file)))


def spans(text: str) -> dict[str, Any]:
    """An OpenTelemetry export with the text wherever the conventions have one."""
    names = ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.definitions", "gen_ai.operation.name")
    attributes = [{"key": name, "value": {"stringValue": text}} for name in names]
    event = {"name": "gen_ai.user.message", "attributes": attributes}
    return {
        "resourceSpans": [{"scopeSpans": [{"spans": [{"name": text, "attributes": attributes, "events": [event]}]}]}]
    }


def grouped(text: str) -> None:
    requests = [
        Request(({"role": "system", "content": text}, {"role": "user", "content": f"{n} {text}"})) for n in (0, 1)
    ]
    documents = document.documents_of([Wording.of(request) for request in requests])
    _ = templates.templates_for(requests, documents), identity.put_together([requests], [TASK])
    identity.identify([requests], [TASK])


def counted(text: str) -> None:
    counts = tally.Tally()
    counts.add(called(text))
    counts.label_texts()


def graded(name: str) -> Callable[[str], object]:
    grader = grader_for(TASK, name)

    def grade(text: str) -> None:
        grader.agree(text, f"{text}x")
        grader.agree(f"[{text}", f"```{text}```")

    return grade


def sql(text: str) -> None:
    """A comparison by rows too: its own budget is half a second, so hostile queries must not come so far."""
    grader = grader_for(TASK, "sql").for_request(asked("create table a (x int, y text)"))
    grader.agree(f"select x from a where y = '{text}'", f"select x from a where {text}")


def curated(text: str) -> None:
    quietly(lambda: curation.curate(TASK, [called("x"), asking(text)], None, FORMS))


def found_again(text: str) -> None:
    finder = matching.Finder()
    for form in (text[:50], *text.split()[:500], *re.findall(r"\w{1,9}", text[:4000])):
        finder.add(form, word=len(form) % 2 == 0)
    list(finder.matches(text))


def redacted(text: str) -> None:
    row = rows.row_from(TASK, called(text))
    if isinstance(row, rows.Row):
        _ = redacting.kept_words(TASK, [row]), redacting.redact([row], TASK, FORMS)


def in_every_form(text: str) -> None:
    """Documents of each form that hold the text wherever one may stand."""
    said, message = (
        {"role": "assistant", "content": text},
        {"role": "user", "content": [{"type": "text", "text": text}]},
    )
    request = {"model": text, "system": text, "messages": [message], "tools": [{"name": text, "input_schema": {}}]}
    answers: list[Any] = [
        text, said, [said], {"choices": [{"message": said, "finish_reason": text}]}, {"output": [said], "status": text},
        {"candidates": [{"content": {"parts": [{"text": text}]}}]}, {"role": "assistant", "content": [{"text": text}]},
        [{"choices": [{"delta": {"content": text, "tool_calls": [{"function": {"name": text}}]}}]}],
        [{"type": "message_start", "message": {}}, {"type": "content_block_delta", "delta": {"text": text}}],
    ]  # fmt: skip
    flat = {"llm.request.type": "chat", f"gen_ai.prompt.0.{text[:99]}": text, "gen_ai.prompt.0.content": text}
    inferred = {"openinference.span.kind": "LLM", "input.value": text, "output.value": text, text: text}
    documents: list[Any] = [
        recorded(text), spans(text), {"messages": [message], text: text}, {"messages": [message, said]}, text,
        *({"request": request, "response": answer} for answer in answers),
        *({"messages": [message], "completion": answer} for answer in answers),
        *({"context": {"trace_id": "t", "span_id": "s"}, "attributes": held} for held in (flat, inferred)),
        {"custom_id": text, "url": text, "body": request}, {"custom_id": text, "result": {"type": text}},
        {"object": "response", "id": text, "input": text, "output": []}, {"object": "chat.completion", "choices": [{}]},
        {"id": text, "type": "GENERATION", "usageDetails": text, "input": text, "output": text, "startTime": text},
        {"id": text, "run_type": "llm", "inputs": {"messages": [[message]]}, "outputs": {"generations": [said]}},
        {"call_type": "completion", "spend": 0, "messages": text, "response": f"[{text}", "startTime": 1.0},
        {"task_id": text, "termination_reason": text, "id": text, "messages": [message, {**said, "timestamp": text}]},
        {"text": f"<|im_start|>system\n<tools>{text}</tools><|im_end|><|im_start|>user\n{text}<|im_end|>" * 2},
        {"text": f"<|im_start|>user\n{text}<|im_end|><|im_start|>assistant\n<tool_call>{text}</tool_call><|im_end|>"},
        {"request_id": text, "request_created_at": text, "request_body": request, "response_body": text},
        {"traj": [message, said, message, said], "reward": 1},
        {"history": [message, said], "trajectory": [{"query": [message], "response": text}] * 20},
        {"info": {"assessments": [{"assessment_name": "expected_response", "expectation": {"value": text}}]},
         "data": {"spans": [{"span_id": text, "attributes": {"mlflow.spanType": "LLM", "mlflow.spanInputs": text,
                                                            "mlflow.spanOutputs": f'"{text}"'}}]}},
        {"id": text, "correction": answers}, {"run_id": text, "key": text, "correction": {"output": text}},
        {"name": text, "value": text, "dataType": "CORRECTION", "observationId": text},
        {"datasetId": text, "sourceObservationId": text, "expectedOutput": text},
        {"conversations": [{"from": "human", "value": text}, {"from": "function_call", "value": f"{{{text}"}]},
    ]  # fmt: skip
    for held in documents:
        quietly(lambda d=held: [list(f.read(u)) for f in (registry.format_of(d, KNOWN),) for u in f.units(d)], *ODD)


KNOWN = registry.formats()


ODD = (AttributeError, KeyError, TypeError, ValueError, RecursionError)
"""What an import sets aside with the record that raised it."""


CALLED: Mapping[str, Callable[[str], object]] = {
    "collect.correcting.with_correction": lambda text: correcting.with_correction({"feedback": [{"correction": text}]}),
    "collect.correcting.correction_in": lambda text: correcting.correction_in(
        [{"correction": text}, {"correction": 0}]
    ),
    "collect.correcting.masked_correction": lambda text: quietly(lambda: correcting.masked_correction(text)),
    "collect.draining.read_call": lambda text: quietly(lambda: draining.read_call(orjson.dumps(recorded(whole(text))))),
    "collect.formats.registry.format_of": in_every_form,
    "collect.formats.registry.parts_of": lambda text: registry.parts_of({"data": [called(text)]}),
    "collect.json_lists.items": lambda text: [
        list(json_lists.items(BytesIO(t.encode(errors="replace")), 10_000)) for t in (text, f"[{text}", f'["{text}')
    ],
    "collect.pricing.priced": lambda text: pricing.priced(replace(called("x"), model=text)),
    "cluster.answers.forms_of": lambda text: answers.forms_of([called(text), called(f"```\n{text}```")]),
    "cluster.correct.split": lambda text: quietly(lambda: correct.split([TASK], TASK, text)),
    "cluster.discovery.discover": lambda text: discover([called(text, n) for n in (0, 1)]),
    "cluster.drift.changes": lambda text: drift.changes([called(text, n) for n in (0, 40)], [TASK], {"i0": "t"}),
    "cluster.steps.step_name": lambda text: steps.step_name(text, f"after {text}", [text]),
    "cluster.templates.templates_for": grouped,
    "cluster.free.best": lambda text: free.best(set(text.split()), [{"a": 1.0}]),
    "cluster.naming.names_for": lambda text: naming.names_for([[text]], [(text,)], [[text]], [text]),
    "cluster.survey.survey": lambda text: survey.survey([called(text)]),
    "cluster.tally.Tally()": counted,
    "cluster.worth.weigh": lambda text: worth.weigh(TASK, [called(text, n) for n in (0, 1)], price_as=text),
    "cluster.worth.teacher_usd": lambda text: worth.teacher_usd(TASK, text),
    "redact.detect.find": lambda text: detect.find(text, FORMS),
    "redact.detect.finds": lambda text: detect.finds(leaves.leaves(json.dumps({text: [text]})), FORMS),
    "redact.folding.View()": lambda text: folding.View(text).part(0, len(text)).changed(re.compile("a"), lambda _: "b"),
    "redact.folding.folded": lambda text: folding.folded(folding.View(text)),
    "redact.folding.unescaped": lambda text: folding.unescaped(folding.View(text)),
    "redact.folding.without_accents": folding.without_accents,
    "redact.keys.said_by": lambda text: [
        keys.said_by(leaf, {text: "PERSON"}) for leaf in leaves.leaves(json.dumps({"name": text, text: {text: "x"}}))
    ],
    "redact.keys.words_of": keys.words_of,
    "redact.matching.Finder()": found_again,
    "redact.scripts.unread_script": scripts.unread_script,
    "redact.writing.edited": lambda text: writing.edited(text, [(i, i + 1, "x") for i in range(len(text))]),
    "redact.writing.written": lambda text: [
        writing.written(text, leaf, 0, len(leaf.text), text) for leaf in leaves.leaves(text)
    ],
    "redact.countries.spans": lambda text: list(countries.spans(text)),
    "redact.polish.spans": lambda text: (list(polish.spans(text)), list(polish.spans(f"Proszę, w {text}"))),
    "redact.polish.is_polish": lambda text: polish.is_polish(f"ł {text}"),
    "redact.patterns.spans": lambda text: list(patterns.spans(text, FORMS.types)),
    "redact.plausible.plausible": lambda text: [
        plausible(text, [Read(0, len(text), type_, 0.9)]) for type_ in ("PERSON", "PHONE_NUMBER", "ZIP_CODE")
    ],
    "redact.leaves.readable": leaves.readable,
    "redact.leaves.leaves": lambda text: [leaves.leaves(t) for t in (text, json.dumps([text]))],
    "redact.conversation.Redactor()": lambda text: Redactor(FORMS, "c").redact(
        [text, json.dumps({"a": text}), f"Anna anna@example.org {text}"]
    ),
    "curate.curation.curate": curated,
    "curate.redacting.redact": redacted,
    "curate.near.near_pairs": lambda text: near.near_pairs([text, f"{text}x"]),
    "curate.near.ends": near.ends,
    "curate.noise.noise_of": lambda text: noise.noise_of(called(text), noise.failed_tools([called(text)])),
    "curate.noise.failed_tools": lambda text: noise.failed_tools([called(text)]),
    "curate.noise.refusal_of": lambda text: noise.refusal_of({"content": text, "refusal": text}),
    "curate.noise.verdict": lambda text: noise.verdict({"score": text}),
    "curate.rows.row_from": lambda text: [rows.row_from(replace(TASK, kind=k), called(text)) for k in KINDS],
    "curate.rows.canonical": rows.canonical,
    "evaluate.differences.confusions": lambda text: differences.confusions(judged(text)),
    "evaluate.differences.field_differences": lambda text: differences.field_differences(judged(text)),
    "evaluate.differences.repeated_answers": lambda text: differences.repeated_answers(judged(text)),
    "evaluate.differences.tools_called": differences.tools_called,
    "evaluate.differences.fields": lambda text: [differences.fields(t) for t in (text, json.dumps({text: [text]}))],
    "evaluate.slices.slices": lambda text: slices.slices(judged(text)),
    "evaluate.judging.judged_from": lambda text: judging.judged_from(judging.judged_to(judged(text))),
    "evaluate.graders.sql.parsing.parse": lambda text: [parsing.parse(t) for t in (text, f"select {text}")],
    "evaluate.graders.sql.parsing.is_query": parsing.is_query,
    "evaluate.graders.sql.parsing.levels_in": parsing.levels_in,
    "evaluate.graders.sql.parsing.pieces_in": parsing.pieces_in,
    "evaluate.graders.sql.normal_form.normal_form": lambda text: normal_form.normal_form(f"select {text}"),
    "evaluate.graders.sql.one_place.one_place": lambda text: one_place.one_place(f"select {text}", text),
    "evaluate.graders.sql.schema.schema_in": lambda text: [
        schema.schema_in(t) for t in (text, f"create table a ({text})", f"a ({text})", f"create table a (x {text}")
    ],
    "evaluate.graders.values.parsed": parsed,
    "evaluate.graders.values.Rules()": lambda text: Rules(unordered=True, abs_tol=1).same([text], [f"{text}x"]),
    "evaluate.graders.llm_judge.LlmJudge()": lambda text: LlmJudge(lambda _: text).agree(text, "x"),
    "report.markdown.plain": markdown.plain,
    "report.plots.label": plots.label,
    **{f"evaluate.graders.{name}()": graded(name) for name in grader_names() if name != "code"},
}
ELSEWHERE = {
    "curate.rows.taught": "puts one field in the place of another",
    "collect.correcting.correct": "takes what a person writes; a home is needed",
    **{
        f"collect.formats.{name}": "called by in_every_form"
        for name in ("corrections", "mlflow", "helicone", "chatml", "trajectories", "tau2")
    },
    "collect.draining": "reads journals; what they hold is read_call's",
    "collect.importing": "see test_a_file_takes_bounded_time",
    "collect.journal": "frames bytes; what they hold is not read",
    "collect.json_files": "see test_a_file_takes_bounded_time",
    "collect.opening": "takes paths, and bytes of a fixed number",
    "collect.formats.base": "called by in_every_form",
    "collect.formats.calls": "called by in_every_form",
    "collect.formats.openai": "called by in_every_form",
    "collect.formats.otlp": "called by in_every_form",
    "collect.formats.otlp_messages": "called by in_every_form",
    "collect.formats.exchanges": "called by in_every_form",
    "collect.formats.langfuse": "called by in_every_form",
    "collect.formats.langsmith": "called by in_every_form",
    "collect.formats.litellm": "called by in_every_form",
    "collect.formats.sharegpt": "called by in_every_form",
    "collect.formats.figures": "called by in_every_form",
    "collect.formats.registry.formats": "takes no text",
    "cluster.answers": "compares shares",
    "cluster.assign": "held by test_hostile_text",
    "cluster.correct.merge": "joins two tasks",
    "cluster.correct.undivided": "takes tasks",
    "cluster.density": "takes what document makes, and is called by discover",
    "cluster.document": "called by grouped",
    "cluster.free": "takes words, and is called by discover",
    "cluster.identity": "called by grouped",
    "cluster.states": "held by test_hostile_text",
    "cluster.steps": "counts what state_of gives",
    "cluster.wording": "held by test_hostile_text",
    "cluster.worth.ranked": "sorts figures",
    "redact.conversation.redacted_text": "is a Redactor of one text",
    "redact.policy": "reads the user's own file",
    "redact.model": "read in windows by a model of fixed size; takes no part in this test",
    "redact.weights": "takes no text",
    "curate.curated": "writes files",
    "curate.retries": "called by curated; parses as rows.canonical does",
    "curate.near.components": "takes numbers",
    "curate.redacting.kept_words": "called by redacted",
    "curate.rows.has_structure": "calls message_from, held by test_hostile_text",
    "curate.split": "takes hashes",
    "evaluate.comparing": "takes figures",
    "evaluate.figures": "takes figures",
    "evaluate.fitting": "takes figures",
    "evaluate.reliability": "takes figures",
    "evaluate.judging": "asks engines",
    "evaluate.graders.code.sandbox": "has its own limits: test_sandbox",
    "evaluate.graders.code.sandboxed": "runs in the sandbox",
    "evaluate.graders.llm_judge": "asks a model",
    "evaluate.graders.registry": "takes names from the command line",
    "evaluate.graders.sql.data_sets": "takes trees, and is called by sql",
    "evaluate.graders.sql.execution": "has its own budget: test_sql",
    "evaluate.graders.sql.literals": "takes trees, and is called by sql",
    "evaluate.graders.sql.normal_form": "takes trees",
    "evaluate.graders.sql.parsing.quietly": "takes no text",
    "evaluate.graders.values.paired": "bounded by MOST_PAIRED",
    "report.examples": "is a Redactor",
    "report.exposition": "writes figures",
    "report.formatting": "writes figures",
    "report.gather": "reads the store",
    "report.thumbnails": "reads names by common.media and images, held by test_thumbnails",
    "report.map": "draws what discovery found",
    "report.map_plots": "places circles",
    "report.markdown.markdown": "writes what plain made",
    "report.page": "escaped by jinja2, held by test_report_page",
    "report.plots": "draws figures",
    "report.table": "writes figures",
    "report.tuning": "reads figures of tuning",
    "report.writing": "writes files",
}
TEXT = (*UNITS[:24], *UNITS[31:33], *UNITS[-3:])
CODE = ("x,", "-a", "not ", "a.", "a[", "f(", "[x for ", "lambda:", "f'{", "if x:\n ", "x\n", "1+", "**", "a=")
SQL = ("/*", "--", "--\n", "/**/", "x,", "1,", "not ", "case when ", "a and ", "f(", "union select ", "1+", "''")
DATA = ('{"a":{', "[1,", "null,", '"a":', "- a\n", "1. ", "$ ", "1 thousand ", "a:\n", "a (b,c)\n", "create table a (")
LAYOUT = ("\t", "\r\n", "\x00", "\ud800", "語", "。", "“", "Anna Kim ", "+1 ", "1.1.", "a@a.", "/home/a", "error: ")
ENDS = ("", "!", '"')
HEAVY = (
    "curate.curation", "cluster.discovery", "cluster.templates", "evaluate.graders.sql", "evaluate.graders.text",
    "redact.conversation", "redact.countries", "curate.near", "evaluate.graders.numbers",
)  # fmt: skip


def test_each_function_that_takes_text_is_called_here() -> None:
    unknown = forgotten(functions(*(f"protege.{room}" for room in ROOMS)), CALLED, ELSEWHERE)
    assert not unknown, "Add a call with hostile text, or the reason why there need not be one."


@pytest.mark.parametrize("name", CALLED)
def test_no_repetition_makes_it_slow(name: str) -> None:
    """What takes milliseconds for any text is given every third unit, to save time."""
    units = (*TEXT, *DATA, *LAYOUT)
    times = 4 if name.endswith("schema_in") else 1  # it is called four times
    chosen = units[::3] if name.startswith(HEAVY) else units
    check(CALLED[name], lambda text: times * in_the_loop_s(text), chosen, ENDS, tried=3)


@pytest.mark.parametrize(("work", "units"), [(graded("code"), CODE), (sql, SQL), (graded("sql"), SQL)])
def test_no_repetition_makes_a_grader_of_code_slow(work: Callable[[str], object], units: tuple[str, ...]) -> None:
    check(work, lambda text: 2 * in_the_loop_s(text), units, ENDS[:2], tried=3)  # two comparisons


def test_a_file_takes_bounded_time(tmp_path: Path) -> None:
    check(lambda text: read(tmp_path, text), in_the_loop_s, (*TEXT, *DATA, *LAYOUT)[::2], ENDS[:2], tried=2)
