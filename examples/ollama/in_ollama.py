"""An agent on a specialist in Ollama.

The agent is the demo's (examples/demo/agent.py), which cleans up a contact list and knows nothing of Protégé. Its calls
are recorded, the node that says what an entry is is taught to SmolLM2-135M, the tuned model is brought into Ollama,
compared there with what was tuned, certified there, and answers from then on.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "demo"))

import protege
import teacher
from agent import build
from inputs import Entry, inbox
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.outputs import LLMResult
from protege.cli.output import Bars
from protege_langchain import ChatProtege
from rich.console import Console

SEEN, UNSEEN = 1500, 60
console = Console(highlight=False)


class WhoAnswers(BaseCallbackHandler):
    """Counts answers by the model that the agent's framework is told of."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def on_llm_end(self, response: LLMResult, **_: object) -> None:
        message = getattr(response.generations[0][0], "message", None)
        self.counts[message.response_metadata["model_name"] if message else "?"] += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path(".protege-ollama"))
    parser.add_argument("--fresh", action="store_true", help="begin anew")
    options = parser.parse_args()
    if options.fresh:
        shutil.rmtree(options.home, ignore_errors=True)
    entries = inbox()[: SEEN + UNSEEN]
    model = teacher.published(entries)
    workspace = protege.Workspace(options.home)

    if workspace.count_calls() == 0 and not any(workspace.home.glob("journal/*")):
        console.print(f"Recording the agent on {SEEN:,} entries")
        run(entries[:SEEN], model, options.home, ready_s=0)
    sort = max(protege.find_tasks(workspace), key=lambda task: task.calls)
    settings = protege.Settings(engine="ollama", compete=False, tune=protege.TuneSettings(steps=100))
    (done,) = protege.improve(workspace, [sort.id], settings, Bars())
    console.print(f"\n{sort.name}: [bold]{done.decision}[/]. {done.reason}")
    if done.specialist_id is None or done.decision != "live":
        return
    show(workspace, done.specialist_id)

    counts = run(entries[SEEN:], model, options.home, ready_s=30)
    console.print(f"\nThe agent on {UNSEEN} entries that it had not seen: {dict(counts)}")
    live = next(s for s in workspace.specialists() if s.id == done.specialist_id)
    protege.retire(workspace, live)
    counts = run(entries[SEEN:], model, options.home, ready_s=0)
    console.print(f"After `protege retire {live.name}`: {dict(counts)}")
    protege.promote(workspace, live)
    model = live.placed["ollama"]["model"]
    console.print(f"`protege promote {live.name}` brought it back; `ollama rm {model}` removes it.")


def show(workspace: protege.Workspace, specialist_id: str) -> None:
    """What Ollama has, and how it was compared with what was tuned."""
    found = next(s for s in protege.status(workspace)["specialists"] if s["id"] == specialist_id)
    inside, parity = found["ollama"], found["parity"]
    console.print(f"In Ollama: {inside['model']}, {inside['memory_bytes'] / 1e6:.0f} MB in memory")
    console.print(f"Its own metadata there: {inside['provenance']}")
    console.print(f"Parity: {parity['reason']} Ollama's template: {parity['template']}.")


def run(entries: Sequence[Entry], model: BaseChatModel, home: Path, ready_s: float) -> Counter[str]:
    """The agent over these entries, two at a time; who answered how often."""
    router, who = protege.Router(home), WhoAnswers()
    router.wait_until_ready(ready_s)  # an agent need not: until the engine is there, its teacher answers
    graph = build(ChatProtege(model, home=home, router=router))
    inputs = [{"text": entry.text, "tools": entry.tools} for entry in entries]
    graph.batch(inputs, {"max_concurrency": 2, "callbacks": [who]})
    router.close()
    return who.counts


if __name__ == "__main__":
    main()
