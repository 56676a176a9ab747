"""Near-duplicates stand together; train keeps few of them, and input of any kind ends in a clear result."""

from __future__ import annotations

import base64
import functools
import random
import time
from collections import Counter, defaultdict
from dataclasses import replace

import orjson
import pytest
from protege.call import Attempt, Call, Request
from protege.curate import Curated, CurateSettings
from protege.curate import curate as curate_with
from protege.errors import NotEnoughCalls
from protege.redact import RedactionPolicy
from protege.task import Task, Template

curate = functools.partial(curate_with, policy=RedactionPolicy(types=frozenset(), model=False))
TASK = Task(id="t1", name="open", kind="label", templates=(Template("s1"),))
SMALL = CurateSettings(min_calibration=1, min_train=1, min_validation=1)
draw = random.Random(2)
WORDS = ["".join(draw.choices("abcdefghijklmnoprstuvwyz", k=draw.randint(3, 8))) for _ in range(2000)]


def sentence(seed: int, words: int = 25) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def call(number: int, text: str, answer: str = "yes", **fields: object) -> Call:
    request = Request(({"role": "user", "content": text},))
    response = {"role": "assistant", "content": answer}
    return Call(**{"id": f"c{number:06}", "request": request, "response": response, **fields})


def part_of(curated: Curated) -> dict[str, str]:
    return {i: name for name, part in curated.parts.items() for i in part["id"]}


def accounted(curated: Curated, given: list[Call]) -> bool:
    """Every call is in a part or has its reason, never both."""
    rejected = set(curated.provenance["rejected"])
    return not rejected & set(part_of(curated)) and rejected | set(part_of(curated)) == {c.id for c in given}


@pytest.mark.parametrize("seed", range(4))
def test_near_duplicates_stand_in_one_part(seed: int):
    given = [
        call(1000 * k + i, f"{sentence(i + 10_000 * seed)}{' please' * k}", f"{k}")
        for i in range(150)
        for k in range(3)
    ]
    curated = curate(TASK, given, replace(SMALL, seed=seed))
    parts = part_of(curated)
    by_family: dict[int, set[str]] = defaultdict(set)
    for i, part in parts.items():
        by_family[int(i[1:]) % 1000].add(part)
    assert len(parts) == 450
    assert all(len(names) == 1 for names in by_family.values())
    assert curated.provenance["duplicates"] == {"exact": 0, "near": 300, "largest": 3}
    assert accounted(curated, given)


def test_of_near_duplicates_with_one_answer_train_keeps_three_and_counts_the_others():
    given = [call(1000 * k + i, f"{sentence(i, 60)} {k}") for i in range(100) for k in range(8)]
    curated = curate(TASK, given, SMALL)
    families = Counter(int(i[1:]) % 1000 for i in curated.train["id"])
    assert set(families.values()) == {3}
    surplus = curated.provenance["dropped"]["train"]["near-duplicate with the same answer, above the cap"]
    assert surplus == 5 * len(families)
    assert {Counter(int(i[1:]) % 1000 for i in curated.calibration["id"])[f] for f in range(100)} == {0, 8}
    assert accounted(curated, given)


def test_near_duplicates_with_other_answers_all_stay():
    given = [call(1000 * k + i, f"{sentence(i, 60)} {k}", f"a{k}") for i in range(60) for k in range(8)]
    assert not curate(TASK, given, SMALL).provenance["dropped"]["train"]


def test_near_duplicates_come_back_where_train_would_be_too_small():
    given = [call(1000 * k + i, f"{sentence(i, 60)} {k}") for i in range(40) for k in range(10)]
    curated = curate(TASK, given, replace(SMALL, min_train=150))
    assert len(curated.train) == 150


def test_a_chain_of_near_duplicates_is_taken_apart_and_counted():
    """Each text is the last one with a word more in front and one less behind: near its neighbours alone."""
    words = sentence(1, 1040).split()
    given = [call(i, " ".join(words[i : i + 40])) for i in range(1000)]
    curated = curate(TASK, given)
    assert curated.provenance["counts"]["divided"] == 1000
    assert len(curated.calibration) >= 250
    assert accounted(curated, given)


def test_calls_of_one_template_are_divided_by_their_slots():
    wording = sentence(7, 200)
    given = [call(i, f"{wording}\n{sentence(i, 8)}") for i in range(1000)]
    counts = curate(TASK, given).provenance["counts"]
    assert (counts["divided"], counts["calibration"], counts["train"]) == (0, 270, 560)


def test_what_a_person_corrected_is_taught_in_place_of_what_the_teacher_said():
    """Also where the teacher failed, was marked wrong or a specialist answered; held-out calls keep the teacher's."""
    right = {"role": "assistant", "content": "refund"}
    kept = (Attempt("s", "kept", "kept"),)
    odd = {
        0: {"correction": right},
        1: {"correction": right, "feedback": False},
        2: {"correction": right, "response": None, "error": "TimeoutError"},
        3: {"correction": right, "attempts": kept},
        4: {"correction": right, "finish_reason": "length"},
        5: {"response": None, "error": "TimeoutError"},
        6: {"attempts": kept},
    }
    given = [call(i, sentence(i), "billing", **odd.get(i % 10, {})) for i in range(400)]
    given += [call(1000 + i, sentence(i), "billing", feedback=True) for i in range(0, 400, 10)]
    curated = curate(TASK, given, replace(SMALL, min_calibration=60))
    taught = {row["id"]: row["answer"] for row in curated.train.to_list()}
    assert {answer for i, answer in taught.items() if i.startswith("c0") and int(i[1:]) % 10 <= 4} == {"refund"}
    kinds = Counter(int(i[1:]) % 10 for i in taught if int(i[1:]) < 1000)
    assert all(kinds[kind] >= 15 for kind in range(5)) and not kinds[5] and not kinds[6]
    assert not any(int(i[1:]) >= 1000 for i in taught)  # the teacher's answer to a prompt that was corrected
    for name in ("validation", "calibration", "test"):
        rows = curated.parts[name].to_list()
        assert {row["answer"] for row in rows} == {"billing"} and not any("refund" in row["request"] for row in rows)
        assert not {2, 3} & {int(row["id"][1:]) % 10 for row in rows if int(row["id"][1:]) < 1000}
    assert "refund" not in "".join(curated.train["request"])
    assert curated.provenance["corrected"]["train"] == sum(answer == "refund" for answer in taught.values())
    plain = [replace(c, correction=None) for c in given]
    assert curate(TASK, plain, replace(SMALL, min_calibration=60)).hash != curated.hash


def test_what_feedback_marked_right_outweighs_the_majority():
    answers = ("order", "order", "refund")
    given = [
        call(1000 * k + i, sentence(i), a, feedback=True if a == "refund" else None)
        for i in range(80)
        for k, a in enumerate(answers)
    ]
    curated = curate(TASK, given, SMALL)
    assert set(curated.train["answer"]) == {"refund"}
    assert set(curated.provenance["dropped"]["train"]) == {"contradicts another answer to its prompt"}


def test_an_answer_that_no_more_than_half_give_stands_for_nothing():
    given = [call(1000 * k + i, sentence(i), a) for i in range(80) for k, a in enumerate("aabc")]
    with pytest.raises(NotEnoughCalls, match="contradicts"):
        curate(TASK, given, SMALL)


def test_the_size_cap_spares_rare_labels():
    given = [call(i, sentence(i), "rare" if i % 20 == 0 else "often" if i % 2 else "usual") for i in range(1000)]
    curated = curate(TASK, given, replace(SMALL, max_train=90))
    found = Counter(curated.train["answer"])
    assert sum(found.values()) == 90
    assert found["rare"] >= 25 and abs(found["often"] - found["usual"]) <= 1
    assert accounted(curated, given)


def test_filters_and_caps_leave_the_held_out_parts_as_they_are():
    plain = [call(i, sentence(i), f"{i % 3}") for i in range(600)]
    noisy = [replace(c, feedback=False) if i % 3 == 0 else c for i, c in enumerate(plain)]
    before, after = curate(TASK, plain, SMALL), curate(TASK, noisy, replace(SMALL, max_train=20, max_alike=1))
    for name in ("validation", "calibration", "test"):
        assert before.parts[name]["id"] == after.parts[name]["id"]


def test_provenance_tells_the_time_of_each_part_and_how_far_the_teacher_agrees_with_itself():
    given = [
        call(1000 * k + i, sentence(i), "a" if i % 2 else f"{k}", time=1e9 + i) for i in range(100) for k in range(2)
    ]
    provenance = curate(TASK, given, SMALL).provenance
    assert provenance["agreement"] == {"prompts": 100, "calls": 200, "share": 0.5}
    spans = provenance["times"]
    assert all(1e9 <= first <= last <= 1e9 + 99 for first, last in spans.values())
    assert curate(TASK, [call(i, sentence(i)) for i in range(100)], SMALL).provenance["times"]["train"] is None


@pytest.mark.parametrize("count", [1, 1000])
def test_one_call_and_a_thousand_times_the_same_end_in_what_is_missing(count: int):
    with pytest.raises(NotEnoughCalls) as raised:
        curate(TASK, [call(i, "where is my parcel") for i in range(count)])
    assert raised.value.missing > 0


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


ODD = {
    "5 MB": lambda i: f"{i} " + "lorem ipsum dolor sit amet " * 190_000,
    "base64": lambda i: base64.b64encode(random.Random(i).randbytes(300_000)).decode(),
    "zero bytes": lambda i: f"{i}\x00\x01\x02{sentence(i)}",
    "JSON of 100,000 levels": lambda i: f"{i} {nested(100_000)}",
    "no letters": lambda i: "?!" * i,
    "empty": lambda _: "",
}


@pytest.mark.parametrize("kind", list(ODD))
def test_odd_input_among_ordinary_calls_takes_bounded_time_and_is_accounted_for(kind: str):
    odd = [call(900 + i, ODD[kind](i)) for i in range(3)]
    given = [*(call(i, sentence(i)) for i in range(100)), *odd]
    start = time.process_time()
    curated = curate(TASK, given, SMALL)
    assert time.process_time() - start < 10
    assert accounted(curated, given)
    assert curated.provenance["counts"]["usable"] == 103


def deep(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "odd",
    [
        call(900, "broken \ud800 text"),
        call(900, "fine", "broken \udfff answer"),
        call(900, "fine", feedback=None, response={"role": "assistant", "content": "yes", "extra": deep(300)}),
        replace(call(900, "fine"), request=Request(({"role": "user", "content": "x"},), parameters={"x": deep(5000)})),
    ],
    ids=["surrogate in the prompt", "surrogate in the answer", "deep answer", "deep request"],
)
def test_what_no_file_can_hold_is_left_out_and_counted(odd: Call):
    curated = curate(TASK, [*(call(i, sentence(i)) for i in range(100)), odd], SMALL)
    assert curated.provenance["rejected"] == {"c000900": "content that no file can hold"}


def test_answers_and_histories_with_deep_arguments_are_accounted_for():
    task = replace(TASK, kind="tool_calls")
    function = {"name": "f", "arguments": '{"a":' + nested(900) + "}"}
    answer = {"role": "assistant", "tool_calls": [{"id": "1", "function": function}]}
    given = [replace(call(i, sentence(i)), response=answer) if i % 2 else call(i, sentence(i)) for i in range(100)]
    history = Request(({"role": "user", "content": "x"}, answer, {"role": "user", "content": "y"}))
    given.append(replace(call(900, ""), request=history))
    curated = curate(task, given, SMALL)
    assert accounted(curated, given)
    assert curated.provenance["dropped"]["all"] == {}  # a history is shown as it was written
    assert set(curated.train["answer"]) == {"yes"}


def test_the_calls_as_they_were_recorded_are_what_the_held_out_parts_hold():
    given = [call(i, f"{sentence(i)}  Ünïcödé!\n{i}") for i in range(100)]
    curated = curate(TASK, given, SMALL)
    asked = {c.id: c.request.messages[0]["content"] for c in given}
    for row in curated.calibration.to_list():
        assert orjson.loads(row["request"])["messages"][0]["content"] == asked[row["id"]]
