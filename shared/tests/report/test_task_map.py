"""The map of the tasks shows what is expected, shows samples redacted or not at all, and runs nothing from a call."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from protege import Call, Task, Workspace
from protege.cluster.worth import Worth
from protege.errors import MissingDependency, WorkspaceError
from protege.report import Dot, Sample, TaskMap, draw_map, formatting, map, map_plots, worth_table, write_map
from rich.console import Console

ATTACK = "</script><script>document.title='hacked'</script><img src=x onerror=\"document.title='hacked'\">"
SORT = Dot(
    Task("t-1", "sort_entry", "label", nodes=(("desk", "sort"),), calls=4000, input_tokens=312.0, output_tokens=2.0),
    Worth(
        "t-1",
        4000,
        0.9,
        ("3 labels",),
        requests_seen_before=0.25,
        calls_a_month=9000.0,
        cost_usd=0.001234,
        saving_usd=0.0011,
        saving_tokens=280.0,
    ),
    (Sample("Entry: Enzo Rivera", "person"),),
)
WRITE = Dot(
    Task("t-2", "write_letter", "text", calls=50),
    Worth("t-2", 50, 0.0, ("Free text: no exact comparison.",)),
)
DATA = TaskMap((SORT, WRITE), 1.7e9)


def page(tmp_path: Path, data: TaskMap = DATA) -> str:
    return write_map(tmp_path / "maps" / "map.html", data).read_text()


def own(text: str) -> str:
    """The page without plotly's own source."""
    return re.sub(r"<script nonce=[^>]*>.*?</script>", "", text, flags=re.S)


def test_the_page_tells_of_every_task(tmp_path: Path):
    text = own(page(tmp_path))
    for said in (
        "4,050 calls in 2 tasks",
        "about $9.90 a month could be saved",
        "desk / sort",
        "$9.90 a month",
        "0.9 estimated",
        "3 labels",
        "9,000 a month",
        "312 in, 2 out",
        "$1.23",
        "25% of requests",
        "Entry: Enzo Rivera",
        "Free text: no exact comparison.",
        "no price known",
        "How these figures are estimated",
    ):
        assert said in text, said


def test_an_empty_workspace_has_a_page(tmp_path: Path):
    text = page(tmp_path, TaskMap((), 1.7e9))
    assert "No task was found yet" in text and "Plotly" not in text


def test_savings_are_told_in_what_is_known():
    worth = SORT.worth
    assert formatting.saving(worth) == "$9.90 a month"
    assert formatting.saving(replace(worth, calls_a_month=None)) == "$1.10 in 1,000 calls"
    assert formatting.saving(replace(worth, saving_usd=None)) == "2,500,000 tokens a month"
    assert formatting.saving(replace(worth, saving_usd=None, calls_a_month=None)) == "280,000 tokens in 1,000 calls"
    assert formatting.saving(replace(worth, saving_usd=1.0)) == "$9,000 a month"
    assert formatting.saving(WRITE.worth) == "–"


def test_the_terminal_shows_them_in_eighty_columns_and_no_markup():
    console = Console(file=io.StringIO(), width=80, color_system=None)
    task = replace(SORT.task, name="[red]x[/]\x1b[2Jy")
    console.print(worth_table([(task, SORT.worth), (WRITE.task, WRITE.worth)]))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for said in ("[red]x[/]", "4,000", "9,000", "$1.23", "25%", "0.9", "$9.90", "label: 3 labels", "text: Free text"):
        assert said in text, said
    assert "\x1b[2J" not in text


# Samples


SECRET = "sk-" + "proj-4f9Qz8LmN2xV7bTcR1yKpW3sHd6GjA0e"


def workspace_of(tmp_path: Path, *texts: str) -> tuple[Workspace, Task]:
    workspace = Workspace(tmp_path / "home")
    answer = {"role": "assistant", "content": "to Anna Kim"}
    messages = [[{"role": "user", "content": text}] for text in texts]
    calls = [Call.from_record({"id": str(n), "messages": said, "response": answer}) for n, said in enumerate(messages)]
    workspace.add_calls(calls)
    task = Task("t-1", "mail", "json", calls=len(calls))
    workspace.save_tasks([task], {call.id: task.id for call in calls})
    return workspace, task


def drawn(tmp_path: Path, *texts: str) -> TaskMap:
    workspace, task = workspace_of(tmp_path, *texts)
    return draw_map(workspace, [task], [Worth(task.id, task.calls, 0.4, ("new",))])


@pytest.fixture
def redactor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map, "_redactor", lambda workspace: lambda text: text.replace("Anna Kim", "Enzo Rivera"))


@pytest.mark.usefixtures("redactor")
def test_samples_are_redacted_in_question_and_answer(tmp_path: Path):
    data = drawn(tmp_path, "Write to Anna Kim", "Call Anna Kim")
    assert [s.asked for s in data.dots[0].samples] == ["Write to Enzo Rivera", "Call Enzo Rivera"]
    assert {s.answered for s in data.dots[0].samples} == {"to Enzo Rivera"}
    assert "Anna" not in page(tmp_path, data) and not data.note


@pytest.mark.usefixtures("redactor")
def test_samples_hold_no_secret_are_cut_and_differ(tmp_path: Path):
    data = drawn(tmp_path, f"my key: {SECRET}", *["same"] * 5, "long " * 3000)
    asked = [s.asked for s in data.dots[0].samples]
    assert len(asked) == len(set(asked)) == 3
    assert "masked" in asked[0] and SECRET not in page(tmp_path, data)
    assert asked[2].endswith("…") and len(asked[2]) < 400


def test_what_is_installed_for_it_redacts_the_samples(tmp_path: Path):
    redact = pytest.importorskip("protege.redact")
    try:
        redact.redacted_text("Anna Kim")
    except Exception as error:  # noqa: BLE001 - its own tests say what is wrong with it
        pytest.skip(f"nothing redacts here: {error}")
    [sample] = drawn(tmp_path, "Please write to Anna Kim at anna.kim@gmail.com today.").dots[0].samples
    assert "Please write to" in sample.asked
    assert not {"Anna", "Kim", "anna.kim@gmail.com"} & {*re.findall(r"[\w.@]+", f"{sample.asked} {sample.answered}")}


def test_where_nothing_redacts_no_sample_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def missing(*_: object, **__: object) -> None:
        raise ImportError("onnxruntime")

    monkeypatch.setattr(map.redact, "load_policy", missing)
    data = drawn(tmp_path, "Write to Anna Kim")
    assert not data.dots[0].samples and "not installed" in data.note
    assert "Anna" not in page(tmp_path, data) and "No samples" in page(tmp_path, data)


def test_where_redacting_fails_no_sample_is_shown_and_the_page_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(text: str) -> str:
        raise MissingDependency("onnxruntime", "discover")

    monkeypatch.setattr(map, "_redactor", lambda workspace: fail)
    data = drawn(tmp_path, "Write to Anna Kim")
    assert not data.dots[0].samples and "onnxruntime" in data.note
    assert "Anna" not in page(tmp_path, data)


@pytest.mark.usefixtures("redactor")
def test_only_what_the_teacher_answered_is_a_sample(tmp_path: Path):
    workspace, task = workspace_of(tmp_path, "asked the teacher")
    request = next(iter(workspace.calls())).request
    workspace.add_calls([Call(id="failed", request=request, error="timeout")])
    workspace.save_tasks([task], {"failed": task.id})
    [dot] = draw_map(workspace, [task], [Worth(task.id, 2, 0.4, ("new",))]).dots
    assert [sample.asked for sample in dot.samples] == ["asked the teacher"]


def test_a_companys_own_pattern_is_redacted_and_a_policy_that_cannot_be_read_shows_nothing(tmp_path: Path):
    pytest.importorskip("protege.redact")
    workspace, task = workspace_of(tmp_path, "customer K-123456 called")
    (workspace.home / "redaction.toml").write_text("model = false\n[patterns]\nCUSTOMER = 'K-[0-9]{6}'\n")
    worths = [Worth(task.id, 1, 0.4, ("new",))]
    [sample] = draw_map(workspace, [task], worths).dots[0].samples
    assert "K-123456" not in sample.asked and sample.asked.endswith("called")
    (workspace.home / "redaction.toml").write_text("no toml")
    data = draw_map(workspace, [task], worths)
    assert not data.dots[0].samples and "redaction.toml" in data.note


# The plot


def test_dots_stand_apart_and_names_over_nothing():
    points = [(400.0, 200.0)] * 8 + [(100.0, 100.0)]
    placed = map_plots.arrange(points, [20.0] * 9, [12] * 9)
    assert len({(p.x, p.y) for p in placed}) == 9
    assert placed[8].side == "middle right" and (placed[8].x, placed[8].y) == (100.0, 100.0)
    boxes = [map_plots._name_box(p, p.side, 12) for p in placed if p.side]
    assert boxes and all(map_plots._is_free(box, [b for b in boxes if b is not box]) for box in boxes)


def test_many_tasks_of_one_place_can_be_drawn():
    dots = tuple(replace(SORT, task=replace(SORT.task, id=f"t-{n}")) for n in range(60))
    assert sum(len(trace["x"]) for trace in map_plots.map_plots(TaskMap(dots, 0))["map"]["data"]) == 60


@pytest.mark.parametrize(
    ("known", "title"),
    [
        ({}, "teacher's cost a month, US dollars"),
        ({"calls_a_month": None}, "teacher's cost of the calls watched, US dollars"),
        ({"cost_usd": None}, "tokens of the calls watched"),
        ({"cost_usd": 0.0}, "tokens of the calls watched"),
    ],
)
def test_the_height_is_the_cost_where_it_is_known_of_all(known: dict[str, object], title: str):
    other = replace(SORT, worth=replace(SORT.worth, **known))
    figure = map_plots.map_plots(TaskMap((SORT, other), 0))["map"]
    assert figure["layout"]["yaxis"]["title"]["text"] == title


# Safety


def attacked() -> TaskMap:
    first = Dot(
        replace(SORT.task, name=ATTACK, nodes=((ATTACK,),)),
        replace(SORT.worth, why=(ATTACK,)),
        (Sample(ATTACK, ATTACK),),
    )
    return TaskMap((first, replace(WRITE, task=replace(WRITE.task, name="<b>x</b>"))), 1.7e9, ATTACK)


def test_text_from_calls_is_escaped_everywhere(tmp_path: Path):
    text = page(tmp_path, attacked())
    assert ATTACK not in text and "<img" not in own(text)
    assert "document.title" in own(text)
    figures = re.search(r'id="figures">(.*?)</script>', text, flags=re.S)
    assert figures and not re.search(r"[<>&]", figures.group(1))


def test_the_page_asks_the_network_for_nothing_and_is_its_owners(tmp_path: Path):
    text = page(tmp_path)
    assert "default-src 'none'" in text and not re.search(r'(src|href)="(?!#)', own(text))
    assert (tmp_path / "maps" / "map.html").stat().st_mode & 0o777 == 0o600


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="cannot be written") as raised:
        write_map(tmp_path / "file" / "map.html", DATA)
    assert "--html" in raised.value.remedy


POINTER = """
const dot = document.querySelectorAll("#map .scatterlayer .point")[1].getBoundingClientRect();
const at = { clientX: dot.x + dot.width / 2, clientY: dot.y + dot.height / 2, bubbles: true };
document.querySelector("#map .nsewdrag").dispatchEvent(new MouseEvent("mousemove", at));
"""


def test_in_a_real_browser_the_pointer_tells_of_a_task_and_nothing_from_a_call_runs(
    browsed: Callable[[Path], tuple[str, str]], tmp_path: Path
):
    path = write_map(tmp_path / "map.html", attacked())
    text = path.read_text()
    nonce = re.search(r'<script nonce="([^"]+)"', text)
    assert nonce
    path.write_text(text.replace("</body>", f'<script nonce="{nonce[1]}">{POINTER}</script></body>'))
    document, log = browsed(path)
    assert 'class="main-svg"' in document, log[-2000:]
    assert "CONSOLE" not in log
    assert 'id="told-0" hidden=""' in document and 'id="told-1">' in document, "the second task is told of"
    assert "<title>Protégé tasks</title>" in document, "a script from a call ran"
