"""The whole loop on real entries.

1. A LangGraph agent cleans up a contact list; `ChatProtege` around its model records every call.
2. `improve` finds the kinds of call that repeat, teaches a small model each, and certifies when it may answer.
3. The agent runs again, unchanged, on entries it has not seen: specialists answer where they may, the teacher elsewhere.

With published labels for a teacher nothing needs a key; `--teacher URL --model NAME` asks a real model instead.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import teacher
from agent import build
from inputs import Entry, inbox
from langchain_core.language_models import BaseChatModel
from protege import Workspace, flywheel
from protege.cli.output import Bars
from protege.curate import CurateSettings
from protege.report import gather, table, write_report
from protege.serve import background
from protege.tune import TuneSettings
from protege_langchain import ChatProtege
from rich.console import Console

UNSEEN = 0.15
"""The share of the entries that the agent sees only in its second run."""

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
        console.print("The teacher is a stand-in: labels that people published with these entries, not a model.\n")

    console.rule("1  Watching the agent", align="left")
    workspace = Workspace(options.home)
    if workspace.result("demo:watched") is None:
        run(seen, model, options.home, "Watching the agent")
        workspace.save_result("demo:watched", len(seen))
    console.print(f"{len(seen):,} entries, each a run of the agent; its calls are in {options.home}\n")

    console.rule("2  Learning its tasks", align="left")
    settings = flywheel.Settings(
        price_as=options.price_as,
        curate=CurateSettings(max_train=options.train),
        tune=TuneSettings(steps=options.steps),
    )
    for done in flywheel.improve(workspace, (), settings, Bars()):
        console.print(f"  {done.name}: [bold]{done.decision}[/]. {done.reason}", highlight=False)

    console.rule("3  The same agent on entries it has not seen", align="left")
    with background(options.home):
        run(unseen, model, options.home, "Running the agent again")
    flywheel.find_tasks(workspace)
    report = gather(workspace)
    page = write_report(workspace.home / "reports" / "report.html", report)
    console.print(table(report))
    console.print(f"\nReport: {page}\n{(time.monotonic() - started) / 60:.1f} minutes.", highlight=False)


def run(entries: Sequence[Entry], model: BaseChatModel, home: Path, what: str) -> None:
    """The agent over these entries, two at a time. The one line that knows of Protégé is the first."""
    graph = build(ChatProtege(model, home=home))
    with Bars().step(what, len(entries)) as bar:
        for start in range(0, len(entries), 20):
            some = entries[start : start + 20]
            graph.batch([{"text": e.text, "tools": e.tools} for e in some], {"max_concurrency": 2})
            bar.advance(len(some))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path(".protege-demo"), help="where everything is kept")
    parser.add_argument("--fresh", action="store_true", help="begin anew instead of going on where the last run ended")
    parser.add_argument("--teacher", metavar="URL", help="an OpenAI-compatible endpoint to ask instead of the labels")
    parser.add_argument("--model", default="gpt-4.1-mini", help="the model to ask there (key: OPENAI_API_KEY)")
    parser.add_argument("--price-as", default="gpt-4.1", help="the model whose list price the labels' tokens are given")
    parser.add_argument("--steps", type=int, default=300, help="training steps a task at most")
    parser.add_argument("--train", type=int, default=900, help="training calls a task at most")
    return parser.parse_args()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    main()
