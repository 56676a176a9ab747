"""No prompt and no run stands in two parts; the held-out parts are a uniform sample."""

from __future__ import annotations

import functools
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from protege.call import Call, Request
from protege.curate import Curated, CurateSettings
from protege.curate import curate as curate_with
from protege.curate.split import turns_that_tell
from protege.redact import RedactionPolicy
from protege.task import Task, Template

curate = functools.partial(curate_with, policy=RedactionPolicy(types=frozenset(), model=False))
"""Without the search for personal data, which takes most of the time and finds names in words made by chance."""

TASK = Task(id="t1", name="open", kind="text", templates=(Template("s1"),))
COLOURS = ("red", "green", "blue", "black", "white", "grey", "pink", "brown")
SETTINGS = CurateSettings(min_calibration=1, min_train=1)


def call(number: int, *texts: str, run: str | None = None, answer: str = "yes") -> Call:
    roles = ("user", "assistant")
    messages = tuple({"role": roles[i % 2], "content": text} for i, text in enumerate(texts))
    response = {"role": "assistant", "content": answer}
    return Call(id=f"c{number:05}", request=Request(messages), response=response, run=run)


def parts_of(curated: Curated, column: str) -> dict[str, set[str]]:
    """Which parts each value of a column stands in."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, part in curated.parts.items():
        for value in part[column]:
            found[value].add(name)
    return found


def folded(request: str) -> str:
    return "".join(c for c in orjson.loads(request)["messages"][0]["content"].lower() if c.isalpha())


@pytest.mark.parametrize("seed", range(20))
def test_random_traffic_with_repeats_and_runs_never_leaks(seed: int):
    rng = random.Random(seed)
    letters = "abcdefghij"
    given = []
    for i in range(rng.randint(200, 900)):
        text = " ".join("".join(rng.choices(letters, k=4)) for _ in range(3))
        if given and rng.random() < 0.3:
            text = str(rng.choice(given).request.messages[0]["content"])
            text = rng.choice([text, text.upper(), f" {text}!", text.replace(" ", "  ")])
        run = f"r{rng.randrange(400)}" if rng.random() < 0.4 else None
        given.append(call(i, text, run=run))
    curated = curate(TASK, given, SETTINGS)
    prompts: dict[str, set[str]] = defaultdict(set)
    for request, parts in parts_of(curated, "request").items():
        prompts[folded(request)] |= parts
    assert all(len(parts) == 1 for parts in prompts.values())
    assert all(len(parts) == 1 for run, parts in parts_of(curated, "run").items() if run)
    assert all(len(parts) == 1 for parts in parts_of(curated, "id").values())
    assert len(curated.calibration) >= 0.27 * len(given) - 1


def test_the_turns_of_a_conversation_stand_together():
    given = []
    for i in range(200):
        opening = " ".join(
            random.Random(i).sample(["red", "green", "blue", "black", "white", "grey", "pink", "brown"], 5)
        ) + chr(97 + i)
        given.append(call(2 * i, opening))
        given.append(call(2 * i + 1, opening, "which size", "large"))
    curated = curate(TASK, given, SETTINGS)
    part = {i: next(iter(parts)) for i, parts in parts_of(curated, "id").items()}
    assert all(part[f"c{2 * i:05}"] == part[f"c{2 * i + 1:05}"] for i in range(200))


def test_the_answers_of_calibration_are_mixed_as_all_are():
    """Frequent prompts repeat, and repeats count: over many seeds the mean share is that of all calls."""
    rng = random.Random(7)
    given = []
    for i in range(800):
        repeats = 4 if i % 10 == 0 else 1
        text = "".join(rng.choices("abcdefghijklmnop", k=12))
        answer = "often" if repeats > 1 else "once"
        given.extend(call(10 * i + k, text, answer=answer) for k in range(repeats))
    whole = sum(c.response == {"role": "assistant", "content": "often"} for c in given) / len(given)
    for part in ("calibration", "test", "validation"):
        shares = []
        for seed in range(10):
            answers = curate(TASK, given, CurateSettings(seed=seed)).parts[part]["answer"]
            shares.append(Counter(answers)["often"] / len(answers))
        mean = sum(shares) / len(shares)
        error = (sum((s - mean) ** 2 for s in shares) / len(shares)) ** 0.5 / len(shares) ** 0.5
        assert abs(mean - whole) < 4 * error + 0.01


def test_held_out_parts_are_no_larger_than_their_cap():
    given = [call(i, "".join(random.Random(i).choices("abcdefghijklmnop", k=12))) for i in range(1500)]
    curated = curate(TASK, given, CurateSettings(max_held_out=100))
    assert [len(curated.calibration), len(curated.test), len(curated.validation)] == [100, 100, 75]


SPEAKERS = ("Human", "AI")
WORDS = tuple(
    f"{start}{end}" for start in ("par", "in", "re", "log", "pass") for end in ("cel", "voice", "fund", "word")
)


def conversation(number: int, shown: Callable[[list[str]], list[str]], answers: Callable[[int], str]) -> list[Call]:
    """Three turns of a conversation that were recorded without a run. shown: what its agent shows its model of them."""
    rng = random.Random(number)
    said: list[str] = []
    calls: list[Call] = []
    for turn in range(3):
        said.append(" ".join(rng.sample(WORDS, 8)))
        answer = answers(number + turn)
        calls.append(call(10 * number + turn, *shown(said), answer=answer))
        said.append(answer)
    return calls


@pytest.mark.parametrize(
    "shown",
    [
        lambda said: said,
        lambda said: said[-3:],
        lambda said: ["hello", "How can I help?", *said],
        lambda said: ["hello", "Hi. Your name?", "Ann", "How can I help?", *said],
        lambda said: [
            "hello",
            "How can I help?",
            *(text + " (seen)" if i % 2 else text for i, text in enumerate(said)),
        ],
        lambda said: ["So far:\n" + "\n".join(f"{SPEAKERS[i % 2]}: {text}" for i, text in enumerate(said))],
        lambda said: [
            "\n".join(f"**{SPEAKERS[i % 2]}:** {text}" for i, text in enumerate(said[:-1]))
            + f"\n\nQuestion: {said[-1]}"
        ],
        lambda said: [*said[:-1], f"(now 10:{len(said)}) {said[-1]}"],
    ],
    ids=[
        *("whole", "window", "greeting", "longer greeting", "answers that the agent changed"),
        *("written into one message", "the question apart", "with the time"),
    ],
)
def test_turns_of_one_conversation_without_a_run_stand_in_one_part(shown: Callable[[list[str]], list[str]]):
    calls = [c for number in range(100) for c in conversation(number, shown, lambda n: COLOURS[n % 3])]
    curated = curate(TASK, calls, SETTINGS)
    torn: dict[str, set[str]] = defaultdict(set)
    for call_id, parts in parts_of(curated, "id").items():
        torn[call_id[:-1]] |= parts
    assert len(torn) == 100
    assert all(len(parts) == 1 for parts in torn.values())
    assert min(len(part) for part in curated.parts.values()) >= 15


def test_short_turns_that_all_say_tie_no_conversations():
    calls = [
        call(10 * n + i, *texts)
        for n in range(100)
        for i, texts in enumerate((["yes"], ["yes", "Sure?", f"order {COLOURS[n % 8]} {WORDS[n % 15]} {n}"]))
    ]
    curated = curate(TASK, calls, SETTINGS)
    assert curated.provenance["counts"]["oversized"] <= 100  # those that only say "yes" are one prompt
    assert len(curated.parts["calibration"]) >= 15


def test_a_turn_that_stands_alone_tells_no_conversation():
    def telling(*turns: tuple[str, ...]) -> frozenset[str]:
        rows: Any = [SimpleNamespace(turns=each) for each in turns]
        return turns_that_tell(rows)

    assert telling(*(("what next?", f"answer {number}") for number in range(20))) == frozenset()
    assert "what next?" in telling(("what next?", "sleep", "and then?", "eat"), ("what next?", "sleep"))
