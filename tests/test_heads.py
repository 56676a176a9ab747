"""A head, from an agent's calls to its answers: one command, no base model, no torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from protege import Call, Workspace
from protege.report import gather
from protege.route import Router
from protege_langchain import ChatProtege
from protege_langchain.testing import ScriptedTeacher

SYSTEM = "Sort the support ticket.\nAnswer in JSON with team and urgent."
TEAMS = {
    "billing": ("invoice", "refund", "charged", "receipt", "payment"),
    "shipping": ("parcel", "courier", "delivery", "address", "tracking"),
    "access": ("password", "login", "locked", "account", "reset"),
}
NOUNS = ("coat", "lamp", "phone", "chair", "watch", "book", "bike", "kettle", "tent", "mirror", "drill", "scarf")
IMPROVE = """
import sys
from protege.cli import main
try:
    main()
finally:
    print(*(name for name in ("torch", "transformers", "peft") if name in sys.modules), file=sys.stderr)
"""


def ticket(number: int) -> tuple[str, str]:
    """A ticket and its answer; both fields follow from its words."""
    team = tuple(TEAMS)[number % 3]
    word, urgent = TEAMS[team][number // 3 % 5], number // 15 % 2 == 0
    thing, other = NOUNS[number // 30 % 12], NOUNS[number * 7 % 11]
    begin = "Please help at once" if urgent else "When you have time"
    text = f"{begin}: the {word} for my {thing} and the {other}, order {number * 7919 % 100_003}."
    return text, json.dumps({"team": team, "urgent": urgent})


def asked(text: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]


def improved(home: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    """What `protege improve` prints, and the heavy libraries that it loaded."""
    command = [sys.executable, "-c", IMPROVE, "improve", *arguments, "--home", str(home), "--json"]
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ}, check=False)
    assert run.returncode == 0, run.stderr + run.stdout
    return json.loads(run.stdout), run.stderr.strip().splitlines()[-1] if run.stderr.strip() else ""


def routed(home: Path) -> ChatProtege:
    """The agent's model, with its engine connected."""
    router = Router(home)
    assert router.wait_until_ready(60)
    return ChatProtege(ScriptedTeacher(lambda request: "the teacher's"), home, router=router)


@pytest.mark.parametrize("options", [("--kind", "head"), ()], ids=["head", "auto"])
def test_from_calls_to_an_agents_answers(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Where kinds compete, a head that keeps nearly all validation calls is not compared with a model."""
    home = tmp_path / "home"
    workspace = Workspace(home)
    rows = [ticket(number) for number in range(600)]
    wrong = {number: json.dumps({"team": "access", "urgent": True}) for number in (30, 31)}  # both about billing
    rows = [(text, wrong.get(number, answer)) for number, (text, answer) in enumerate(rows)]
    records = [
        {"id": f"c{n}", "messages": asked(text), "response": {"role": "assistant", "content": answer}, "model": "big"}
        for n, (text, answer) in enumerate(rows)
    ]
    workspace.add_calls(Call.from_record(record) for record in records)

    result, heavy = improved(home, *options)
    assert [task["decision"] for task in result["tasks"]] == ["live"], result
    assert heavy == ""
    (specialist,) = workspace.specialists()
    assert (specialist.engine, specialist.serve_as, specialist.base.format) == ("head", "head", "features")
    assert result["tasks"][0]["figures"]["parity"]["same"] == result["tasks"][0]["figures"]["parity"]["n"]

    (told,) = gather(workspace).tasks
    assert told.doubted is not None
    assert set(told.doubted.calls) <= {f"c{number}" for number in wrong} and told.doubted.examples >= 100

    model = routed(home)
    texts = [ticket(number) for number in range(2_000, 2_020)]
    said = [str(model.invoke([SystemMessage(SYSTEM), HumanMessage(text)]).content) for text, _ in texts]
    kept = [(answer, right) for answer, (_, right) in zip(said, texts, strict=True) if answer != "the teacher's"]
    assert len(kept) >= 10  # two in a hundred are audited, and the unsure are handed back
    assert sum(answer == right for answer, right in kept) >= 0.9 * len(kept)

    (home / "specialists" / specialist.id / "head.bin").unlink()
    assert routed(home).invoke([SystemMessage(SYSTEM), HumanMessage(texts[0][0])]).content == "the teacher's"


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        (("--kind", "head", "--engine", "ollama"), "Leave out --engine"),
        (("--kind", "head", "--engine", "embedded"), "Leave out --engine"),
        (("--kind", "head", "--base", "ollama:x"), "Leave out --base"),
        (("--engine", "head"), "--kind head"),
    ],
)
def test_what_does_not_go_together_is_refused_before_any_work(
    tmp_path: Path, options: tuple[str, ...], remedy: str
) -> None:
    command = [sys.executable, "-c", "from protege.cli import main; main()", "improve", *options, "--json"]
    run = subprocess.run([*command, "--home", str(tmp_path)], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert remedy in json.loads(run.stdout)["error"]["remedy"]
