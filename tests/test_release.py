"""The script that writes a release, run on a copy of what it writes into; no test touches the repository."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import protege
import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
VERSION, CHANGELOG = "shared/src/protege/__init__.py", "docs/CHANGELOG.md"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    projects = [str(path.relative_to(ROOT)) for path in ROOT.glob("packages/*/pyproject.toml")]
    for name in (VERSION, CHANGELOG, *projects):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    changelog = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n\n## [0.1.0] - 2026-11-29\n\nThe first.\n"
    (tmp_path / CHANGELOG).write_text(changelog)
    return tmp_path


def release(tree: Path, version: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / ".github/release.py"), version, "--date", "2030-01-02", "--root", str(tree)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def contents(tree: Path) -> dict[str, str]:
    return {str(path.relative_to(tree)): path.read_text() for path in tree.rglob("*") if path.is_file()}


def test_a_release_writes_version_changelog_and_what_our_distributions_ask_for(tree: Path):
    before = contents(tree)
    done = release(tree, "7.8.9")
    assert done.returncode == 0, done.stderr
    assert "git tag v7.8.9" in done.stdout
    after = contents(tree)
    assert after[VERSION] == before[VERSION].replace(f'"{protege.__version__}"', '"7.8.9"')
    assert after[CHANGELOG] == before[CHANGELOG].replace("[Unreleased]\n", "[Unreleased]\n\n## [7.8.9] - 2030-01-02\n")
    for name in (name for name in before if name.endswith("pyproject.toml")):
        needs = map(Requirement, tomllib.loads(after[name])["project"]["dependencies"])
        ours = [need.specifier for need in needs if need.name.startswith("protege")]
        assert [str(specifier) for specifier in ours] == ["<7.9,>=7.8"]
        assert "7.8.9" not in after[name]


@pytest.mark.parametrize(
    ("version", "reason"),
    [("0.0.1", "does not follow"), (protege.__version__, "does not follow"), ("1.0", "of the form 1.2.3")],
)
def test_a_version_that_does_not_follow_is_refused_and_nothing_is_written(tree: Path, version: str, reason: str):
    before = contents(tree)
    done = release(tree, version)
    assert done.returncode == 1
    assert reason in done.stderr
    assert contents(tree) == before


@pytest.mark.parametrize(
    ("changelog", "reason"),
    [
        ("# Changelog\n\n## [0.1.0]\n\nThe first.\n", "no Unreleased"),
        ("## [Unreleased]\n\n## [0.1.0]\n\n-\n", "Nothing"),
    ],
)
def test_a_release_without_a_word_about_it_is_refused_and_nothing_is_written(tree: Path, changelog: str, reason: str):
    (tree / CHANGELOG).write_text(changelog)
    before = contents(tree)
    done = release(tree, "7.8.9")
    assert done.returncode == 1
    assert reason in done.stderr
    assert contents(tree) == before


def test_the_changelog_of_the_repository_tells_of_the_current_version():
    changelog = (ROOT / CHANGELOG).read_text()
    assert "\n## [Unreleased]\n" in changelog
    assert f"\n## [{protege.__version__}] - " in changelog


def test_a_list_of_parts_needs_no_version_and_a_release_needs_one(tmp_path: Path):
    script = [sys.executable, str(ROOT / ".github/release.py")]
    for arguments in ([], ["7.8.9", "--sbom", str(tmp_path / "parts.json")]):
        assert subprocess.run([*script, *arguments], capture_output=True, check=False).returncode == 2
