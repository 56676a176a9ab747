"""What tuning accepts: made by curate, or read as it was saved."""

from __future__ import annotations

import dataclasses
import functools
import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from protege.call import Call, Request
from protege.curate import PARTS, Curated, CurateSettings
from protege.curate import curate as curate_with
from protege.errors import BadInput, WorkspaceError
from protege.redact import RedactionPolicy
from protege.task import Task, Template

curate = functools.partial(curate_with, policy=RedactionPolicy(types=frozenset(), model=False))
"""Without the search for personal data, which takes most of the time and finds names in words made by chance."""

TASK = Task(id="t1", name="open", kind="text", templates=(Template("s1"),))


def made(seed: int = 0) -> Curated:
    texts = [f"{a} {b}" for a in ("red", "green", "blue", "black") for b in "abcdefghijklmnopqrstuvwxyz"]
    calls = [
        Call(
            id=f"c{i:03}",
            request=Request(({"role": "user", "content": text},)),
            response={"role": "assistant", "content": text.upper()},
        )
        for i, text in enumerate(texts)
    ]
    return curate(TASK, calls, CurateSettings(min_calibration=5, min_train=5, min_validation=5, seed=seed))


def test_what_was_saved_is_what_is_loaded(tmp_path: Path):
    curated = made()
    loaded = Curated.load(curated.save(tmp_path / "datasets" / curated.hash))
    assert (loaded.hash, loaded.provenance) == (curated.hash, curated.provenance)
    assert [p.to_list() for p in loaded.parts.values()] == [p.to_list() for p in curated.parts.values()]


def test_only_the_owner_can_read_it(tmp_path: Path):
    folder = made().save(tmp_path / "set")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}


def test_saving_again_changes_nothing_and_another_set_is_not_overwritten(tmp_path: Path):
    made().save(tmp_path / "set")
    made().save(tmp_path / "set")
    with pytest.raises(WorkspaceError, match="another data set"):
        made(seed=1).save(tmp_path / "set")
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_it_cannot_be_made_by_hand():
    curated = made()
    fields = {f.name: getattr(curated, f.name) for f in dataclasses.fields(curated)}
    with pytest.raises(TypeError, match=r"protege\.curate"):
        Curated(**fields)
    with pytest.raises(TypeError, match=r"protege\.curate"):
        dataclasses.replace(curated, train=curated.test)


@pytest.mark.parametrize("name", ["train.jsonl", "calibration.jsonl", "curated.json"])
def test_a_changed_file_is_refused(tmp_path: Path, name: str):
    folder = made().save(tmp_path / "set")
    file = folder / name
    file.write_bytes(file.read_bytes().replace(b"red", b"odd").replace(b'"usable":', b'"Usable":'))
    with pytest.raises(BadInput, match="changed"):
        Curated.load(folder)


@pytest.mark.parametrize("name", ["train.jsonl", "curated.json"])
def test_a_missing_or_cut_off_file_is_refused(tmp_path: Path, name: str):
    folder = made().save(tmp_path / "set")
    file = folder / name
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(BadInput):
        Curated.load(folder)
    file.unlink()
    with pytest.raises(BadInput, match="no complete data set"):
        Curated.load(folder)


def test_rows_moved_from_test_to_train_are_refused(tmp_path: Path):
    folder = made().save(tmp_path / "set")
    with (folder / "train.jsonl").open("ab") as file:
        file.write((folder / "test.jsonl").read_bytes())
    with pytest.raises(BadInput, match="changed"):
        Curated.load(folder)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="cannot be written"):
        made().save(tmp_path / "file" / "set")


def test_provenance_says_what_it_was_made_from_and_holds_no_content():
    provenance = made().provenance
    counts = provenance["counts"]
    assert counts["calls"] == counts["usable"] == sum(counts[name] for name in PARTS) == 104
    assert set(provenance["hashes"]["train"]) == {"sha256", "ids_sha256"}
    assert b"green" not in orjson.dumps(provenance)


def test_importing_loads_no_data_library_and_curating_writes_nothing_at_home(tmp_path: Path):
    script = (
        "import sys, protege.curate\n"
        "assert not {'datasets', 'pandas', 'torch'} & set(sys.modules)\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "import test_curated\n"
        "test_curated.made().save(test_curated.Path(sys.argv[2]))\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "XDG_"))} | {"HOME": str(home)}
    subprocess.run(
        [sys.executable, "-B", "-c", script, str(Path(__file__).parent), str(tmp_path / "set")],
        env=environment,
        check=True,
        capture_output=True,
    )
    assert list(home.iterdir()) == []
