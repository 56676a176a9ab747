"""The two ways to combine models, each with specialists: which share of calls, tokens and dollars these answer.

In LangChain a model leads, and another is one of its tools; in LangGraph code leads, and models work in its steps. Each
has a home of its own. Heads and pointers alone are made, which need no base model and seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
from pathlib import Path

import protege
from desk import tickets
from frameworks import console, handle
from protege.adapter import router_of
from protege.cli import commands
from protege.rollout import set_policy

WAYS = {"langchain": "A model leads; another is its tool", "langgraph": "Code leads; models work in its steps"}
UNSEEN = 60
PRICED_AS = "gpt-4.1"
"""The scripted teacher costs nothing; this model's list price stands for a teacher's."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path(".protege-shares"))
    parser.add_argument("--tickets", type=int, default=300, help="for each way, before anything is taught")
    options = parser.parse_args()
    shutil.rmtree(options.home, ignore_errors=True)
    texts = tickets(options.tickets + UNSEEN)
    for framework, title in WAYS.items():
        home = (options.home / framework).resolve()
        os.environ["PROTEGE_HOME"] = str(home)
        workspace = protege.Workspace(home)
        asyncio.run(handle(framework, texts[: options.tickets]))
        for task in protege.find_tasks(workspace):
            kind = "head" if task.kind == "label" else "pointer"
            settings = protege.Settings(tune=protege.TuneSettings(method=kind), compete=False)
            (done,) = protege.improve(workspace, [task.id], settings)
            console.print(f"  {task.name} ({task.calls} calls, {kind}): {done.decision}. {done.reason}")
        set_policy(workspace, None, {"price_as": PRICED_AS})
        router_of(workspace.home).wait_until_ready(60)
        before = workspace.count_calls()
        asyncio.run(handle(framework, texts[options.tickets :]))
        protege.drain(workspace)
        console.print(f"\n{title}, {UNSEEN} tickets that nobody had seen, at {PRICED_AS}'s list price:")
        last = str(workspace.count_calls() - before)
        commands.app(["shares", "--last", last, "--home", str(home)], standalone_mode=False)


if __name__ == "__main__":
    main()
