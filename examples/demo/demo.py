"""The whole loop on real entries.

1. A LangGraph agent cleans up a contact list; `ChatProtege` around its model records every call.
2. `improve` finds the kinds of call that repeat, teaches each to a small model, and certifies when it may answer.
3. The agent runs again, unchanged, on entries it has not seen: specialists answer where they may, else the teacher.
4. It runs on some of these with specialists and without, and what it comes to is held against the published labels.

With published labels for a teacher nothing needs a key; `--teacher URL --model NAME` asks a real model instead.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import protege
import teacher
from agent import build
from inputs import Entry, inbox
from langchain_core.language_models import BaseChatModel
from protege.chat.answer import answer_text
from protege.cli.output import Bars
from protege.cluster import Assigner
from protege.evaluate.graders import grader_for
from protege.report import formatting, table
from protege.rollout import decide, price_as_of
from protege.serve.embedded.starting import background
from protege.store import Realised
from protege_langchain import ChatProtege
from rich.console import Console

UNSEEN = 0.06
"""The share of the entries that the agent sees only in its second run."""

COMPARED = 100
"""Of these, so many are run with specialists and without."""

WATCHED = "demo: watched"
"""Under this the workspace keeps how many entries the agent was watched on."""

STAND_IN = "The teacher is a stand-in: labels that people published with these entries, not a model."

console = Console()


def main() -> None:
    options = arguments()
    started = time.monotonic()
    if options.fresh:
        shutil.rmtree(options.home, ignore_errors=True)
    entries = inbox()
    cut = int(len(entries) * (1 - UNSEEN))
    seen, unseen = entries[:cut], entries[cut:]
    model = teacher.endpoint(options.teacher, options.model) if options.teacher else teacher.published(entries)
    if not options.teacher:
        console.print(f"{STAND_IN}\n")

    console.rule("1  Watching the agent", align="left")
    workspace = protege.Workspace(options.home)
    tell_teacher(workspace, options)
    if workspace.findings.remark(WATCHED) is None:
        run(seen, model, options.home, "Watching the agent")
        workspace.findings.save_remark(WATCHED, len(seen))
    console.print(f"{len(seen):,} entries, each a run of the agent; its calls are in {options.home}\n")

    console.rule("2  Learning its tasks", align="left")
    settings = protege.Settings(
        curate=protege.CurateSettings(
            calibration=0.3, test=0.08, max_train=options.train, max_held_out=options.held_out
        ),
        tune=protege.TuneSettings(minutes=options.minutes),
    )
    improvements = protege.improve(workspace, (), settings, Bars())
    names = {task.id: task.name for task in workspace.tasks()}
    for done in improvements:
        console.print(f"  {names[done.task_id]}: [bold]{done.decision}[/]. {done.reason}", highlight=False)

    console.rule("3  The same agent on entries it has not seen", align="left")
    before = workspace.count_calls()
    routed = any(specialist.answers for specialist in workspace.specialists())
    with background(options.home) if routed else nullcontext():
        run(unseen, model, options.home, "Running the agent again", routed=routed)
        protege.drain(workspace)
        again = list(workspace.calls())[before:]
        if routed and options.end_to_end:
            whole_agent(workspace, unseen[: options.end_to_end], model)
            if not options.teacher:
                console.print("  The stand-in teacher is always right here: its answers are the labels.\n")
    if not options.teacher:
        compare(workspace, again, teacher.Published(entries))
    report = protege.report.gather(workspace)
    page = protege.write_report(workspace.home / "reports" / "report.html", report)
    console.print(table(report))
    console.print(f"\nReport: {page}\n{(time.monotonic() - started) / 60:.1f} minutes.", highlight=False)


def tell_teacher(workspace: protege.Workspace, options: argparse.Namespace) -> None:
    """Say what the labels cost, which have no price, and that they are no model. As `protege policy --price-as`."""
    price_as = None if options.teacher else options.price_as
    if price_as_of(workspace) != price_as:
        decide(workspace, None, {"price_as": price_as})
    workspace.findings.save_stand_in(None if options.teacher else STAND_IN)


def run(entries: Sequence[Entry], model: BaseChatModel, home: Path, what: str, routed: bool = False) -> None:
    """The agent over these entries, two at a time. All that knows of Protégé is the model around its model."""
    router = protege.Router(home)
    if routed:
        router.wait_until_ready(60)  # an agent need not: until the engine is up, its teacher answers
    graph = build(ChatProtege(model, home=home, router=router))
    with Bars().step(what, len(entries)) as bar:
        for start in range(0, len(entries), 20):
            some = entries[start : start + 20]
            graph.batch([{"text": e.text, "tools": e.tools} for e in some], {"max_concurrency": 2})
            bar.advance(len(some))


def whole_agent(workspace: protege.Workspace, entries: Sequence[Entry], model: BaseChatModel) -> None:
    """The agent on each entry with specialists and without; it succeeds where all that it says is as published."""
    console.rule("4  The whole agent, with specialists and without", align="left")
    router = protege.Router(workspace.home)
    router.wait_until_ready(60)
    graph = build(ChatProtege(model, home=workspace.home, router=router))

    def succeeds(entry: Entry) -> bool:
        return as_published(graph.invoke({"text": entry.text, "tools": entry.tools}), entry)

    found = protege.compare_agents(workspace, succeeds, entries, progress=Bars())
    for who, ran in (("with specialists", found.with_specialists), ("teacher alone", found.without)):
        console.print(f"  {who}: {formatting.runs(ran)}", highlight=False)
    console.print(f"  {formatting.end_to_end(found)}", highlight=False)


def as_published(state: Mapping[str, Any], entry: Entry) -> bool:
    """Whether every field that the agent filled in is the label that people published, and none is missing."""
    if entry.tools:
        return state["call"] == entry.answers["assist"]
    fields = entry.answers.get("place") or entry.answers.get("name")
    return state["kind"] == entry.kind and state.get("fields") == fields


def compare(workspace: protege.Workspace, calls: Sequence[protege.Call], labels: teacher.Published) -> None:
    """Hold what specialists answered against the published labels, task by task, for the report."""
    assigner = Assigner(workspace.tasks())
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for call in calls:
        task = assigner.assign(call.request)
        if task is None or call.response is None:
            continue
        count = counts[task.id]
        count["calls"] += 1
        if not call.from_teacher:
            right = grader_for(task).agree(answer_text(call.response), answer_text(labels.answer(call.request)))
            count["kept"] += 1
            count["disagreements"] += not right
    for task_id, count in counts.items():
        kept = count["kept"]
        workspace.findings.save_realised(task_id, Realised(count["calls"], kept, kept, count["disagreements"]))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path(".protege-demo"), help="where everything is kept")
    parser.add_argument("--fresh", action="store_true", help="begin anew instead of going on where the last run ended")
    parser.add_argument("--teacher", metavar="URL", help="an OpenAI-compatible endpoint to ask instead of the labels")
    parser.add_argument("--model", default="gpt-4.1-mini", help="the model to ask there (key: OPENAI_API_KEY)")
    parser.add_argument("--price-as", default="gpt-4.1", help="the model whose list price the labels' tokens are given")
    parser.add_argument("--minutes", type=float, default=2.5, help="minutes of training a task at most")
    parser.add_argument("--held-out", type=int, default=400, help="calibration calls a task at most; test calls too")
    parser.add_argument("--train", type=int, default=900, help="training calls a task at most")
    parser.add_argument(
        "--end-to-end",
        type=int,
        metavar="N",
        help="unseen entries on which the whole agent is compared with and without specialists, 0 for none "
        f"(default: {COMPARED}; none with --teacher, which this would ask some {4 * COMPARED} times more)",
    )
    options = parser.parse_args()
    if options.end_to_end is None:
        options.end_to_end = 0 if options.teacher else COMPARED
    return options


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    main()
