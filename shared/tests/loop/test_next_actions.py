"""The steps of an agent that calls tools, from recorded conversations to a pointer that answers one of them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from protege import Call, Settings, Workspace
from protege.call import request_from
from protege.curate import CurateSettings
from protege.flywheel import improve
from protege.loop.tasks import find_tasks
from protege.route import Router
from protege.tune import TuneSettings

SYSTEM = {"role": "system", "content": "You help the customers of a shop.\nUse the tools, one at a time."}
NAMES = ("find_user", "orders")
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in NAMES]
FIRST = ("Anna", "Boris", "Chen", "Dina", "Emil", "Fatima", "Goran", "Hana", "Ivo", "Jana", "Karl", "Lena", "Mona")
THINGS = ("lamp", "chair", "kettle", "tent", "mirror", "drill", "scarf", "phone", "watch", "book", "bike", "coat")


def asks(name: str, **arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": function}]}


def run(n: int) -> Iterator[dict[str, Any]]:
    """The three calls of one run: it asks who the customer is, finds the user, and looks at the orders."""
    chance = random.Random(n)
    name, thing, number = chance.choice(FIRST), chance.choice(THINGS), str(chance.randrange(10**5, 10**6))
    text = f"My {thing} of the {chance.choice(THINGS)} kind came {chance.randrange(99)} days late."
    user, who = ({"role": "user", "content": said} for said in (text, f"I am {name}, customer {number}, thanks!"))
    greets, known = {"role": "assistant", "content": "Who are you?"}, f"{name.lower()}_{number}"
    asked = [SYSTEM, user, greets, who]
    result = {"role": "tool", "tool_call_id": "c", "content": json.dumps({"user": known, "age": n})}
    found = [*asked, asks("find_user", id=number), result]
    answers = (greets, asks("find_user", id=number), asks("orders", user=known))
    for step, (messages, response) in enumerate(zip(([SYSTEM, user], asked, found), answers, strict=True)):
        yield {"id": f"{n:03}-{step}", "run": f"r{n}", "messages": messages, "tools": TOOLS, "response": response}


def test_a_step_is_answered_by_a_pointer_and_the_others_by_the_teacher(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    (tmp_path / "redaction.toml").write_text("types = []\nmodel = false\n")
    workspace.add_calls(Call.from_record({**record, "model": "big"}) for n in range(130) for record in run(n))
    steps = {task.state: task for task in find_tasks(workspace)}
    assert set(steps) == {"", "opening", "reply", "after find_user"}
    curating = CurateSettings(calibration=0.5, test=0.15, min_validation=10, min_train=20)
    settings = Settings(tune=TuneSettings(method="pointer"), compete=False, curate=curating, epsilon=0.1)
    [improvement] = improve(workspace, [steps["after find_user"].name], settings)
    assert improvement.decision == "live", improvement.reason
    [specialist] = workspace.specialists()
    assert specialist.copied == ("orders.user",)

    router = Router(tmp_path)
    assert router.wait_until_ready(30)
    opening, reply, found = (request_from(record) for record in run(1000))
    kept = router.answer(found)
    assert kept.decision in ("kept", "audited")
    if kept.message is not None:
        [call] = kept.message["tool_calls"]
        user = json.loads(found.messages[-1]["content"])["user"]
        assert json.loads(call["function"]["arguments"]) == {"user": user}
    assert {router.answer(request).decision for request in (opening, reply)} == {"no live route"}
    workspace.close()
