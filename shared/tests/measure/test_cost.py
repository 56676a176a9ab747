"""What a specialist costs with everything in."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from memory_engine import BASE
from protege import Specialist, Task, Workspace
from protege.cli import commands
from protege.errors import BadInput
from protege.measure import Power, cost_of, machine_power, power
from protege.rollout import set_policy
from typer.testing import CliRunner

FIGURES = {
    "tuning": {"seconds": 350.0},
    "evaluation": {"n": 250, "latency_p50_ms": 36.0},
    "certificate": {"n": 150},
    "certified_coverage": 0.5,
}
TASK = Task("t", "colours", "label", calls=9, input_tokens=1000.0, output_tokens=10.0, cost_usd=0.002)
POWER = Power(10.0, "given")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "home")
    workspace.save_tasks([TASK], {})
    workspace.save_specialist(Specialist("s", "colours-v1", "t", 1, BASE, "slots", report=FIGURES, created=1.0))
    workspace.save_specialist(Specialist("new", "colours-v2", "t", 2, BASE, "slots", created=2.0))
    return workspace


def test_everything_is_counted_once(workspace: Workspace) -> None:
    cost = cost_of(workspace, TASK, POWER, ("gpt-4.1-nano",))
    assert (cost.specialist, cost.tuning_s, cost.evaluation_s) == ("colours-v1", 350.0, pytest.approx(9.0))
    assert cost.once_usd == pytest.approx(359 / 3600 * 0.10)
    assert cost.machine_usd == pytest.approx(0.036 / 3600 * 0.10)
    assert cost.kept == pytest.approx(0.49) and cost.audited == 0.02
    assert cost.once_wh == pytest.approx(359 / 360) and cost.call_wh == pytest.approx(1e-4)
    teacher, nano = cost.beside
    assert teacher.usd == 0.002 and nano.usd == pytest.approx(0.000104)
    for each in (teacher, nano):
        saved = 0.49 * each.usd - cost.machine_usd
        assert each.with_specialist_usd == pytest.approx(each.usd - saved)
        assert each.break_even_calls == pytest.approx(cost.once_usd / saved)


def test_the_share_of_audits_is_the_policys(workspace: Workspace) -> None:
    set_policy(workspace, TASK, {"audit": 0.1})
    cost = cost_of(workspace, TASK, POWER)
    assert cost.audited == 0.1 and cost.kept == pytest.approx(0.45)


def test_where_a_call_gets_no_cheaper_it_never_pays(workspace: Workspace) -> None:
    cheap = replace(TASK, cost_usd=1e-6)
    (beside,) = cost_of(workspace, cheap, POWER).beside
    assert beside.break_even_calls is None and beside.with_specialist_usd > beside.usd


def test_what_is_not_known_is_said(workspace: Workspace) -> None:
    with pytest.raises(BadInput, match="no specialist that was evaluated"):
        cost_of(workspace, replace(TASK, id="other"), POWER)
    with pytest.raises(BadInput, match="not known"):
        cost_of(workspace, replace(TASK, cost_usd=None), POWER)
    with pytest.raises(BadInput, match="no model"):
        cost_of(workspace, TASK, POWER, ("no-such-model",))
    untimed = {**FIGURES, "evaluation": {"n": 250, "latency_p50_ms": None}}
    workspace.save_specialist(Specialist("u", "colours-v3", "t", 3, BASE, "slots", report=untimed, created=3.0))
    with pytest.raises(BadInput, match="none was timed"):
        cost_of(workspace, TASK, POWER)


@pytest.mark.parametrize("watts", ["nan", "inf", "-1"])
def test_what_is_no_power_is_refused(workspace: Workspace, watts: str) -> None:
    with pytest.raises(BadInput, match="no power"):
        Power(float(watts), "given")
    said = CliRunner().invoke(commands.app, ["cost", "colours", "--home", str(workspace.home), f"--watts={watts}"])
    assert said.exit_code != 0 and "W," not in said.output


def test_the_command_tells_it(workspace: Workspace) -> None:
    options = ["--home", str(workspace.home), "--beside", "gpt-4.1-nano"]
    said = CliRunner().invoke(commands.app, ["cost", "colours", *options, "--watts", "10"])
    assert said.exit_code == 0 and "has paid for itself after" in said.output and "gpt-4.1-nano" in said.output
    told = CliRunner().invoke(commands.app, ["cost", "colours", *options, "--watts", "10", "--json"])
    assert json.loads(told.output)["power"] == {"watts": 10.0, "source": "given"}


def meter(folder: Path, name: str, energy: str) -> None:
    (folder / name).mkdir()
    (folder / name / "energy_uj").write_text(energy)


def test_power_is_read_where_there_is_a_meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine_power(tmp_path).source == "estimate"
    meter(tmp_path, "intel-rapl:0", "5000000")
    meter(tmp_path, "intel-rapl:0:0", "9000000")  # the cores, which are in it
    monkeypatch.setattr(power, "_busy", lambda seconds: (tmp_path / "intel-rapl:0" / "energy_uj").write_text("6000000"))
    found = machine_power(tmp_path)
    assert found.source == "meter" and found.watts > 1
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("not for you")
    assert machine_power(tmp_path).source == "estimate"
