"""A smoke of benches that run the product for minutes: the same functions on toy calls."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCH = Path(__file__).parent / "bench"
SYSTEM = "Say which desk of the library takes the question."


@pytest.fixture
def change(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCH)
    return importlib.import_module("change")


@pytest.fixture
def kinds(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCH)
    return importlib.import_module("kinds")


def rows(n: int = 60, **fields: Any) -> list[dict[str, Any]]:
    return [
        {
            "task": "desks",
            "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"Book {i * 37}"}],
            "response": {"role": "assistant", "content": ("loans", "loans", "maps")[i % 3]},
            **fields,
        }
        for i in range(n)
    ]


@pytest.mark.parametrize(
    ("how", "answers", "teacher", "reworded"),
    [
        ("reworded", {"loans": "loans", "maps": "maps"}, "large-1", True),
        ("renamed", {"loans": "loans_other", "maps": "maps"}, "large-2", False),
        ("swapped", {"loans": "maps", "maps": "loans"}, "large-1", False),
    ],
)
def test_what_changes_and_what_does_not(
    change: ModuleType, how: str, answers: dict[str, str], teacher: str, reworded: bool
) -> None:
    story = change.story_of("desks", rows(), how, 60)
    before, after = story.asked[: story.changes_at], story.asked[story.changes_at :]
    said = {one["messages"][1]["content"]: one["response"]["content"] for one in rows()}
    assert len(before) == 36 and len(after) == 60
    assert all(asked.right == said[asked.messages[1]["content"]] and asked.teacher == "large-1" for asked in before)
    for asked in after:
        assert (asked.right, asked.teacher) == (answers[said[asked.messages[1]["content"]]], teacher)
        assert (asked.messages[0]["content"] != SYSTEM) == reworded


def test_a_mix_that_shifts_and_a_teacher_that_errs(change: ModuleType) -> None:
    story = change.story_of("desks", rows(300), "mixed", 300)
    before, after = story.asked[: story.changes_at], story.asked[story.changes_at :]
    share = [sum(asked.right == "loans" for asked in part) / len(part) for part in (before, after)]
    assert len(before) + len(after) == 300 and share[0] > 0.85 and share[1] < 0.4
    noisy = change.story_of("desks", rows(300), "noisy", 300)
    said = {one["messages"][1]["content"]: one["response"]["content"] for one in rows(300)}
    wrong = [asked.right != said[asked.messages[1]["content"]] for asked in noisy.asked[noisy.changes_at :]]
    assert 0 < sum(wrong) < 0.1 * len(wrong)


def test_rewordings_that_were_recorded_come_in_their_order_and_again(change: ModuleType) -> None:
    second = rows(5, template_version=2)
    story = change.story_of("desks", [*rows(20), *second], "reworded", 20)
    assert [a.messages for a in story.asked[story.changes_at :]][:6] == [r["messages"] for r in (*second, second[0])]


def test_calls_arrive_and_the_loop_runs_beside_them(change: ModuleType, tmp_path: Path) -> None:
    story = change.story_of("desks", rows(100), "swapped", 75)
    settings = change.Settings(tune=change.TuneSettings(method="head", embedder="none"), compete=False)
    change.live(tmp_path / "home", [story], settings, 0.1, 0.0)
    assert len(story.answered) == 120 and [one.calls for one in story.rounds] == [25, 25, 25, 25, 20]
    (improved,) = story.events
    assert (improved["after"], improved["what"]) == (100, "improved") and "60 and 100 are needed" in improved["why"]
    figures = change.figures_of(story)
    assert (figures.before, figures.handed_back, figures.again) == ("0.00, 0 wrong", 1.0, None)
    assert "desks" in change.line(story) and change.pictured({"swapped": [story]})["days"]


def test_what_a_kind_s_answers_are_made_of(kinds: ModuleType) -> None:
    answers = [
        f'[CONTENT]\n{{"desk": "loans", "book": "{i * 37}", "say": "made {i}"}}\n[/CONTENT]' for i in range(3, 63)
    ]
    asked = rows(63)[3:]
    told = [
        {**one, "response": {"role": "assistant", "content": said}} for one, said in zip(asked, answers, strict=True)
    ]
    kind = kinds.kind_of("desks", told)
    assert (kind.calls, kind.tasks, kind.output, kind.wrapped, kind.again) == (60, 1, "json", True, 0.0)
    assert kind.values == pytest.approx((1 / 3, 1 / 3, 1 / 3)) and kind.coverage == 0.0
    assert "60 and 100 are needed" in kind.said and "desks" in kinds.line(kind)
    assert kinds.kind_of("desks", rows()).again == 1.0
