"""Parts by name: built in, registered here, or brought by a package."""

from __future__ import annotations

from pathlib import Path

import pytest
from protege.common.registry import Registry
from protege.errors import BadInput


@pytest.fixture
def registry() -> Registry[object]:
    return Registry("part", "protege.test_parts", {"list": "builtins:list", "gone": "protege_no_such_module:Part"})


def bring(folder: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """A distribution that has this entry point."""
    (folder / "theirs.dist-info").mkdir()
    (folder / "theirs.dist-info" / "entry_points.txt").write_text(f"[protege.test_parts]\n{line}\n")
    (folder / "theirs.dist-info" / "METADATA").write_text("Name: theirs\nVersion: 1\n")
    monkeypatch.syspath_prepend(str(folder))


def test_a_part_is_made_once(registry: Registry[object]) -> None:
    assert registry.get("list") == [] and registry.get("list") is registry.get("list")


def test_a_registered_one_replaces_the_one_built_in(registry: Registry[object]) -> None:
    assert registry.get("list") == []
    registry.register("list", dict)
    assert registry.get("list") == {} and registry.names() == ("list", "gone")


def test_another_package_brings_one(
    registry: Registry[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "set" not in registry
    bring(tmp_path, monkeypatch, "set = builtins:set")
    assert "set" in registry and registry.get("set") == set() and registry.names() == ("list", "gone", "set")


def test_no_package_replaces_one_built_in(
    registry: Registry[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(tmp_path, monkeypatch, "list = builtins:set")
    assert registry.get("list") == []


def test_an_unknown_name_is_refused_and_those_known_are_named(registry: Registry[object]) -> None:
    for refused in (registry.check, registry.get):
        with pytest.raises(BadInput, match=r"no part 'tuple'.*list, gone"):
            refused("tuple")


def test_what_cannot_be_loaded_is_told(
    registry: Registry[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ImportError):
        registry.get("gone")
    bring(tmp_path, monkeypatch, "broken = protege_no_such_module:Part")
    registry.check("broken")
    with pytest.raises(BadInput, match=r"'broken' cannot be loaded from protege_no_such_module:Part.*Install"):
        registry.get("broken")
