"""A tagger copies the fields of an answer out of the prompt, and chooses the rest of it."""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from protege.call import Call
from protege.chat.prompt import as_messages, render
from protege.common.progress import Silent
from protege.curate import Curated, CurateSettings, curate
from protege.embedding import embedder_named
from protege.errors import NotClosed
from protege.heads import NGRAMS, Tagger, read
from protege.heads.head import Chosen
from protege.heads.tagger import NEVER, Field, best_paths, values_in
from protege.heads.tagger_file import MAGIC, to_bytes
from protege.heads.tokens import MOST_TOKENS, Told, told_of
from protege.specialist import Base
from protege.task import Task, Template, TemplatePart
from protege.testing.tuners import TunerConformance
from protege.tune import TuneSettings, tune
from protege.tune.methods import crf, tagger
from protege.tune.methods.head import Shown
from scipy.optimize import check_grad

FIRST = ("Anna", "Boris", "Chen", "Dina", "Emil", "Fatima", "Goran", "Hana", "Ivo", "Jana", "Kofi", "Lena")
LAST = ("Abel", "Brook", "Costa", "Dahl", "Evans", "Frost", "Gale", "Hart", "Ito", "Jung", "Klein", "Lund")
CITIES = ("Oslo", "New York", "São Paulo", "Rome", "El Paso", "Ghent", "Bad Ems", "Lima")


def booking(n: int) -> tuple[str, dict[str, Any]]:
    """A message and what it holds: a name, a city and a number of guests, some of them not."""
    chance = random.Random(n)
    name, city = f"{chance.choice(FIRST)} {chance.choice(LAST)}", chance.choice(CITIES)
    guests, when = chance.randrange(2, 90), f"{chance.randrange(1, 12)}:{chance.randrange(10, 59)}"
    texts = (
        (f"My name is {name}, we are {guests} and come to {city}.", (name, city, guests, None)),
        (f"A table in {city} at {when} please", (None, city, None, when)),
        (f"{guests} of us, booked by {name} at {when}", (name, None, guests, when)),
        ("Do you have a table?", (None, None, None, None)),
    )
    text, (who, where, count, at) = texts[n % 4]
    return text, {"who": who, "where": where, "guests": count, "at": at, "kind": "ask" if n % 4 == 3 else "book"}


def example(n: int, text: str, value: Any, **style: Any) -> Shown:
    return Shown(render(NGRAMS, as_messages([{"role": "user", "content": text}])), json.dumps(value, **style), str(n))


def taught(examples: list[Shown]) -> tuple[Tagger, dict[str, Any]]:
    settings = TuneSettings(method="tagger", embedder="none")
    return tagger.learnt([tagger.read(each) for each in examples], settings, Silent(), "t")


@pytest.fixture(scope="module")
def learnt() -> Tagger:
    return taught([example(n, *booking(n)) for n in range(160)])[0]


def test_it_copies_what_it_never_saw_and_chooses_the_rest(learnt: Tagger) -> None:
    right = [json.loads(learnt.answer(example(n, *booking(n)).prompt).text) == booking(n)[1] for n in range(1000, 1100)]
    assert sum(right) >= 95
    told = {field.place[-1]: (field.quoted, field.without) for field in learnt.fields}
    assert told == {name: (name != "guests", "null") for name in ("who", "where", "guests", "at")}
    chosen = learnt.answer(example(0, "My name is Zoë Quist, we are 12 and come to Lima.", {}).prompt)
    assert json.loads(chosen.text)["who"] == "Zoë Quist" and list(json.loads(chosen.text))[:3] == [
        "who",
        "where",
        "guests",
    ]
    assert -1 < chosen.logprobs[0] <= 0 and chosen.runners_up[0] <= chosen.logprobs[0]


def test_it_has_an_opinion_of_others_answers(learnt: Tagger) -> None:
    text, value = booking(1001)
    prompt = example(0, text, value).prompt
    same, other = (learnt.opinion(prompt, json.dumps(each)) for each in (value, {**value, "where": "Rome or so"}))
    assert same.agrees == 1 and same.logprob == pytest.approx(learnt.answer(prompt).logprobs[0], abs=0.01)
    assert other.agrees == 0.8 and other.logprob < -1
    for odd in ("", "no JSON", "[]", "{}", '{"a":' * 900 + "1" + "}" * 900, json.dumps([value] * 3)):
        assert learnt.opinion(prompt, odd).agrees == 0 and learnt.opinion(prompt, odd).logprob < -1
    assert learnt.opinion("no template", "x").logprob < 0


@pytest.mark.parametrize("text", ["{}", "Ask the teacher."])
def test_the_same_answer_without_values_is_as_likely_as_its_own(
    learnt: Tagger, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(Tagger, "answer", lambda *_: Chosen((text,), (-0.1,), (-3.0,), 1))
    assert learnt.opinion("", text) == (-0.1, 1.0)
    for other in ("", "Another.", '{"who": "Ann"}'):
        assert learnt.opinion("", other).agrees == 0 and learnt.opinion("", other).logprob < -1


@pytest.mark.parametrize("text", ["", " ", "\n\n", "😀" * 9_000, "a" * 70_000, "a b " * 9_000, "\ud800", "漢字" * 999])
def test_any_text_gets_an_answer_or_none(learnt: Tagger, text: str) -> None:
    chosen = learnt.answer(render(NGRAMS, as_messages([{"role": "user", "content": text}])))
    assert chosen.logprobs[0] <= 0 and (not chosen.text or set(json.loads(chosen.text)) >= {"who", "kind"})
    assert learnt.answer("no template").logprobs[0] <= 0
    assert len(told_of(text, "").spans) <= MOST_TOKENS


@pytest.mark.parametrize(
    "style",
    [{"ensure_ascii": False}, {"separators": (",", ":"), "ensure_ascii": False}, {"indent": 2, "ensure_ascii": False}],
)
def test_an_answer_is_written_as_the_teacher_writes(style: dict[str, Any]) -> None:
    rows = [
        example(n, f"I live in {CITIES[n % 8]} now", {"in": {"city": CITIES[n % 8]}, "n": 1}, **style)
        for n in range(40)
    ]
    learnt, figures = taught(rows)
    assert learnt.answer(rows[2].prompt).text == rows[2].answer and "São" in rows[2].answer
    assert figures["fields"] == ["in.city"] and figures["given"] == 1


def test_lists_and_missing_fields_and_tools_are_put_together() -> None:
    def call(n: int) -> tuple[str, Any]:
        chance = random.Random(n)
        names = chance.sample(FIRST, n % 3)
        if n % 2:
            return f"Invite {' and '.join(names) or 'nobody'}", {"name": "invite", "arguments": {"guests": names}}
        city = chance.choice(CITIES)
        return f"Fly {names[0] if names else 'me'} to {city}", {
            "name": "fly",
            "arguments": {**({"who": names[0]} if names else {}), "to": city},
        }

    learnt, _ = taught([example(n, *call(n)) for n in range(240)])
    right = [json.loads(learnt.answer(example(n, *call(n)).prompt).text) == call(n)[1] for n in range(2000, 2100)]
    assert sum(right) >= 95
    places = {field.place: (field.many, field.without) for field in learnt.fields}
    assert places[("arguments", "guests")][0] and places[("arguments", "who")] == (False, "missing")


def test_what_is_made_or_only_chosen_is_refused() -> None:
    with pytest.raises(NotClosed, match="no field is copied"):
        taught([example(n, f"word {n}", {"label": "a" if n % 2 else "b"}) for n in range(40)])
    with pytest.raises(NotClosed):
        taught([example(n, f"I am {FIRST[n % 12]}", {"n": FIRST[n % 12], "said": f"hm {n * n}"}) for n in range(40)])
    some = [example(n, f"I am {FIRST[n % 12]}", {"n": FIRST[n % 12], "m": "x"}) for n in range(12)]
    made = [example(n, "I am", {"n": f"made {n}", "m": "x"}) for n in range(3)]
    assert taught([*some, *some, *made])[1]["given"] == pytest.approx(24 / 27)


def test_a_value_that_does_not_fit_is_not_written() -> None:
    head = taught([example(n, *booking(n)) for n in range(40)])[0].chooser
    number = Field(("a", "n"), False, False, "missing")

    def written(rest: str, texts: list[str], field: Field = number) -> str:
        steps, none = np.zeros((4, 3), np.float32), np.zeros((0, 3), np.float16)
        return Tagger(head, (field,), (), 0, np.zeros(0, np.uint32), none, steps).written(rest, [texts])

    assert written('{"a": {}}', ["12"]) == '{"a": {"n": 12}}' and written("{}", ["1.5"]) == '{"a": {"n": 1.5}}'
    assert not any(
        written(*each) for each in (("{}", ["twelve"]), ("{}", ["NaN"]), ('{"a": [1]}', ["1"]), ("no", ["1"]))
    )
    assert written("no", []) == "no" and written('{"a": []}', []) == '{"a": []}'
    assert written("[]", ["1"], Field((3, "n"), False, True, "null")) == ""


@pytest.mark.parametrize(
    ("place", "quoted", "rest", "text"),
    [
        (("a", "b", "c"), True, '{"a": null}', "x"),
        (("a", "b"), True, "[1]", "x"),
        *((("a",), False, "{}", text) for text in ("123456789012345678901234", "1e999", "007", "NaN")),
    ],
)
def test_a_value_without_a_place_and_a_number_that_json_does_not_keep_give_no_answer(
    learnt: Tagger, place: tuple[str, ...], quoted: bool, rest: str, text: str
) -> None:
    one = replace(learnt, fields=(Field(place, many=False, quoted=quoted, without="null"),))
    assert one.written(rest, [[text]]) == ""


def test_tags_that_are_not_allowed_leave_a_sum_however_much_speaks_for_them() -> None:
    steps = np.where(crf.allowed_steps(3), 0.0, NEVER)
    path, best, second = best_paths(np.array([[0.0, 0.5, 900.0], [0.0, 0.0, 0.0]]), steps)
    assert path[0] == 1 and second <= best <= 0


def test_the_best_two_paths_and_their_sum_are_those_of_all_paths() -> None:
    chance = np.random.default_rng(5)
    odds, steps = chance.normal(size=(4, 5)), np.where(crf.allowed_steps(5), chance.normal(size=(6, 5)), -1e4)

    def weight(path: tuple[int, ...]) -> float:
        moves = zip((0, *(tag + 1 for tag in path)), path, strict=False)
        return sum(float(odds[t, tag]) for t, tag in enumerate(path)) + sum(float(steps[move]) for move in moves)

    every = sorted(((weight(path), path) for path in itertools.product(range(5), repeat=4)), reverse=True)
    total = np.logaddexp.reduce([w for w, _ in every])
    path, best, second = best_paths(odds, steps)
    assert tuple(path) == every[0][1]
    assert [best, second] == pytest.approx([every[0][0] - total, every[1][0] - total])


def test_the_slope_of_the_loss_is_its_slope() -> None:
    chance = random.Random(3)
    told = [told_of(" ".join(chance.choices("abcde", k=n)), "") for n in (1, 4, 2, 3, 4)]
    sequences = [crf.Tagged(one, [chance.choice((0, 1)) for _ in one.spans]) for one in told]
    vectors = np.random.default_rng(2).normal(size=(14, 2)).astype(np.float32)
    ends = np.cumsum([0, *(len(one.tags) for one in sequences)])
    sequences = [replace(one, vectors=vectors[a:b]) for one, a, b in zip(sequences, ends, ends[1:], strict=False)]
    hashes = crf._known(sequences, 40)
    batch, parts = crf.Batch(sequences, hashes, 3), [len(hashes), len(hashes) + 4]

    def loss(flat: Any) -> tuple[float, Any]:
        total, slope = batch.loss(crf.Weights(hashes, *np.split(flat.reshape(-1, 3), parts)))
        return total, np.vstack([slope.weights, slope.steps, slope.of_vectors]).ravel()

    at = np.random.default_rng(1).normal(size=3 * (len(hashes) + 4 + 2))
    assert check_grad(lambda x: loss(x)[0], lambda x: loss(x)[1], at) < 1e-4 * np.linalg.norm(loss(at)[1])


def test_words_are_known_by_their_vectors_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tagger, "gains", lambda gained: len(gained) == 12)
    settings = TuneSettings(method="tagger", embedder="packaged")
    rows = [example(n, *booking(n)) for n in range(60)]
    learnt, figures = tagger.learnt([tagger.read(each) for each in rows], settings, Silent(), "t")
    assert learnt.words is not None and figures["words_embedded"]
    again, by = read(to_bytes(learnt)), embedder_named("packaged")
    assert isinstance(again, Tagger) and again.taught_by == ("packaged", by.identity)
    seen = again.seen(rows[0].prompt, by, timeout_s=30)
    assert again.answer(rows[0].prompt, seen).text == rows[0].answer
    assert again.opinion(rows[0].prompt, rows[0].answer, seen).agrees == 1
    with pytest.raises(ValueError, match="another length"):
        again.seen(rows[0].prompt, Narrow(), timeout_s=30)
    with pytest.raises(TypeError, match="whole texts"):
        again.seen(rows[0].prompt, cast(Any, object()), timeout_s=30)
    with pytest.raises(ValueError):
        read(to_bytes(learnt).replace(b",384]", b",385]", 1))


def test_values_are_exchanged_where_what_agents_write_is_then_told_better() -> None:
    def lives(n: int, city: str) -> Shown:
        return example(n, f"{n % 7} years ago i moved to {city} with two dogs", {"city": city})

    rows = [tagger.read(lives(n, ("oslo", "rome")[n % 2])) for n in range(60)]
    unseen = [tagger.read(lives(n, "".join(random.Random(n).choices("abdegilmnorstu", k=6)))) for n in range(30)]
    settings = TuneSettings(method="tagger", embedder="none")
    plainly, figures = tagger.learnt(rows, settings, Silent(), "t", unseen[:9])
    learnt, chosen = tagger.learnt(rows, settings, Silent(), "t", unseen)
    assert (figures["exchanged"], chosen["exchanged"]) == (False, True)
    text, value = lives(3, "zagreb").prompt, {"city": "zagreb"}
    assert json.loads(learnt.answer(text).text) == value
    assert learnt.answer(text).logprobs[0] > plainly.opinion(text, json.dumps(value)).logprob
    [other] = tagger.exchanged([crf.Tagged(told_of("in New York 12!", ""), [0, 1, 2, 3, 0])], 1)
    assert other.told.text != "in New York 12!" and other.told.text[:3] == "in "
    assert [c.isupper() for c in other.told.text] == [c.isupper() for c in "in New York 12!"]


class Narrow:
    """An embedder of two numbers."""

    def embed(self, text: str, *, timeout_s: float) -> Any:
        return np.ones(2, np.float32)

    def embed_spans(self, text: str, spans: Any, *, timeout_s: float) -> Any:
        return np.ones((len(spans), 2), np.float32)


def test_tags_become_values() -> None:
    told = Told("a b c d", ((0, 1), (2, 3), (4, 5), (6, 7)), (), ())
    assert values_in(told, [1, 2, 0, 3], 2) == [["a b"], ["d"]]
    assert values_in(told, [1, 1, 2, 4], 2) == [["a", "b c"], ["d"]]


def test_the_file_is_the_same_each_time_and_is_checked(learnt: Tagger) -> None:
    body = to_bytes(learnt)
    again = read(body)
    assert isinstance(again, Tagger) and to_bytes(again) == body
    assert to_bytes(taught([example(n, *booking(n)) for n in range(160)])[0]) == body
    assert b"Anna" not in body and b"Oslo" not in body
    broken = [MAGIC, MAGIC + b"\2\0\0\0{}", body[:-9], body + b"x", body[:40], body.replace(b'"null"', b'"nil!"', 1)]
    for each in (*broken, body.replace(b'"version":1', b'"version":9', 1), body.replace(b'"marks":', b'"marks":9', 1)):
        with pytest.raises(ValueError):
            read(each)
    with pytest.raises(ValueError, match="out of bounds"):
        read(to_bytes(replace(learnt, fields=learnt.fields * 21)))


TASK = Task(
    id="t",
    name="bookings",
    kind="json",
    templates=(Template("s", (TemplatePart(0, "system", lines=("Read the booking.",)),)),),
)


@pytest.fixture(scope="module")
def curated() -> Curated:
    def recorded(n: int) -> Call:
        text, value = booking(n)
        messages = [{"role": "system", "content": "Read the booking."}, {"role": "user", "content": text}]
        response = {"role": "assistant", "content": json.dumps(value)}
        return Call.from_record({"id": f"{n:03}", "run": str(n), "messages": messages, "response": response})

    settings = CurateSettings(min_calibration=10, min_train=10, min_validation=8)
    return curate(TASK, [recorded(n) for n in range(100)], settings)


class TestTagger(TunerConformance):
    settings = TuneSettings(method="tagger", embedder="none")

    @pytest.fixture
    def curated(self, curated: Curated) -> Curated:
        return curated

    @pytest.fixture
    def task(self) -> Task:
        return TASK

    @pytest.fixture
    def base(self) -> Base:
        return NGRAMS


def test_labels_are_refused(tmp_path: Path, curated: Curated) -> None:
    with pytest.raises(NotClosed, match="tool calls or JSON"):
        tune(curated, replace(TASK, kind="label"), NGRAMS, tmp_path, TuneSettings(method="tagger", embedder="none"))
