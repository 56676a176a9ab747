"""Changes as they happen: recorded calls one after another through a routed agent, and the loop beside it.

    python tests/bench/change.py FILE.jsonl[.gz] [--task T]… [--change C]… [--kind head] [--embedder none]
                                 [--rollout staged] [--audit .1] [--calls 1000] [--picture FILE] [--json FILE]

Everything is the product's own and nothing is simulated: capture, journal, router, specialists, watch, retraining. The
scripted teacher says what was recorded, or what a change makes of it. Rows are grouped by their field `task`, by which
this benchmark alone picks them. Each change has a home, in which all tasks' calls arrive by turns. After every ROUND
calls of each task the service looks and improves what is due; every WHOLE rounds it improves all, as `protege improve
--every` does. Until the change what is certified answers at once, since there are few rows; from then on as --rollout
says. After three fifths of a task's rows (mixed: half)

    reworded   the prompt is another: the rows with `template_version` 2, from the first again when they end; where a
               task has none, its instruction gets another beginning and end
    renamed    another teacher (by its name too) gives the commonest answer another name
    swapped    a teacher of the same name takes the two commonest answers for each other
    noisy      another teacher (by its name too) answers one call in ten by chance
    mixed      what came in two of ten calls comes in eight: answers are parted in two halves

and when the rows end, those from before the change are asked once more (not where it is mixed). "Wrong" is an answer
of a specialist's that is not what the teacher of that time says. "Again" is the first answer of a specialist that was
made after the change.
"""

from __future__ import annotations

import argparse
import gzip
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
from protege import Settings, Workspace, flywheel
from protege.call import Reply, Request, text_of
from protege.capture.calls import OpenCall, Place
from protege.capture.watch import Watch
from protege.cluster import Assigner
from protege.collect.recorder import Recorder
from protege.common.progress import Silent
from protege.loop.run import Improvement
from protege.rollout.switching import set_policy
from protege.route import Router
from protege.service import loop
from protege.tune import TuneSettings
from protege.watch import look

ROUND, WHOLE = 25, 4
CHANGES = ("reworded", "renamed", "swapped", "noisy", "mixed")
TASKS = (
    "sms_spam_yesno",
    "assistant_domain_routing",
    "support_ticket_triage_json",
    "scope_guardrail_yesno",
    "review_sentiment",
    "bank_intent_routing",
)
NOTICED = ("prompt changed", "teacher changed", "drift", "suspicion")
BEFORE, AFTER = "large-1", "large-2"
NOISE = 0.1
SHARE_BEFORE = 0.6


@dataclass(frozen=True)
class Asked:
    """One call to come: what is asked, and what the teacher of that time says. unchanged: what the first one said."""

    messages: Sequence[Mapping[str, Any]]
    right: str
    teacher: str = BEFORE


@dataclass
class Round:
    """What became of a task's calls of one round. wrong: of those kept."""

    calls: int = 0
    kept: int = 0
    wrong: int = 0


@dataclass
class Story:
    """One task under one change. changes_at: the index of the first changed call. events: what the loop told, and after
    how many calls. again: the index of the first answer of a specialist made after the change, and the round."""

    task: str
    asked: Sequence[Asked]
    changes_at: int
    rounds: list[Round] = field(default_factory=list[Round])
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    answered: list[tuple[bool, bool]] = field(default_factory=list[tuple[bool, bool]])
    older: set[str] = field(default_factory=set[str])
    again: int | None = None
    changed_s: float = 0.0
    again_s: float | None = None
    task_ids: set[str] = field(default_factory=set[str])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--task", action="append", default=[])
    parser.add_argument("--change", action="append", default=[], choices=CHANGES)
    parser.add_argument("--kind", default="head")
    parser.add_argument("--embedder", default="none")
    parser.add_argument("--rollout", default="staged", choices=("direct", "staged"))
    parser.add_argument("--audit", type=float, default=0.1)
    parser.add_argument("--calls", type=int, default=1_000)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = rows_of(options.file, options.task or TASKS)
    tune = TuneSettings(method=options.kind, embedder=options.embedder)
    settings = Settings(tune=tune, compete=False, rollout=options.rollout)
    told: dict[str, list[Story]] = {}
    for change in options.change or CHANGES:
        stories = [story_of(task, rows[task], change, options.calls) for task in rows]
        with tempfile.TemporaryDirectory() as folder:
            os.environ["XDG_CONFIG_HOME"] = folder  # homes that are made here are nobody's afterwards
            live(Path(folder) / "home", stories, settings, options.audit)
        told[change] = stories
        print(f"\n{change}\n{HEAD}")
        for story in stories:
            print(line(story), flush=True)
    if options.json:
        options.json.write_bytes(orjson.dumps({c: [record(s) for s in of] for c, of in told.items()}))
    if options.picture:
        from month_picture import draw

        options.picture.write_text(draw(pictured(told)))


def rows_of(file: Path, tasks: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """The rows of each task, shuffled alike each time."""
    found: dict[str, list[dict[str, Any]]] = {task: [] for task in tasks}
    with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as lines:
        for row in map(orjson.loads, lines):
            if row["task"] in found:
                found[row["task"]].append(row)
    for task in tasks:
        random.Random(0).shuffle(found[task])
    return found


def story_of(task: str, rows: Sequence[Mapping[str, Any]], change: str, calls: int) -> Story:
    """The calls of a task in their order, changed from the middle on."""
    asked = [(row["messages"], str(row["response"]["content"])) for row in rows if row.get("template_version", 1) == 1]
    again = [(row["messages"], str(row["response"]["content"])) for row in rows if row.get("template_version", 1) == 2]
    asked = asked[:calls]
    if change == "mixed":
        before, after = parted(asked)
    else:
        middle = round(SHARE_BEFORE * len(asked))
        before, after = asked[:middle], asked[middle:] + asked[:middle]
    first = [Asked(messages, right) for messages, right in before]
    return Story(task, [*first, *changed(change, after, again)], len(first))


def changed(change: str, calls: Sequence[tuple[Any, str]], second: Sequence[tuple[Any, str]]) -> Iterator[Asked]:
    """The calls after the change."""
    if change == "reworded":
        if second:
            calls = [second[n % len(second)] for n in range(len(calls))]
        else:
            calls = [(reworded(messages), right) for messages, right in calls]
    common = [answer for answer, _ in Counter(right for _, right in calls).most_common()]
    chance = random.Random(1)
    for messages, right in calls:
        if change == "renamed":
            yield Asked(messages, renamed(right, common[0]), AFTER)
        elif change == "swapped":
            yield Asked(messages, {common[0]: common[1], common[1]: common[0]}.get(right, right))
        elif change == "noisy":
            yield Asked(messages, chance.choice(common) if chance.random() < NOISE else right, AFTER)
        else:
            yield Asked(messages, right)


def reworded(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same request under an instruction with another beginning and another end."""
    first, *rest = (dict(message) for message in messages)
    text = str(first["content"])
    first["content"] = f"These are your orders, revised this week; follow them to the letter.\n{text}\nNever explain."
    return [first, *rest]


def renamed(answer: str, common: str) -> str:
    """The answer where it is the commonest: its last word, or the last string of its JSON, has another name."""
    if answer != common:
        return answer
    head, quote, tail = answer.rpartition('"') if answer.endswith(('"', "}")) else (answer, "", "")
    return f"{head}_other{quote}{tail}"


def parted(calls: Sequence[tuple[Any, str]]) -> tuple[list[tuple[Any, str]], list[tuple[Any, str]]]:
    """Before and after: four fifths of the calls with one half of the answers come before, of the others a fifth."""
    sizes, half = Counter(right for _, right in calls), [0, 0]
    side: dict[str, int] = {}
    for answer, n in sizes.most_common():
        side[answer] = 0 if half[0] <= half[1] else 1
        half[side[answer]] += n
    seen, phases = [0, 0], ([], [])
    for call in calls:
        of = side[call[1]]
        late = seen[of] % 5 == 4 if of == 0 else seen[of] % 5 != 4
        seen[of] += 1
        phases[late].append(call)
    return phases


class Agent:
    """Asks one call after another; the teacher answers where no specialist does."""

    def __init__(self, home: Path) -> None:
        self.router, self.recorder = Router(home), Recorder(home)
        self.runs = 0

    def ask(self, task: str, asked: Asked) -> tuple[str, str | None]:
        """What was answered, and the specialist's id (None: the teacher answered)."""
        self.runs += 1
        place = Place("bench", (task,), run=f"run-{self.runs}")
        call = OpenCall(self.recorder, [dict(m) for m in asked.messages], {"model": asked.teacher}, place)
        read = lambda parts: Reply({"role": "assistant", "content": parts[0]}, "stop", asked.teacher)  # noqa: E731
        with Watch(call, read) as watch:
            kept = watch.routed(lambda: self.router, lambda outcome: outcome)
            if kept is None:
                watch.answered(asked.right)
                return asked.right, None
        assert kept.message is not None
        return text_of(kept.message), kept.specialist_id

    def close(self) -> None:
        self.router.close()
        self.recorder.close()


def live(home: Path, stories: Sequence[Story], settings: Settings, audit: float, wait_s: float = 0.6) -> None:
    """All calls of all stories, and the loop between the rounds."""
    workspace = Workspace(home)  # an empty folder becomes a home that is believed
    (home / "redaction.toml").write_text("types = []\nmodel = false\n")  # measured elsewhere
    set_policy(workspace, None, {"audit": audit})
    agent = Agent(home)
    for turn in range(max(-(-len(story.asked) // ROUND) for story in stories)):
        for story in stories:
            play(workspace, agent, story, turn)
        known = len(workspace.history.events())
        look(workspace)
        whole = turn % WHOLE == WHOLE - 1
        due = [] if whole else loop.overdue(workspace, ())
        changed_by_now = any(len(story.answered) > story.changes_at for story in stories)
        how = settings if changed_by_now else replace(settings, rollout="direct")
        improved = flywheel.improve(workspace, due, how, Silent()) if due or whole else []
        loop.show(workspace)
        tell(workspace, stories, known, improved)
        if workspace.routes():
            time.sleep(wait_s)  # running agents follow within a second
            agent.router.wait_until_ready(60)
    agent.close()
    workspace.close()


def play(workspace: Workspace, agent: Agent, story: Story, turn: int) -> None:
    """The next calls of a story."""
    first, this = turn * ROUND, Round()
    for place, asked in enumerate(story.asked[first : first + ROUND], first):
        if place == story.changes_at:
            story.older, story.changed_s = {s.id for s in workspace.specialists()}, time.perf_counter()
        said, by = agent.ask(story.task, asked)
        wrong = by is not None and said != asked.right
        story.answered.append((by is not None, wrong))
        this.calls, this.kept, this.wrong = this.calls + 1, this.kept + (by is not None), this.wrong + wrong
        if by is not None and place >= story.changes_at and by not in story.older and story.again is None:
            story.again, story.again_s = place, time.perf_counter()
    story.rounds.append(this)


def tell(workspace: Workspace, stories: Sequence[Story], known: int, improved: Sequence[Improvement]) -> None:
    """Give each new event to the story of its task: the one that a call of this story is assigned to."""
    tasks = workspace.tasks()
    assigner = Assigner(tasks)
    for story in stories:
        done = len(story.answered)
        for asked in (story.asked[0], story.asked[done - 1]):
            task = assigner.assign(Request(tuple(asked.messages)))
            story.task_ids |= {task.id, *task.merged} if task else set()
        events = [(e.task_id, e.what, e.why) for e in workspace.history.events()[known:]]
        for task_id, what, why in (*events, *((i.task_id, "improved", i.reason) for i in improved)):
            if task_id in story.task_ids:
                story.events.append({"after": done, "day": done / ROUND, "what": what, "why": why})


@dataclass(frozen=True)
class Figures:
    """Of one story. Counts of calls are from the change on. before, after: the shares kept, and wrong of those kept, in
    the last hundred calls before the change and of all. noticed, alarm, canary, live: after how many calls, and what.
    wrong: answers of older specialists that were wrong. handed_back: the share that the teacher answered until a new
    specialist did. again: after how many calls that was; again_s: and seconds."""

    before: str
    noticed: str
    alarm: str
    canary: str
    live: str
    wrong: int
    handed_back: float
    again: int | None
    again_s: float | None
    after: str


def figures_of(story: Story) -> Figures:
    at, end = story.changes_at, len(story.answered) if story.again is None else story.again
    meanwhile = story.answered[at:end]

    def first(*names: str) -> str:
        event = next((e for e in story.events if e["after"] > at and e["what"] in names), None)
        return f"{event['after'] - at}: {event['what']}" if event else "–"

    return Figures(
        before=shares(story.answered[max(0, at - 100) : at]),
        noticed=first(*NOTICED),
        alarm=first("rolled back"),
        canary=first("canary"),
        live=first("live"),
        wrong=sum(wrong for _, wrong in meanwhile),
        handed_back=sum(not kept for kept, _ in meanwhile) / max(1, len(meanwhile)),
        again=None if story.again is None else story.again - at,
        again_s=None if story.again_s is None else story.again_s - story.changed_s,
        after=shares(story.answered[-100:]),
    )


def shares(answered: Sequence[tuple[bool, bool]]) -> str:
    kept = sum(kept for kept, _ in answered)
    return f"{kept / max(1, len(answered)):.2f}, {sum(wrong for _, wrong in answered)} wrong"


HEAD = (
    "| task | last 100 before: kept | noticed after | alarm after | wrong till again | handed back till again "
    "| answers again after | s | stages | last 100: kept |\n|---|---|---|---|---|---|---|---|---|---|"
)


def line(story: Story) -> str:
    f = figures_of(story)
    again = ("never", "") if f.again is None or f.again_s is None else (str(f.again), f"{f.again_s:.0f}")
    stages = ", ".join(stage for stage in (f.canary, f.live) if stage != "–")
    cells = (story.task, f.before, f.noticed, f.alarm, f.wrong, f"{f.handed_back:.2f}", *again, stages, f.after)
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def record(story: Story) -> dict[str, Any]:
    told = {"task": story.task, "changes_at": story.changes_at, "events": story.events}
    return {**told, "rounds": [asdict(one) for one in story.rounds], "figures": asdict(figures_of(story))}


def pictured(told: Mapping[str, Sequence[Story]]) -> dict[str, Any]:
    """As the picture of a month takes it; its days are rounds."""
    named = {c if len(of) == 1 else f"{c}, {s.task}": s for c, of in told.items() for s in of}
    days = {name: [asdict(one) for one in story.rounds] for name, story in named.items()}
    events = [{**event, "task": name} for name, story in named.items() for event in story.events]
    return {"days": days, "events": events}


if __name__ == "__main__":
    main()
