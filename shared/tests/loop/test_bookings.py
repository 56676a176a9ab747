"""Fields that are copied out of a message, from recorded calls to a tagger that answers new ones."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from protege import Call, Settings, Workspace
from protege.call import request_from
from protege.curate import CurateSettings
from protege.flywheel import improve
from protege.loop.tasks import find_tasks
from protege.route import Router
from protege.tune import TuneSettings
from protege.tune.methods import tagger

SYSTEM = {"role": "system", "content": "Read the order.\nAnswer in JSON with item, colour and number."}
ITEMS = ("lamp", "oak chair", "kettle", "tent", "mirror", "cordless drill", "scarf", "phone", "wrist watch", "book")
COLOURS = ("red", "dark green", "blue", "white", "black", "light grey")
FORMS = (
    "I want {number} of the {colour} {item}, please",
    "send the {item} in {colour}, {number} pieces",
    "{number}x {item} ({colour})",
)


def ordered(n: int) -> dict[str, Any]:
    chance = random.Random(n)
    said = {"item": chance.choice(ITEMS), "colour": chance.choice(COLOURS), "number": chance.randrange(2, 500)}
    text = f"{chance.choice(FORMS).format(**said)} — order {n}"
    answer = {"role": "assistant", "content": json.dumps(said)}
    return {
        "id": f"{n:03}",
        "messages": [SYSTEM, {"role": "user", "content": text}],
        "response": answer,
        "model": "big",
    }


@pytest.mark.parametrize("embedder", ["none", "packaged"])
def test_fields_that_are_copied_are_answered_by_a_tagger(
    tmp_path: Path, embedder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tagger, "gains", lambda gained: True)
    workspace = Workspace(tmp_path)
    (tmp_path / "redaction.toml").write_text("types = []\nmodel = false\n")
    workspace.add_calls(Call.from_record(ordered(n)) for n in range(280))
    [task] = find_tasks(workspace)
    assert task.kind == "json"
    settings = Settings(
        tune=TuneSettings(method="tagger", embedder=embedder),
        compete=False,
        curate=CurateSettings(calibration=0.4, test=0.2, min_validation=10, min_train=20),
    )
    [improvement] = improve(workspace, [task.name], settings)
    assert improvement.decision == "live", improvement.reason
    [specialist] = workspace.specialists()
    assert (specialist.serve_as, specialist.engine) == ("head", "head") and specialist.report is not None
    assert specialist.report["tuning"]["fields"] == ["item", "colour", "number"]
    assert specialist.report["tuning"]["words_embedded"] == (embedder == "packaged")
    workspace.close()

    router = Router(tmp_path)
    assert router.wait_until_ready(30)
    kept = [(router.answer(request_from(ordered(n))), ordered(n)) for n in range(1000, 1030)]
    answers = [(given.message, record["response"]["content"]) for given, record in kept if given.message is not None]
    assert len(answers) > 20
    assert all(json.loads(str(message["content"])) == json.loads(wanted) for message, wanted in answers)
