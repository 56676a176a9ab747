"""What cannot be served is refused with the fact and its remedy, before or as it is loaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from protege.errors import BaseModelError, MissingDependency, ResourceError
from protege.serve import serve
from protege.specialist import Base, Specialist
from protege.workspace import Workspace


@pytest.fixture
def home(make_workspace: Callable[[], Workspace]) -> Workspace:
    return make_workspace()


@pytest.fixture
def specialist(home: Workspace) -> Specialist:
    return home.specialists()[0]


def with_base(specialist: Specialist, path: Path) -> Specialist:
    import hashlib

    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "0" * 64
    return replace(specialist, base=replace(specialist.base, path=str(path), sha256=digest))


def test_a_cut_off_base_is_refused_with_the_reason(
    home: Workspace, specialist: Specialist, base: Base, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.gguf"
    with Path(base.path).open("rb") as file:
        cut.write_bytes(file.read(20_000_000))
    with pytest.raises(BaseModelError, match="corrupted or incomplete"):
        serve(home, [with_base(specialist, cut)])


def test_a_base_that_is_no_gguf_file_is_refused(home: Workspace, specialist: Specialist, tmp_path: Path) -> None:
    text = tmp_path / "model.gguf"
    text.write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(BaseModelError, match="not a GGUF file"):
        serve(home, [with_base(specialist, text)])


def test_a_missing_base_is_named(home: Workspace, specialist: Specialist, tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match=r"nowhere\.gguf"):
        serve(home, [with_base(specialist, tmp_path / "nowhere.gguf")])


def test_weights_other_than_those_that_were_tuned_are_refused(home: Workspace, specialist: Specialist) -> None:
    other = home.specialists()[1]
    path = home.specialist_folder(specialist) / "lora.gguf"
    path.write_bytes((home.specialist_folder(other) / "lora.gguf").read_bytes())
    with pytest.raises(BaseModelError, match="not the file that was tuned"):
        serve(home, [specialist])


def test_damaged_weights_are_refused_with_the_reason(home: Workspace, specialist: Specialist) -> None:
    path = home.specialist_folder(specialist) / "lora.gguf"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(BaseModelError, match="cannot be loaded"):
        serve(home, [replace(specialist, digests={})])


def test_a_specialist_without_such_weights_is_named(home: Workspace, specialist: Specialist) -> None:
    with pytest.raises(BaseModelError, match=specialist.name):
        serve(home, [replace(specialist, files={})], as_="merged")


def test_too_little_memory_is_told_before_anything_is_loaded(
    home: Workspace, specialist: Specialist, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=200 << 20))
    with pytest.raises(ResourceError, match="GiB"):
        serve(home, [specialist])


def test_without_the_library_its_extra_is_named(
    home: Workspace, specialist: Specialist, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> Any:
        return None if name == "xllamacpp" else found(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    with pytest.raises(MissingDependency, match=r"protege\[serve\]"):
        serve(home, [specialist])
