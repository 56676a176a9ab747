"""One help desk in four frameworks: their calls of a kind are one task, and one specialist answers it in all four.

Each framework's agent handles tickets of its own. Then `protege improve` teaches the task that they share, and each
handles tickets that nobody has seen.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import shutil
from collections import Counter
from pathlib import Path

import protege
from desk import TEAM_OF, tickets
from protege.adapter import router_of
from protege.cli.output import Bars
from rich.console import Console

FRAMEWORKS = ("langchain", "langgraph", "llamaindex", "autogen")
UNSEEN = 20
console = Console(highlight=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path(".protege-frameworks"))
    parser.add_argument("--tickets", type=int, default=180, help="for each framework")
    parser.add_argument("--only-record", action="store_true", help="stop before anything is taught")
    parser.add_argument("--fresh", action="store_true", help="begin anew")
    options = parser.parse_args()
    if options.fresh:
        shutil.rmtree(options.home, ignore_errors=True)
    os.environ["PROTEGE_HOME"] = str(options.home.resolve())
    texts = tickets((options.tickets + UNSEEN) * len(FRAMEWORKS))
    workspace = protege.Workspace(options.home)

    if not _answered(workspace, set()):
        for number, framework in enumerate(FRAMEWORKS):
            asyncio.run(handle(framework, texts[number :: len(FRAMEWORKS)][: options.tickets]))
    found = protege.find_tasks(workspace)
    show(workspace)
    if options.only_record:
        return
    triage = next(task for task in found if task.kind == "label")
    settings = protege.Settings(engine="embedded", tune=protege.TuneSettings(steps=120))
    (done,) = protege.improve(workspace, [triage.id], settings, Bars())
    console.print(f"\n{triage.name}: [bold]{done.decision}[/]. {done.reason}")
    if done.decision != "live":
        return
    router_of(workspace.home).wait_until_ready(60)  # an agent need not: until it is there, its teacher answers
    console.print(f"\nWho answered, on {UNSEEN} tickets each that nobody had seen:")
    for number, framework in enumerate(FRAMEWORKS):
        before = {call.id for call in workspace.calls()}
        asyncio.run(handle(framework, texts[number :: len(FRAMEWORKS)][options.tickets :]))
        console.print(f"  {dict(_answered(workspace, before))}")


async def handle(framework: str, texts: list[str]) -> None:
    """A framework's agent over these tickets, four at a time; its answers must name the right team."""
    agent = importlib.import_module(f"in_{framework}").desk()
    turns = asyncio.Semaphore(4)

    async def one(ticket: str) -> str:
        async with turns:
            return await agent(ticket)

    replies = await asyncio.gather(*map(one, texts))
    right = sum(TEAM_OF[ticket] in reply for ticket, reply in zip(texts, replies, strict=True))
    console.print(f"{framework}: {len(replies)} tickets handled, {right} replies name the right team")


def show(workspace: protege.Workspace) -> None:
    """The tasks, and from which frameworks their calls come."""
    task_of = workspace.assignments()
    names = {task.id: task.name for task in workspace.tasks()}
    counts: dict[str, Counter[str]] = {}
    for call in workspace.calls():
        counts.setdefault(names.get(task_of.get(call.id) or "", "(none)"), Counter())[str(call.framework)] += 1
    console.print("\nTasks, and the frameworks that their calls came from:")
    for name, found in counts.items():
        console.print(f"  {name:<28}{dict(found)}")


def _answered(workspace: protege.Workspace, but: set[str]) -> Counter[str]:
    """By whom the calls were answered, but for those that were there before."""
    protege.drain(workspace)
    new = (call for call in workspace.calls() if call.id not in but)
    return Counter("teacher" if call.from_teacher else "specialist" for call in new)


if __name__ == "__main__":
    main()
