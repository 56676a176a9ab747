"""The command line: JSON and nothing else on stdout, exit codes, and errors that name the fact and the remedy."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from protege import Base, Call, Route, Specialist, Workspace


def protege(*arguments: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    return subprocess.run(
        [sys.executable, "-c", "from protege.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PROTEGE_HOME": str(home), **environment},
        check=False,
    )


def record(number: int, **fields) -> dict:
    messages = [{"role": "system", "content": "Sort the entry."}, {"role": "user", "content": f"Entry: thing {number}"}]
    answer = {"role": "assistant", "content": ("a", "b")[number % 2]}
    return {"id": f"c{number}", "messages": messages, "response": answer, **fields}


@pytest.fixture
def calls(tmp_path) -> Path:
    file = tmp_path / "calls.jsonl"
    file.write_text("".join(json.dumps(record(n)) + "\n" for n in range(40)))
    return file


def test_collect_counts_and_adds_nothing_twice(calls, tmp_path):
    first = protege("collect", str(calls), "--json", home=tmp_path / "home")
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout) == {
        "read": 40,
        "added": 40,
        "skipped": [],
        "unusable": 0,
        "corrections": 0,
        "passed": {},
    }
    assert json.loads(protege("collect", str(calls), "--json", home=tmp_path / "home").stdout)["added"] == 0


def test_a_correction_comes_from_an_argument_a_file_or_the_standard_input(calls, tmp_path):
    home = tmp_path / "home"
    protege("collect", str(calls), home=home)
    protege("tasks", home=home)
    (tmp_path / "answer").write_text("a\n")
    asked = [sys.executable, "-c", "from protege.cli import main; main()", "correct", "c3", "--file", "-"]
    environment = {**os.environ, "PROTEGE_HOME": str(home)}
    assert subprocess.run(asked, input=b"a\n", env=environment, check=False, capture_output=True).returncode == 0
    told = json.loads(protege("correct", "c1", "a", "--json", home=home).stdout)
    assert told["call"] == "c1" and told["corrected"] and told["task"]
    protege("correct", "c5", "--file", str(tmp_path / "answer"), home=home)
    corrected = [call for call in Workspace(home).calls() if call.correction]
    assert [call.id for call in corrected] == ["c1", "c3", "c5"]
    assert {(call.correction or {})["content"] for call in corrected} == {"a"}
    (task,) = json.loads(protege("status", "--json", home=home).stdout)["tasks"]
    assert task["corrected"] == 3
    assert json.loads(protege("correct", "c1", "--remove", "--json", home=home).stdout)["corrected"] is False
    for wrong in (["c1"], ["c1", "a", "--remove"], ["c1", "never given"], ["none", "a"], ["c1", "--file", "/none"]):
        done = protege("correct", *wrong, home=home)
        assert done.returncode == 2 and "error:" in done.stderr and done.stdout == ""


def test_bad_lines_are_named_skipped_and_counted(calls, tmp_path):
    file = tmp_path / "mixed.jsonl.gz"
    lines = [json.dumps(record(1)), "{not json", json.dumps({"id": "x"}), json.dumps(record(2))[:-20]]
    file.write_bytes(gzip.compress("\n".join(lines).encode()))
    done = protege("collect", str(file), str(calls), "--json", home=tmp_path / "home")
    told = json.loads(done.stdout)
    assert done.returncode == 0
    assert [skipped["line"] for skipped in told["skipped"]] == [2, 3, 4]
    assert all(skipped["file"].endswith("mixed.jsonl.gz") for skipped in told["skipped"])
    assert told["added"] == 40


def test_strict_stops_at_the_first_bad_line_and_adds_nothing(tmp_path):
    file = tmp_path / "bad.jsonl"
    file.write_text(json.dumps(record(1)) + "\n{\n")
    done = protege("collect", str(file), "--strict", "--json", home=tmp_path / "home")
    assert done.returncode == 2
    assert "line 2" in json.loads(done.stdout)["error"]["fact"]
    assert Workspace(tmp_path / "home").count_calls() == 0


@pytest.mark.parametrize("content", ["", None])
def test_an_empty_or_missing_file_is_bad_input(content, tmp_path):
    file = tmp_path / "f.jsonl"
    if content is not None:
        file.write_text(content)
    done = protege("collect", str(file), home=tmp_path / "home")
    assert done.returncode == 2 and "error:" in done.stderr and done.stdout == ""


def test_tasks_are_listed_and_each_call_has_one(calls, tmp_path):
    home = tmp_path / "home"
    protege("collect", str(calls), home=home)
    (task,) = json.loads(protege("tasks", "--json", home=home).stdout)["tasks"]
    assert {"id", "name", "node", "kind", "calls"} <= set(task) and task["calls"] == 40 and task["kind"] == "label"
    rows = json.loads(protege("tasks", "--calls", "--json", home=home).stdout)["calls"]
    assert [row["id"] for row in rows] == [f"c{n}" for n in range(40)]
    assert {row["task"] for row in rows} == {task["id"]}
    assert task["name"] in protege("tasks", home=home).stdout


def test_tasks_come_with_what_they_are_worth_the_most_first(tmp_path):
    letters: list[dict[str, Any]] = [
        {"messages": [{"role": "user", "content": f"Write a polite letter.\n\nParcel: {n}"}]} for n in range(60)
    ]
    for n, letter in enumerate(letters):
        letter["response"] = {"role": "assistant", "content": f"Dear Sir, your {n} is late and will come on day {n}."}
    workspace = Workspace(tmp_path)
    workspace.add_calls(Call.from_record(r) for r in (*(record(n) for n in range(40)), *letters))
    told = json.loads(protege("tasks", "--json", home=tmp_path).stdout)
    assert [(task["kind"], task["calls"]) for task in told["tasks"]] == [("label", 40), ("text", 60)]
    first, second = (task["worth"] for task in told["tasks"])
    assert first["fit"] == 0.9 and first["saving_tokens_per_1000"] > 0 and first["saving_usd_per_1000"] is None
    assert second["fit"] == 0 and second["why"][0].startswith("Free text")
    assert {"fit", "saving", "repetition"} <= set(told["how"])
    shown = protege("tasks", home=tmp_path).stdout
    assert "2 labels" in shown and "Free text" in shown and max(map(len, shown.splitlines())) <= 80


def test_a_map_of_the_tasks_is_written_private_to_its_owner(tmp_path):
    Workspace(tmp_path / "home").add_calls(Call.from_record(record(n)) for n in range(40))
    done = protege("tasks", "--html", str(tmp_path / "map.html"), "--json", home=tmp_path / "home")
    path = Path(json.loads(done.stdout)["map"])
    assert path.stat().st_mode & 0o077 == 0 and "Sort the entry." not in path.read_text()
    both = protege("tasks", "--calls", "--html", str(path), home=tmp_path / "home")
    assert both.returncode == 2 and "--calls" in both.stderr


def test_too_few_calls_make_no_specialist_and_the_reason_says_how_many_are_missing(calls, tmp_path):
    home = tmp_path / "home"
    protege("collect", str(calls), home=home)
    done = protege("improve", "--json", home=home)
    assert done.returncode == 0, done.stderr
    (task,) = json.loads(done.stdout)["tasks"]
    assert task["decision"] == "teacher" and "more" in task["reason"]
    told = json.loads(protege("status", "--json", home=home).stdout)
    assert told["tasks"][0]["reason"] == task["reason"] and told["tasks"][0]["answered_by"] == "teacher"


def test_no_calls_at_all_is_said_and_is_no_failure(tmp_path):
    for command in ("tasks", "improve", "status"):
        done = protege(command, home=tmp_path / "home")
        assert done.returncode == 0, done.stderr
    assert "protege collect" in protege("tasks", home=tmp_path / "home").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("improve", "--kind", "magic"),
        ("improve", "--epsilon", "2"),
        ("improve", "no_such_task"),
        ("promote", "nobody"),
        ("evaluate", "nobody"),
        ("serve",),
        ("collect",),
    ],
)
def test_bad_usage_exits_with_2_a_fact_and_a_remedy(arguments, tmp_path):
    done = protege(*arguments, "--json", home=tmp_path / "home")
    error = json.loads(done.stdout)["error"]
    assert done.returncode == 2
    assert error["fact"] and error["remedy"]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("program", [("nowhere.py",), ("-m",)])
def test_a_program_that_is_not_there_cannot_be_recorded(program, tmp_path):
    done = protege("record", *program, home=tmp_path / "home")
    assert done.returncode == 2
    assert "protege record -m package.agent" in done.stderr


def test_a_base_that_is_no_gguf_is_refused(tmp_path, calls):
    (tmp_path / "base.gguf").write_bytes(b"no model" * 100)
    home = tmp_path / "home"
    many = tmp_path / "many.jsonl"
    many.write_text("".join(json.dumps(record(n)) + "\n" for n in range(400)))
    protege("collect", str(many), home=home)
    done = protege("improve", "--base", str(tmp_path / "base.gguf"), home=home)
    assert done.returncode == 1 and "GGUF" in done.stderr and "Traceback" not in done.stderr


def test_a_second_improve_on_the_same_home_is_refused(calls, tmp_path):
    home = tmp_path / "home"
    protege("collect", str(calls), home=home)
    with Workspace(home).lock():
        done = protege("improve", home=home)
    assert done.returncode == 1 and "Another process" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_cannot_be_written_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    done = protege("tasks", home=tmp_path / "home")
    assert done.returncode == 1 and "cannot be written" in done.stderr


def test_a_home_of_a_newer_version_is_refused(tmp_path):
    (tmp_path / "workspace.json").write_text('{"version": 99, "id": "x"}')
    done = protege("status", home=tmp_path)
    assert done.returncode == 1 and "newer" in done.stderr


BASE = Base("b", "b.gguf", "0", "gguf", "llama", "Apache-2.0", 2048, "")


def two_certified(home: Path) -> Workspace:
    """A workspace with two versions of one specialist."""
    workspace = Workspace(home)
    for version in (1, 2):
        name = f"sort-v{version}"
        workspace.save_specialist(Specialist(f"sp-{version}", name, "t-1", version, BASE, "slots", created=version))
        route = Route("t-1", f"sp-{version}", 0.5, "f", 0.05, 0.05, 100, 90, 0)
        workspace.save_route(route)
    return workspace


def test_promote_rollback_and_retire_change_who_answers(tmp_path):
    two_certified(tmp_path)
    assert protege("promote", "sort-v1", home=tmp_path).returncode == 0
    assert protege("promote", "sort-v2", home=tmp_path).returncode == 0
    assert states(tmp_path) == {"sort-v1": "retired", "sort-v2": "live"}
    done = protege("rollback", "sort-v2", "--json", home=tmp_path)
    assert json.loads(done.stdout) == {"retired": "sort-v2", "live": "sort-v1"}
    assert states(tmp_path) == {"sort-v1": "live", "sort-v2": "retired"}
    assert protege("retire", "sort-v1", home=tmp_path).returncode == 0
    assert states(tmp_path) == {"sort-v1": "retired", "sort-v2": "retired"}


def test_what_does_not_answer_is_not_rolled_back_and_its_retirement_changes_nothing(tmp_path):
    two_certified(tmp_path)
    for name in ("sort-v1", "sort-v2"):
        protege("promote", name, home=tmp_path)
    refused = protege("rollback", "sort-v1", home=tmp_path)
    assert refused.returncode == 2 and "does not answer" in refused.stderr
    done = protege("retire", "sort-v1", "--json", home=tmp_path)
    assert json.loads(done.stdout) == {"retired": "sort-v1", "live": "sort-v2"}
    assert states(tmp_path) == {"sort-v1": "retired", "sort-v2": "live"}
    # Nor does a rollback bring back what a person took out of service.
    assert json.loads(protege("rollback", "sort-v2", "--json", home=tmp_path).stdout)["live"] is None


def test_a_specialist_without_a_certified_threshold_is_not_promoted(tmp_path):
    Workspace(tmp_path).save_specialist(Specialist("sp-1", "sort-v1", "t-1", 1, BASE, "slots"))
    done = protege("promote", "sort-v1", home=tmp_path)
    assert done.returncode == 2 and "No threshold" in done.stderr


def states(home: Path) -> dict[str, str]:
    return {specialist.name: specialist.state for specialist in Workspace(home).specialists()}


def test_doctor_names_what_is_missing_with_its_remedy(tmp_path):
    done = protege("doctor", "--json", home=tmp_path / "home")
    findings = json.loads(done.stdout)["findings"]
    assert done.returncode in (0, 1)
    assert all(finding["remedy"] for finding in findings if finding["ok"] is False)


def test_report_is_written_private_to_its_owner(calls, tmp_path):
    home = tmp_path / "home"
    protege("collect", str(calls), home=home)
    protege("tasks", home=home)
    path = Path(json.loads(protege("report", "--json", home=home).stdout)["report"])
    assert path.stat().st_mode & 0o077 == 0 and "<html" in path.read_text()


def test_help_names_every_command(tmp_path):
    shown = protege("--help", home=tmp_path).stdout
    for command in (
        "collect",
        "tasks",
        "improve",
        "evaluate",
        "status",
        "serve",
        "promote",
        "rollback",
        "report",
        "doctor",
    ):
        assert command in shown


def test_a_damaged_home_is_said_in_one_error_and_repaired(calls, tmp_path):
    home = tmp_path / "home"
    protege("collect", str(calls), home=home)
    body = (home / "store.db").read_bytes()
    (home / "store.db").write_bytes(b"\0" * 4096 + body[4096:])
    failed = protege("status", home=home)
    assert failed.returncode == 1 and failed.stdout == "" and "protege doctor --repair" in failed.stderr
    assert "Traceback" not in failed.stderr and protege("off", home=home).returncode == 0
    told = json.loads(protege("doctor", "--repair", "--json", home=home).stdout)
    assert told["repair"]["fault"] and told["repair"]["off"] and Path(told["repair"]["kept"]).is_dir()
    assert "store" not in [finding["name"] for finding in told["findings"]]
    assert json.loads(protege("status", "--json", home=home).stdout)["calls"] == 40
    assert "Nothing is damaged." in protege("doctor", "--repair", home=home).stdout
