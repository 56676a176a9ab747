"""What is found on this machine."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from protege.errors import BaseModelError
from protege.select import base_paths, find_bases

Write = Callable[..., Path]


def test_a_bare_machine_has_none(tmp_path: Path) -> None:
    assert find_bases(tmp_path / "home") == []


def test_those_asked_for_come_first_and_each_once(
    write_gguf: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, variable = write_gguf("given.gguf", name="Given"), write_gguf("variable.gguf", name="Variable")
    write_gguf("home/models/kept.gguf", name="Kept")
    write_gguf("home/models/copy.gguf", name="Given")
    monkeypatch.setenv("PROTEGE_BASE", os.pathsep.join([str(variable), str(given)]))
    found = find_bases(tmp_path / "home", [given])
    assert [base.name for base in found] == ["Given", "Variable", "Kept"]
    assert found[0].path == str(given)


def test_a_base_of_the_catalogue_can_be_asked_for_by_name(write_gguf: Write, tmp_path: Path) -> None:
    write_gguf("home/models/SmolLM2-135M-Instruct.Q4_1.gguf")
    assert [base.name for base in find_bases(tmp_path / "home", ["smollm2-135m-instruct"])] == ["SmolLM2-135M-Instruct"]
    with pytest.raises(BaseModelError, match=r"is not on this machine\. Get it: ollama pull qwen3:0.6b"):
        find_bases(tmp_path / "home", ["Qwen3-0.6B"])


def test_one_asked_for_that_cannot_be_used_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BaseModelError, match="There is no base model"):
        find_bases(None, [tmp_path / "gone.gguf"])
    monkeypatch.setenv("PROTEGE_BASE", str(tmp_path / "gone.gguf"))
    with pytest.raises(BaseModelError, match="There is no base model"):
        find_bases()


def test_one_that_merely_lies_about_is_left_out_and_logged(
    write_gguf: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_gguf("home/models/good.gguf")
    (tmp_path / "home" / "models" / "bad.gguf").write_bytes(b"nothing")
    with caplog.at_level(logging.INFO):
        assert [base.name for base in find_bases(tmp_path / "home")] == ["Tiny"]
    assert "bad.gguf is not a GGUF file" in caplog.text


def test_ollamas_store_is_read_by_its_manifests(write_gguf: Write, bare_machine: Path) -> None:
    store = bare_machine / ".ollama" / "models"
    blob = store / "blobs" / f"sha256-{'12ab' * 16}"
    blob.parent.mkdir(parents=True)
    write_gguf("blob.gguf", name="Qwen3 0.6B").rename(blob)
    manifests = store / "manifests" / "registry" / "library" / "qwen3"
    manifests.mkdir(parents=True)
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{'12ab' * 16}"}
    (manifests / "0.6b").write_text(json.dumps({"layers": [layer, {"mediaType": "x", "digest": "sha256:ff"}]}))
    (manifests / "broken").write_text("{")
    (manifests / "odd").write_text(json.dumps({"layers": [{**layer, "digest": f"sha256:{'9' * 64}"}]}))
    (manifests / "outside").write_text(json.dumps({"layers": [{**layer, "digest": "sha256:../../../../etc/passwd"}]}))
    ours = store / "manifests" / "registry" / "protege" / "ab12-sort"
    ours.mkdir(parents=True)
    tuned = write_gguf("tuned.gguf", name="Sort").rename(blob.with_name(f"sha256-{'34cd' * 16}"))
    (ours / "v1").write_text(json.dumps({"layers": [{**layer, "digest": tuned.name.replace("-", ":")}]}))
    assert [(base.name, base.path) for base in find_bases()] == [("Qwen3-0.6B", str(blob))]


def test_the_hubs_cache_gives_the_newest_snapshots_files(
    write_gguf: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    old = write_gguf("hub/models--org--Tiny-GGUF/snapshots/old/a.gguf", name="Old")
    new = write_gguf("hub/models--org--Tiny-GGUF/snapshots/new/sub/a.gguf", name="New")
    os.utime(old.parent, (1, 1))
    assert [base.path for base in find_bases()] == [str(new)]


def test_paths_of_bases_are_listed_without_being_read(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "models"
    folder.mkdir(parents=True)
    (folder / "broken.gguf").write_bytes(b"")
    assert base_paths(tmp_path / "home") == [folder / "broken.gguf"]
