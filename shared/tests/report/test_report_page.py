"""The page shows what was measured, runs nothing that came from a call, and is private."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
from protege.errors import BadInput, MissingDependency, WorkspaceError
from protege.evaluate import Bin, Confusion, FieldDifference, Reliability, Slice
from protege.measure.agents import EndToEnd, Paired, Runs
from protege.measure.ceiling import Ceiling
from protege.report import (
    Agreement,
    Certified,
    Doubted,
    Incident,
    Loss,
    OverTime,
    Period,
    Realised,
    ReportData,
    ShownExample,
    TaskReport,
    table,
    time_table,
    write_report,
)
from rich.console import Console

ATTACK = "</script><script>document.title='hacked'</script><img src=x onerror=\"document.title='hacked'\">"
HOURS = (
    Period(1.7e9, 80, 70, 0.9, 20, 1, 0.95, (0.7513, 0.9987), 0.0142),
    Period(1.7e9 + 3600, 40, 36, 0.925, 0, 0, None, (0.0, 1.0), 0.0073),
)
OVER_TIME = OverTime("hour", HOURS, Period(1.7e9, 120, 106, 0.908, 20, 1, 0.95, (0.7513, 0.9987), 0.0215))
LIVE = TaskReport(
    name="kind of entry",
    kind="label",
    calls=2600,
    state="live",
    reason="keeps 93% of its calls",
    node="clean_up/kind",
    specialist="kind-v1",
    base="SmolLM2",
    agreement=Agreement(0.968, 0.943, 0.984, 340, "exact label"),
    ceiling=Ceiling(0.98, 100, (0.93, 0.9976), True, 98, refused=2),
    doubted=Doubted(7, 450, ("c17", "c4")),
    certified=Certified(0.05, 0.05, 540, 0.9812, 502, 11, 1.0),
    specialist_latency_ms=41.2,
    cost_before_usd=0.2134,
    cost_after_usd=0.0121,
    tokens_before=312,
    tokens_after=25,
    realised=Realised(460, 431, 431, 9),
    judged=((0.99, True), (0.99, True), (0.8, False), (0.4, False)),
    losses=(Loss(10, 1.2), Loss(20, 0.4, 0.5)),
    examples=(
        ShownExample("right", "Entry: Anna", "person", "person", 0.99),
        ShownExample("wrong", "Entry: Baker", "person", "company", 0.98),
        ShownExample("handed back", "Entry: St. Mary", "address", "company", 0.4),
    ),
    passed_over=(("gemma", "its licence is not allowed"),),
    auroc=0.913,
    aurc=0.0123,
    reliability=Reliability((Bin(170, 0.81, 0.94, (0.89, 0.97)), Bin(170, 0.99, 1.0, (0.97, 1.0))), 0.0456, 0.0789),
    slices=(
        Slice("answer", "person", 200, 199, 0.995, (0.972, 0.9999)),
        Slice("node", "clean_up/kind", 140, 130, 0.929, (0.873, 0.965)),
    ),
    confusions=(Confusion("company", "person", 7),),
    fields=(FieldDifference("address.city", 120, 3, 2, 11),),
    worst=(ShownExample("wrong", "Entry: Chandler", "person", "trade name", 0.9973),),
    over_time=OVER_TIME,
)
WAITING = TaskReport("choose a tool", "tool_calls", 180, "teacher", "needs 34 more calibration calls")
DATA = ReportData(
    (LIVE, WAITING),
    3000,
    1.7e9,
    "/home/anna",
    "2 cores",
    "gpt-4.1: $2 a million",
    ("A stand-in.",),
    over_time=OVER_TIME,
    incidents=(Incident(1.7e9 + 60, "kind of entry", "kind-v1", "rolled back", "Audits disagree too often."),),
    end_to_end=EndToEnd(Runs(50, 43, 2.15), Runs(50, 42, 0.42)),
)


def page(tmp_path: Path, data: ReportData = DATA) -> str:
    return write_report(tmp_path / "reports" / "report.html", data).read_text()


def own(text: str) -> str:
    """The page without plotly's own source."""
    return re.sub(r"<script nonce=[^>]*>.*?</script>", "", text, flags=re.S)


def terminal(data: ReportData) -> str:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    console.print(table(data))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_page_shows_every_figure(tmp_path: Path):
    text = own(page(tmp_path))
    for figure in (
        "3,000",
        "81.2%",  # 2,600 of 3,000 calls, of which 431 of 460 are kept
        "$0.17",
        "96.8%",
        "94.3–98.4%",
        "n = 340",
        "98.0% of 100 calls asked again (93.0–99.8%, 2 refused); the best specialist's with it: 98.0% to 99.0%",
        "93.0%",
        "100.0%",
        "0.9812",
        "502 of 540 held-out calls kept, 11 of them wrong",
        "not measured → 41 ms",
        "$0.21 → $0.012",
        "312 → 25",
        "9 of 431 compared disagree (2.1%)",
        "needs 34 more calibration calls",
        "its licence is not allowed",
        "gpt-4.1: $2 a million",
        "A stand-in.",
        "AUROC 0.913, area under risk–coverage 0.0123, ECE 0.0456, Brier 0.0789",
        "90.8% of 120 calls kept; audited agreement 95.0% of 20 (75.1–99.9%)",
        "Figures by hour",
        "2023-11-14 23:13",
        "2023-11-14 22:14 kind-v1: rolled back. Audits disagree too often.",
        "43 of 50 runs succeed: 86.0% (73.3–94.2%); cost a success $0.05",
        "42 of 50 runs succeed: 84.0%",
        "-2.0 points of success with specialists (95% interval -16.4 to +12.4)",
        "address.city",
        "Entry: Chandler",
        "trade name",
    ):
        assert figure in text, figure
    for outcome in ("Right", "Wrong", "Handed back"):
        assert f">{outcome}</h3>" in text


def test_a_task_of_which_nothing_was_measured_is_shown(tmp_path: Path):
    data = ReportData((WAITING,), 180, 1.7e9)
    text = page(tmp_path, data)
    assert "needs 34 more" in text and "not measured" in text
    assert "Plotly" not in text, "no plot, so no 5 MB of plotly"
    assert "needs" not in terminal(data) and "choose a tool" in terminal(data)


def test_figures_that_are_none_one_by_one_are_shown(tmp_path: Path):
    for field in fields(TaskReport):
        if "None" in str(field.type):
            data = replace(DATA, tasks=(replace(LIVE, **{field.name: None}),))
            assert page(tmp_path, data) and terminal(data)
    uncertified = replace(LIVE, state="teacher", certified=Certified(0.05, 0.05, 300), realised=Realised(0, 0))
    data = replace(DATA, tasks=(uncertified,))
    assert "no threshold holds on 300 held-out calls" in page(tmp_path, data)
    assert data.share_kept == 0 and data.saved_usd is None


def test_an_empty_workspace_has_a_page(tmp_path: Path):
    data = ReportData((), 0, 1.7e9)
    assert "No task was found yet" in page(tmp_path, data)
    assert terminal(data)


def attacked() -> ReportData:
    examples = tuple(ShownExample(e.outcome, ATTACK, ATTACK, ATTACK, e.confidence) for e in LIVE.examples)
    task = replace(LIVE, name=ATTACK, reason=ATTACK, node=ATTACK, specialist=ATTACK, base=ATTACK, examples=examples)
    task = replace(
        task,
        passed_over=((ATTACK, ATTACK),),
        kind=ATTACK,
        worst=examples,
        slices=(replace(LIVE.slices[0], value=ATTACK), LIVE.slices[1]),
        confusions=(Confusion(ATTACK, ATTACK, 2),),
        fields=(FieldDifference(ATTACK, 5, 1),),
    )
    incidents = (Incident(1.7e9, ATTACK, ATTACK, ATTACK, ATTACK),)
    data = ReportData((task,), 3000, 1.7e9, ATTACK, ATTACK, ATTACK, (ATTACK,))
    return replace(data, incidents=incidents, over_time=OVER_TIME)


def test_text_from_calls_is_escaped_everywhere(tmp_path: Path):
    text = page(tmp_path, attacked())
    assert ATTACK not in text
    assert "<img" not in own(text)
    assert "document.title" in own(text)
    figures = re.search(r'id="figures">(.*?)</script>', text, flags=re.S)
    assert figures and not re.search(r"[<>&]", figures.group(1))


def test_the_page_asks_the_network_for_nothing(tmp_path: Path):
    text = page(tmp_path)
    assert "default-src 'none'" in text
    assert not re.search(r'(src|href)="(?!#)', own(text))


@pytest.mark.parametrize("suffix", [".html", ".json", ".md", ".JSON"])
def test_every_form_is_private_to_its_owner(tmp_path: Path, suffix: str):
    path = write_report(tmp_path / f"report{suffix}", DATA)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["report", "report.pdf", "report.html.txt"])
def test_another_suffix_is_refused_and_the_known_ones_are_named(tmp_path: Path, name: str):
    with pytest.raises(BadInput, match=r"\.html, \.json, \.md"):
        write_report(tmp_path / name, DATA)
    assert not list(tmp_path.iterdir())


def test_the_json_holds_every_figure_and_those_that_are_worked_out(tmp_path: Path):
    record = json.loads(write_report(tmp_path / "report.json", DATA).read_text())
    assert record["format"] == 1
    [live, waiting] = record["tasks"]
    assert record["share_kept"] == pytest.approx(2600 / 3000 * 431 / 460)
    assert live["certified"]["coverage"] == pytest.approx(502 / 540)
    assert live["slices"][0] == {
        "by": "answer",
        "value": "person",
        "n": 200,
        "agreed": 199,
        "agreement": 0.995,
        "interval": [0.972, 0.9999],
    }
    assert live["reliability"]["bins"][0]["n"] == 170
    assert waiting["certified"] is None and waiting["over_time"]["whole"] is None
    assert [p["kept"] for p in record["over_time"]["periods"]] == [70, 36]
    assert record["end_to_end"]["with"]["usd_a_success"] == pytest.approx(0.01)
    assert record["end_to_end"]["interval"][0] < 0 < record["end_to_end"]["interval"][1]
    empty = json.loads(write_report(tmp_path / "empty.json", ReportData((), 0, 1.7e9)).read_text())
    assert empty["end_to_end"] is None and empty["saved_usd"] is None


def test_the_markdown_shows_the_figures(tmp_path: Path):
    text = write_report(tmp_path / "report.md", DATA).read_text()
    for figure in (
        "| kind of entry | live | 2,600 | 96.8% | 94.3–98.4% |",
        "| 2023-11-14 23:13 | 40 | 36 | 92.5% | not measured |",
        "- 2023-11-14 22:14 kind-v1: rolled back. Audits disagree too often.",
        "| answer | person | 200 | 99.5% | 97.2–100.0% |",
        "| company | person | 7 |",
        "| address.city | 120 | 3 | 2 | 11 |",
        "```text\nEntry: Chandler\n```",
        "43 of 50 runs succeed",
    ):
        assert figure in text, figure
    assert write_report(tmp_path / "empty.md", ReportData((), 0, 1.7e9)).read_text().startswith("# ")


def test_where_a_ceiling_is_known_from_is_said(tmp_path: Path):
    recorded = replace(LIVE, ceiling=Ceiling(0.9, 30))
    text = page(tmp_path, replace(DATA, tasks=(recorded,)))
    assert "90.0% of 30 prompts that were recorded more than once" in text and "90.0% to 94.9%" in text
    other = replace(LIVE, ceiling=Ceiling(0.9, 30, (0.735, 0.979), True, 27, model="other", teachers=("gpt-4.1",)))
    text = page(tmp_path, replace(DATA, tasks=(other,)))
    assert "asked again of other, which did not answer them first" in text and "best specialist" not in text


def test_calls_whose_answers_look_wrong_are_named(tmp_path: Path):
    said = "7 of 450 training answers, most of all: c17, c4"
    assert said in page(tmp_path, DATA)
    assert said in write_report(tmp_path / "report.md", DATA).read_text()


def test_runs_on_the_same_cases_are_told_as_pairs(tmp_path: Path):
    without = Runs(50, 43, 2.15, 1800.0, 90, 0)
    with_ = Runs(50, 42, 0.42, 950.0, 91, 60, {"KeyError": 2})
    data = replace(DATA, end_to_end=EndToEnd(without, with_, Paired(40, 2, 3, 5)))
    text = own(page(tmp_path, data))
    for figure in (
        "a run takes 1,800 ms (median); specialists answer 0 of 90 calls",
        "specialists answer 60 of 91 calls; runs that raised: 2 KeyError",
        "of the same cases 2 succeed only with them and 3 only without (McNemar&#39;s exact p = 1)",
    ):
        assert figure in text, figure
    record = json.loads(write_report(tmp_path / "report.json", data).read_text())["end_to_end"]
    assert EndToEnd.from_record(record) == data.end_to_end


def test_nothing_from_a_call_is_markup_in_markdown(tmp_path: Path):
    text = write_report(tmp_path / "report.md", attacked()).read_text()
    outside = re.sub(r"^(`{3,})text\n.*?^\1$", "", text, flags=re.S | re.M)
    assert "document.title" in outside
    assert not re.search(r"(?<!\\)<", outside)
    fenced = ShownExample("wrong", "a\n````\n# b", "```", "x | y", 0.9)
    task = replace(LIVE, name="a|b\n# c [d](https://e.org) www.f.org", worst=(fenced,), confusions=())
    text = write_report(tmp_path / "other.md", replace(DATA, tasks=(task,))).read_text()
    assert "`````text\na\n````\n# b\n`````" in text
    assert "a\\|b \\# c \\[d\\](https\\://e.org) www\\.f.org" in text


def test_the_terminal_shows_days_and_incidents_as_they_are():
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    incident = replace(DATA.incidents[0], why="[red]why[/]\x1b[2J")
    console.print(time_table(OVER_TIME, (incident,)))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for figure in ("2023-11-14 22:13", "90.0%", "75.1–99.9%", "$0.014", "rolled back", "[red]why[/]"):
        assert figure in text, figure
    assert "\x1b[2J" not in text


def test_only_the_owner_can_read_it_and_a_new_one_replaces_the_old(tmp_path: Path):
    path = tmp_path / "report.html"
    path.write_text("old")
    path.chmod(0o644)
    assert write_report(path, DATA) == path
    assert path.stat().st_mode & 0o777 == 0o600
    assert "kind of entry" in path.read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="cannot be written"):
        write_report(tmp_path / "file" / "report.html", DATA)


def test_the_terminal_table_holds_the_same_figures():
    text = terminal(DATA)
    for figure in (
        "96.8%",
        "94.3–98.4%",
        "(98.0%)",
        "93.0%",
        "(100.0%)",
        "$0.21",
        "→ $0.012",
        "312",
        "→ 25",
        "93.7% kept",
        "81.2%",
    ):
        assert figure in text, figure


def test_the_terminal_table_shows_markup_and_control_characters_as_they_are():
    text = terminal(replace(DATA, tasks=(replace(LIVE, name="[red]x[/]\x1b[2Jy"),)))
    assert "[red]x[/]" in text
    assert "\x1b[2J" not in text


@pytest.mark.parametrize("data", [DATA, attacked()], ids=["usual", "attacked"])
def test_a_real_browser_draws_the_plots_without_an_error(
    browsed: Callable[[Path], tuple[str, str]], tmp_path: Path, data: ReportData
):
    document, log = browsed(write_report(tmp_path / "report.html", data))
    assert document.count('class="main-svg"') >= 8, log[-2000:]
    assert "CONSOLE" not in log
    assert "<title>Protégé report</title>" in document, "a script from a call ran"


def test_without_plotly_only_the_page_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "protege.report.page", None)
    monkeypatch.setitem(sys.modules, "plotly", None)
    assert write_report(tmp_path / "report.json", DATA).exists() and write_report(tmp_path / "report.md", DATA).exists()
    with pytest.raises(MissingDependency, match="plotly"):
        write_report(tmp_path / "report.html", DATA)


def test_what_people_corrected_is_told_apart(tmp_path: Path) -> None:
    counted = {"n": 7, "as_corrected": 4, "as_teacher": 2}
    example = ShownExample("wrong", "Entry: Chandler", "person", "trade name", 0.9, "company of people")
    task = replace(LIVE, corrected=12, corrections=counted, worst=(example,), examples=(example,))
    data = ReportData((task,), 400, 0.0)
    said = "12 calls; 7 held-out calls, answered 4 times as they say, 2 as the teacher, 1 otherwise"
    page, text = (write_report(tmp_path / f"report.{kind}", data).read_text() for kind in ("html", "md"))
    assert said in page and said in text and "company of people" in page and "company of people" in text
    assert data.to_record()["tasks"][0]["corrections"] == counted
    none = write_report(tmp_path / "none.md", ReportData((LIVE,), 400, 0.0)).read_text()
    assert "Corrected by people: none" in none
