"""The agents of the case studies by replay: requests of their shapes through a gateway, to the studies' own teachers.
Every call is recorded, and every call site has a name of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from agent_shapes import Sent, cradle, metagpt, open_operator
from gateways import CLIENT, Fake, Stand, served
from gateways import stand as stand
from protege.gateway.settings import Upstream

STUDIES = Path(__file__).parents[1] / "examples" / "case_studies"


@pytest.fixture(scope="module")
def scripts() -> Iterator[Mapping[str, Callable[[], Any]]]:
    """By agent, its scripted teacher's answers."""
    folders = [str(STUDIES), *(str(path.parent) for path in STUDIES.glob("*/study.py"))]
    sys.path[:0] = folders
    import cradle_answers
    import metagpt_answers
    import operator_answers

    yield {
        "metagpt": metagpt_answers.Script,
        "open-operator": lambda: operator_answers.Script("http://127.0.0.1/"),
        "cradle": lambda: cradle_answers.Script("127.0.0.1/"),
    }
    for folder in folders:
        sys.path.remove(folder)


@pytest.mark.parametrize(
    ("agent", "shapes", "sites", "only_the_teacher"),
    [("metagpt", metagpt, 17, 0), ("open-operator", open_operator, 5, 1), ("cradle", cradle, 4, 4)],
)
def test_every_call_is_recorded_and_every_call_site_named(
    agent: str,
    shapes: Callable[[], Iterator[Sent]],
    sites: int,
    only_the_teacher: int,
    scripts: Mapping[str, Callable[[], Any]],
    stand: Callable[..., Stand],
) -> None:
    from script_server import Teacher

    teacher, sent = Teacher(scripts[agent]()), list(shapes())
    with served(teacher.app) as at:
        fronts = ("openai", "azure", "anthropic", "gemini")
        gateway = stand(Fake(), upstreams=tuple(Upstream(front, "", at) for front in fronts))
        for each in [*sent, *sent]:
            answer = CLIENT.post(f"{gateway.url}/a/{agent}{each.path}", json=each.body, headers=each.headers)
            assert answer.status_code == 200, answer.text
        calls = gateway.calls(teacher.calls)
    assert len(calls) == teacher.calls == 2 * len(sent)
    assert len({call.node for call in calls}) == sites
    assert all(call.node[0] == agent and len(call.node) > 1 and call.response for call in calls)
    assert len([call for call in calls if "images" in call.decision]) == 2 * only_the_teacher


def test_a_command_that_is_given_up_leaves_none_of_its_programs(
    scripts: Mapping[str, Callable[[], Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from stage import run

    run(["bash", "-c", "echo fine"], timeout=30)
    with pytest.raises(SystemExit, match="ended with 3"):
        run(["bash", "-c", "echo why; exit 3"])
    assert capsys.readouterr().out == "why\n\n"
    with pytest.raises(SystemExit, match="did not end"):
        run(["bash", "-c", "sleep 300 & echo $! > child; wait"], timeout=1, cwd=tmp_path)
    child = int((tmp_path / "child").read_text())
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
