"""Asking a specialist a whole split, through an engine that stands in memory."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from protege import Base, Request, Specialist, Task, Template
from protege.asking.ask import ask
from protege.asking.confidence import Scorer
from protege.asking.novelty import novelty_from
from protege.chat.answer import TO_TEACHER, taught_text
from protege.errors import EngineError
from protege.evaluate import answer_all, evaluate, judged_from, judged_to, rescored, with_corrections
from protege.evaluate.graders import grader_for
from protege.serve.engine import Completion
from protege.task import Example, Kind, TemplatePart

BASE = Base(
    name="tiny",
    path="tiny.gguf",
    sha256="0",
    format="gguf",
    architecture="llama",
    licence="Apache-2.0",
    context=512,
    chat_template="{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>",
    control_tokens=("<|user|>",),
)
SPECIALIST = Specialist(id="s1", name="colour-v1", task_id="colour", version=1, base=BASE, form="slots")
TASK = Task(
    id="colour",
    name="colour",
    kind="label",
    labels=("red", "blue"),
    templates=(Template("sig", (TemplatePart(0, "system", lines=("Say the colour.",)),)),),
)


class Engine:
    """Answers by a function of the prompt: a text, or an error to raise."""

    name = "memory"

    def __init__(self, answer: Callable[[str], str | Exception]) -> None:
        self.answer = answer
        self.prompts: list[str] = []

    def fingerprint(self, specialist: Specialist) -> str:
        return "f"

    def complete(self, specialist: Specialist, prompt: str, *, timeout_s: float) -> Completion:
        self.prompts.append(prompt)
        text = self.answer(prompt)
        if isinstance(text, Exception):
            raise text
        return Completion(
            text=text,
            token_logprobs=(math.log(0.9), math.log(0.5)),
            tokens=("a", "b"),
            finish_reason="length" if text.endswith("…") else "stop",
            input_tokens=7,
            output_tokens=2,
            latency_ms=12.0,
        )

    def close(self) -> None:
        pass


def rows(*texts: str, answer: str = "red", system: str = "Say the colour.") -> list[Example]:
    return [
        Example.from_row(
            {
                "id": f"c{i}",
                "run": "r",
                "request": json.dumps(
                    {"messages": [{"role": "system", "content": system}, {"role": "user", "content": text}]}
                ),
                "answer": answer,
                "signature": "sig",
            }
        )
        for i, text in enumerate(texts)
    ]


def test_a_right_answer_is_judged_with_its_confidence_and_figures() -> None:
    engine = Engine(lambda prompt: " red\n")
    (judged,) = answer_all(engine, SPECIALIST, TASK, rows("a rose"))
    assert (judged.call_id, judged.answer, judged.teacher) == ("c0", "red", "red")
    assert judged.agreed and judged.valid
    assert judged.confidence == pytest.approx(0.45)
    assert (judged.latency_ms, judged.input_tokens, judged.output_tokens) == (12.0, 7, 2)
    assert judged.prompt_preview == "a rose"
    assert engine.prompts == ["<|system|><|user|>a rose<|assistant|>"]


def test_to_say_what_a_person_or_the_teacher_says_is_to_agree_and_the_report_tells_them_apart() -> None:
    def corrected(answer: str, correction: str) -> Example:
        (example,) = rows(answer)
        messages = {"c0": {"role": "assistant", "content": correction}}
        return with_corrections([replace(example, answer="red")], messages)[0]

    examples = [corrected("blue", "blue"), corrected("red", "blue"), corrected("green", "blue"), *rows("red", "blue")]
    task = replace(TASK, labels=("red", "blue", "green"))
    said = iter(["blue", "red", "green", "red", "blue"])
    judged = answer_all(Engine(lambda prompt: next(said)), SPECIALIST, task, examples, parallel=1)
    assert [j.agreed for j in judged] == [True, True, False, True, False]
    assert [j.corrected for j in judged] == [True, False, False, None, None]
    assert judged_from(judged_to(judged)) == judged
    figures = evaluate(judged, grader_for(task))
    assert figures.corrected is not None and figures.score == 0.6
    assert (figures.corrected.n, figures.corrected.as_corrected, figures.corrected.as_teacher) == (3, 1, 1)
    assert figures.corrected.neither == 1 and evaluate(judged[3:], grader_for(task)).corrected is None
    broken = {"c0": {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}}
    assert with_corrections(rows("a"), broken)[0].correction == ""


def test_answers_come_in_the_order_of_the_rows_though_the_engine_answers_out_of_order() -> None:
    def answer(prompt: str) -> str:
        time.sleep(0.02 if "0" in prompt else 0)
        return "red"

    judged = answer_all(Engine(answer), SPECIALIST, TASK, rows(*(f"item {i}" for i in range(20))), parallel=4)
    assert [j.prompt_preview for j in judged] == [f"item {i}" for i in range(20)]


def test_what_cannot_be_kept_live_stays_in_as_not_valid() -> None:
    texts = {"a rose": "red", "never seen": "green", "cut": "red…", "nothing": " ", "slow": EngineError("Too slow.")}
    engine = Engine(lambda prompt: next(answer for text, answer in texts.items() if text in prompt))
    judged = answer_all(engine, SPECIALIST, TASK, rows(*texts, "ends the turn <|user|>"))
    assert [j.valid for j in judged] == [True, False, False, False, False, False]
    assert all(j.confidence is None and not j.agreed for j in judged[1:])
    assert len(engine.prompts) == 5  # control tokens never reach the engine


def test_another_wording_is_not_shown_to_the_specialist() -> None:
    engine = Engine(lambda prompt: "red")
    (judged,) = answer_all(engine, SPECIALIST, TASK, rows("a rose", system="Name the colour."))
    assert not judged.valid and engine.prompts == []


def test_an_engine_that_is_down_is_an_error_and_not_a_bad_specialist() -> None:
    engine = Engine(lambda prompt: EngineError("The engine is gone.", "Start it."))
    with pytest.raises(EngineError, match=r"in a row.*gone.*Start it"):
        answer_all(engine, SPECIALIST, TASK, rows(*("x" * 300)))
    assert len(engine.prompts) < 50
    with pytest.raises(EngineError):
        answer_all(engine, SPECIALIST, TASK, rows("only one"))


def test_no_rows_give_no_answers() -> None:
    empty = rows()
    assert answer_all(Engine(lambda prompt: "red"), SPECIALIST, TASK, empty) == []


def test_at_most_so_many_are_asked_at_a_time() -> None:
    lock, now, most = threading.Lock(), [0], [0]

    def answer(prompt: str) -> str:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.01)
        with lock:
            now[0] -= 1
        return "red"

    answer_all(Engine(answer), SPECIALIST, TASK, rows(*(str(i) for i in range(12))), parallel=3)
    assert most[0] == 3


def test_judged_answers_survive_json() -> None:
    judged = answer_all(Engine(lambda prompt: "red"), SPECIALIST, TASK, rows("a", "b"))
    assert judged_from(json.loads(json.dumps(judged_to(judged)))) == judged


def test_older_records_without_features_are_read_and_keep_their_confidence() -> None:
    judged = answer_all(Engine(lambda prompt: "red"), SPECIALIST, TASK, rows("a"))
    (record,) = judged_to(judged)
    del record["features"]
    (older,) = judged_from([record])
    assert older == replace(judged[0], features=None)
    assert rescored([older], Scorer.plain()) == [older]
    assert rescored([older], Scorer({"sum": 1.0}))[0].confidence == 0.0


def test_confidences_are_made_anew_as_the_scorer_would_have_given_them() -> None:
    data, engine = rows("a rose", "zebra", "never"), Engine(lambda prompt: "green" if "never" in prompt else "red")
    known = novelty_from(TASK, "slots", rows("a rose"))
    scorer = Scorer({"sum": 1.0, "novelty": -2.0}, 0.5, known)
    plain = answer_all(engine, SPECIALIST, TASK, data, scorer=Scorer.plain(known))
    scored = answer_all(engine, SPECIALIST, TASK, data, scorer=scorer)
    assert [j.confidence for j in plain] == [pytest.approx(0.45), pytest.approx(0.45), None]
    assert scored[0].confidence and scored[1].confidence and scored[0].confidence > scored[1].confidence
    assert rescored(plain, scorer) == scored and rescored(scored, Scorer.plain()) == plain


LOOP = "the order is late and " * 6


@pytest.mark.parametrize(
    ("kind", "text", "fault"),
    [
        ("label", "red…", "cut off"),
        ("label", "green", "invalid structure"),
        ("json", '{"a": ', "invalid structure"),
        ("text", "I'm sorry, but I can't help with that.", "refusal"),
        ("sql", "As an AI language model, I cannot write SQL.", "refusal"),
        ("text", "I'm sorry, but the ticket is not refundable.", ""),
        ("text", LOOP, "repetition"),
        ("text", "It came late. " + "no " * 12, "repetition"),
        ("text", "天空蓝" * 8, "repetition"),
        ("json", json.dumps({"note": LOOP}), "repetition"),
        ("json", json.dumps({"rows": [{"city": "Oslo", "stars": None}] * 30}), ""),
        ("text", "1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1", ""),
        ("text", "very, very, very, very good, and the very best of the very few that came", ""),
        ("label", LOOP.strip(), ""),  # a label that the teacher gave
    ],
)
def test_what_may_not_be_kept_is_found_whatever_the_confidence(kind: Kind, text: str, fault: str) -> None:
    task = replace(TASK, kind=kind, labels=("red", LOOP.strip()) if kind == "label" else ())
    request = Request(({"role": "system", "content": "Say the colour."}, {"role": "user", "content": "rose"}))
    answered = ask(Engine(lambda prompt: text), SPECIALIST, task, request, timeout_s=1)
    assert answered.fault == fault
    assert (answered.message is None) == (answered.confidence is None) == bool(fault)


def test_the_preview_is_short_and_shows_the_slots_only() -> None:
    (judged,) = answer_all(Engine(lambda prompt: "red"), SPECIALIST, TASK, rows("word " * 200))
    assert len(judged.prompt_preview) == 200
    assert "colour" not in judged.prompt_preview


def test_figures_of_a_real_split_come_together() -> None:
    engine = Engine(lambda prompt: "blue" if "sky" in prompt else "red")
    judged = answer_all(engine, SPECIALIST, TASK, rows("rose", "sky", "blood"))
    evaluation = evaluate(judged, grader_for(TASK), threshold=0.4)
    assert (evaluation.n, evaluation.agreed) == (3, 2)
    assert evaluation.kept and evaluation.kept.disagreed == 1
    json.dumps(evaluation.to_record())


def test_words_in_a_step_of_a_conversation_are_the_teachers():
    step = replace(TASK, kind="tool_calls", labels=(), state="after find")
    tools = ({"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}},)
    request = replace(rows("a")[0].request, tools=tools)
    for text, task, fault in (
        ("To the teacher.", step, "free text"),
        ("I found it.", step, "free text"),
        ("To the teacher.", replace(step, kind="text"), "free text"),
        ("I found it.", replace(step, kind="text"), ""),
        ("I found it.", replace(step, state=""), ""),
        ('{"name": "find", "arguments": {}}', step, ""),
    ):
        answered = ask(Engine(lambda prompt, text=text: text), SPECIALIST, task, request, timeout_s=1.0)
        assert answered.fault == fault and (answered.message is None) is bool(fault)
    assert taught_text(step, "I found it.") == TO_TEACHER
    assert taught_text(step, '{"name": "find"}') == '{"name": "find"}' and taught_text(TASK, "red") == "red"


def test_an_argument_that_is_made_up_is_never_kept():
    task = replace(TASK, kind="tool_calls", labels=())
    tools = ({"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}},)
    request = replace(rows("W12345")[0].request, tools=tools)
    copies = replace(SPECIALIST, copied=("find.id",))
    for specialist, order, fault in ((copies, "W12345", ""), (copies, "W99999", "made up"), (SPECIALIST, "W99999", "")):
        engine = Engine(lambda prompt, order=order: json.dumps({"name": "find", "arguments": {"id": order}}))
        assert ask(engine, specialist, task, request, timeout_s=1.0).fault == fault
    assert Specialist.from_record(json.loads(json.dumps(copies.to_record()))) == copies
