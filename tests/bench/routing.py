"""What routing costs the agent, and what the guarantee is worth.

    .venv/bin/python tests/bench/routing.py            µs a decision, then the guarantee and its power by simulation

The simulated specialists have a known disagreement and AUROC; a tenth of their wrong answers are as confident as right
ones. 260 calibration calls and 48 validation calls where nothing else is said; ε = δ = .05.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from protege import Base, Request, Route, Specialist, Task, Template, Workspace
from protege.certify import calibrate, grid_from, hindsight_coverage
from protege.evaluate import Judged
from protege.rollout import publish
from protege.route import Router
from protege.task import TemplatePart
from scipy.stats import norm

DECISIONS, DRAWS = 5_000, 200
TASKS = 20


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        decisions(Workspace(folder))
    guarantee()
    power()


def decisions(workspace: Workspace) -> None:
    """Median and p99 in µs of `decide`, fresh text each time."""
    tasks = [make_task(i) for i in range(TASKS)]
    workspace.save_tasks(tasks, {})
    publish(workspace)
    print(f"decide, {TASKS} tasks known, {DECISIONS:,} decisions        median µs   p99 µs")
    line("no task is live", Router(workspace.home), lambda n: make_request(0, n))
    for i in range(3):
        workspace.save_specialist(make_specialist(i))
        workspace.save_route(make_route(i))
    publish(workspace)
    line("another task is live", Router(workspace.home), lambda n: make_request(7, n))
    line("another wording", Router(workspace.home), lambda n: make_request(99, n))
    line("its task is live", Router(workspace.home), lambda n: make_request(0, n))
    line("a conversation, whole", Router(workspace.home), lambda n: conversation(7, n))
    whole = tasks[7]
    step = replace(whole, id="step", name="step", split_from=whole.id, state="after find_order")
    workspace.save_tasks([*tasks, step], {})
    publish(workspace)
    line("a step of a conversation", Router(workspace.home), lambda n: conversation(7, n))


def line(what: str, router: Router, request: Callable[[int], Request]) -> None:
    reason = router.decide(request(0), "run").reason
    took: list[float] = []
    for n in range(DECISIONS):
        asked = request(n)
        begin = time.perf_counter()
        router.decide(asked, "run")
        took.append((time.perf_counter() - begin) * 1e6)
    name = f"  {what} ({reason})"
    print(f"{name:50} {statistics.median(took):10.1f} {np.quantile(took, 0.99):8.1f}")


def guarantee() -> None:
    """How often a certificate's true risk exceeds ε: fixed-sequence testing beside scanning all thresholds."""
    print(f"\ncertificates whose true risk exceeds .05 ({DRAWS} draws)    fixed sequence   best of all")
    for error, auroc in ((0.0505, 0.5), (0.06, 0.7), (0.08, 0.9), (0.15, 0.95)):
        world = World(error, auroc)
        tested = scanned = 0
        for _ in range(DRAWS):
            split, validation = world.draw(260), world.draw(48)
            grid = grid_from(validation, calibration_calls=260)
            tested += world.breaks(calibrate(split, grid).threshold)
            levels = sorted({j.confidence or 0.0 for j in split}, reverse=True)
            passed = (t for t in reversed(levels) if calibrate(split, (t,)).threshold is not None)
            scanned += world.breaks(next(passed, None))
        print(f"  error {error:.4f}, AUROC {auroc:.2f} {tested / DRAWS:34.3f} {scanned / DRAWS:13.3f}")


def power() -> None:
    """Certified coverage beside what hindsight allows."""
    print(
        "\ncoverage, mean (share of draws with a route)    160 calls         260 calls         600 calls     hindsight"
    )
    for error, auroc in ((0.025, 0.98), (0.05, 0.98), (0.1, 0.98), (0.1, 0.95), (0.19, 0.82)):
        world, shown = World(error, auroc), ""
        for n, validation in ((160, 40), (260, 48), (600, 110)):
            found = [
                calibrate(world.draw(n), grid_from(world.draw(validation), calibration_calls=n)).coverage
                for _ in range(DRAWS)
            ]
            shown += f"  {statistics.fmean(found):8.3f} ({sum(c > 0 for c in found) / DRAWS:.2f})"
        hindsight = statistics.fmean(hindsight_coverage(world.draw(600)) for _ in range(DRAWS))
        print(f"  error {error:.3f}, AUROC {auroc:.2f}       {shown} {hindsight:12.3f}")


class World:
    """A specialist whose true risk above each threshold has a closed form."""

    def __init__(self, error: float, auroc: float, confident: float = 0.1) -> None:
        self.error, self.shift, self.confident = error, norm.ppf(auroc) * 2**0.5, confident
        self.random = np.random.default_rng(0)

    def draw(self, n: int) -> list[Judged]:
        wrong = self.random.random(n) < self.error
        low = wrong & (self.random.random(n) >= self.confident)
        score = norm.cdf(self.random.normal(size=n) - self.shift * low)
        return [Judged("", "", "", "", not w, float(s), True) for s, w in zip(score, wrong, strict=True)]

    def breaks(self, threshold: float | None) -> bool:
        if threshold is None:
            return False
        cut = norm.ppf(threshold)
        right = (1 - self.error) * norm.sf(cut)
        wrong = self.error * (self.confident * norm.sf(cut) + (1 - self.confident) * norm.sf(cut + self.shift))
        return bool(wrong / (right + wrong) > 0.05)


def instruction(number: int) -> str:
    topics = ("invoices", "flights", "tickets", "recipes", "contracts", "rooms", "parcels", "patients", "songs", "cars")
    topic, other = topics[number % 10], topics[(number * 3 + 1) % 10]
    return (
        f"You are assistant number {number} of a company that deals with {topic} and {other}.\n"
        f"Read what the customer writes about {topic} and say which of the known categories it belongs to.\n"
        "Answer with one word, and nothing else."
    )


def make_request(number: int, n: int) -> Request:
    text = f"Order {n} came late, and the box was damaged in two places. What can I do about it? " * 3
    return Request(({"role": "system", "content": instruction(number)}, {"role": "user", "content": text}))


def conversation(number: int, n: int) -> Request:
    """Twelve turns; the last of them are calls of a tool, whose results have some 1,500 characters."""
    asked = make_request(number, n).messages
    function = {"name": "find_order", "arguments": f'{{"id": {n}}}'}
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": function}]}
    result = {
        "role": "tool",
        "tool_call_id": "c",
        "content": f'{{"id": {n}, "status": "sent", "items": "{"x" * 1500}"}}',
    }
    return Request((*asked, *({"role": "assistant", "content": "Which one?"}, asked[1]) * 3, *(call, result) * 3))


def make_task(number: int) -> Task:
    lines = tuple(instruction(number).split("\n"))
    words = {word.strip(".,").lower() for word in " ".join(lines).split()}
    return Task(
        id=f"t{number}",
        name=f"task {number}",
        kind="label",
        labels=("late", "damaged"),
        templates=(Template(f"sig{number}", (TemplatePart(0, "system", lines=lines),)),),
        centre=dict.fromkeys(words, len(words) ** -0.5),  # pyright: ignore[reportArgumentType]
    )


def make_specialist(number: int) -> Specialist:
    base = Base("tiny", "tiny.gguf", "0", "gguf", "llama", "Apache-2.0", 512, "{{ messages[-1].content }}")
    return Specialist(f"s{number}", f"s{number}", f"t{number}", 1, base, "slots", state="live")


def make_route(number: int) -> Route:
    return Route(f"t{number}", f"s{number}", 0.9, "f", 0.05, 0.05, 260, 240, 3, (f"sig{number}",))


if __name__ == "__main__":
    main()
