"""A home answers only if Protégé made it for this user, or the user trusts it, whether it is found or named."""

from __future__ import annotations

import json
import logging
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from protege import Workspace
from protege.collect import Recorder
from protege.common.files import home_path
from protege.common.trust import distrust, is_trusted, make_home, trust, trusted_homes
from protege.errors import WorkspaceError
from protege.rollout import publish
from protege.route import Router
from protege.route.belief import doubt, is_believed


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with an empty configuration folder, who works in a folder of his own."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("PROTEGE_HOME", raising=False)
    return tmp_path


def checked_out(folder: Path) -> Path:
    """A home that came along with a checkout, as the user's own files."""
    home = folder / ".protege"
    (home / "journal").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    return home


def protege(*arguments: str) -> tuple[int, Any, str]:
    ran = subprocess.run(
        [sys.executable, "-c", "from protege.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, json.loads(ran.stdout) if "--json" in arguments else ran.stdout, ran.stderr


def test_a_home_that_came_with_a_checkout_is_not_believed_until_it_is_trusted(user: Path) -> None:
    home = checked_out(user / "work")
    assert home_path() == home and not is_believed(home)
    found = doubt(home)
    assert found is not None and f"protege trust {home}" in found.remedy
    trust(home)
    assert is_believed(home) and trusted_homes() == [home]
    assert distrust(home) and not is_believed(home) and not distrust(home)


def test_a_home_that_was_made_here_is_believed(user: Path) -> None:
    Workspace().close()
    assert is_believed(home_path())
    (user / "other").mkdir()
    os.chdir(user / "other")
    recorder = Recorder()  # an agent is often there first
    recorder.record({"messages": [{"role": "user", "content": "Hello"}]})
    recorder.close()
    assert recorder.lost == 0 and is_believed(home_path())
    assert trusted_homes() == [user / "other" / ".protege", user / "work" / ".protege"]


def test_a_home_that_came_with_a_checkout_is_not_believed_for_being_named(
    user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = checked_out(user / "elsewhere")
    assert not is_believed(home_path(named))
    monkeypatch.setenv("PROTEGE_HOME", str(named))
    assert home_path() == named and not is_believed(home_path())
    trust(named)
    assert is_believed(home_path())


def test_a_home_that_was_made_by_name_is_believed(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROTEGE_HOME", str(user / "named"))
    Workspace().close()
    assert is_believed(home_path()) and trusted_homes() == [user / "named"]


def test_a_copy_and_a_home_in_the_place_of_another_are_not_believed(user: Path) -> None:
    Workspace().close()
    home = home_path()
    shutil.copytree(home, user / "copy" / ".protege")
    os.chdir(user / "copy")
    assert not is_believed(home_path())
    os.chdir(user / "work")
    assert is_believed(home_path())
    shutil.rmtree(home)
    checked_out(user / "work")
    assert not is_believed(home_path())
    (home / "home-id").write_text("0" * 32)
    assert not is_believed(home_path())


def test_a_link_to_a_home_of_anybodys_is_not_believed(user: Path) -> None:
    theirs = checked_out(user / "theirs")
    (user / "work" / ".protege").symlink_to(theirs)
    assert not is_believed(home_path())


def test_the_record_is_private_and_counts_only_as_long_as_it_is(user: Path) -> None:
    Workspace().close()
    folder = user / "config" / "protege"
    (file,) = (folder / "homes").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for path in (folder, file.parent):
        path.chmod(0o777)
        assert not is_believed(home_path())
        path.chmod(0o700)
    assert is_believed(home_path())
    file.write_text("{")
    assert not is_believed(home_path())


def test_without_a_configuration_folder_the_agent_goes_on(user: Path) -> None:
    (user / "config").touch()
    recorder = Recorder()
    recorder.record({"messages": [{"role": "user", "content": "Hello"}]})
    recorder.close()
    assert recorder.lost == 0 and not is_trusted(home_path())
    with pytest.raises(OSError):
        trust(home_path())


def test_a_folder_that_holds_anything_is_not_taken_for_ones_own(user: Path) -> None:
    (user / "empty").mkdir(mode=0o700)
    (user / "full" / "specialists").mkdir(parents=True, mode=0o700)
    for name in ("empty", "full"):
        make_home(user / name)
    assert trusted_homes() == [user / "empty"]


def test_an_id_of_another_form_is_made_anew_by_trust(user: Path) -> None:
    home = checked_out(user / "work")
    (home / "home-id").write_text("anything")
    assert not is_trusted(home)
    trust(home)
    assert is_trusted(home) and len((home / "home-id").read_text()) == 32


def test_an_untrusted_home_starts_no_engine_and_is_told_once(user: Path, caplog: pytest.LogCaptureFixture) -> None:
    (checked_out(user / "work") / "routes.json").write_bytes(b"{}")
    started: list[Path] = []
    router = Router(connect=lambda home: None, start=started.append)
    with caplog.at_level(logging.WARNING, "protege.route"):
        assert not router.wait_until_ready(0.2)
        for _ in range(3):
            router._table._checked_s = float("-inf")
            router._table.current()
    assert not started
    assert caplog.text.count("Told once") == 1 and "protege trust" in caplog.text


def test_the_commands_tell_trust_and_take_it_back(user: Path) -> None:
    home = checked_out(user / "work")
    code, said, _ = protege("status", "--json")
    assert code == 0 and "nobody made or trusted it here" in said["doubt"]["fact"]
    _, findings, _ = protege("doctor", "--json")
    (found,) = (finding for finding in findings["findings"] if finding["name"] == "home")
    assert found["ok"] is False and f"protege trust {home}" in found["remedy"]
    assert "The teacher answers agents" in protege("status")[2]

    assert protege("trust", "--json") == (0, {"home": str(home), "trusted": True}, "")
    assert protege("status", "--json")[1]["doubt"] is None
    assert protege("trust", "--list", "--json")[1] == {"homes": [{"home": str(home), "state": "there"}]}
    assert protege("trust", str(user / "work"), "--remove", "--json")[1] == {"home": str(home), "removed": True}
    assert protege("status", "--json")[1]["doubt"] is not None
    assert protege("trust", str(user / "nowhere"), "--json")[0] == 2


def test_trusting_a_home_that_others_can_write_says_that_it_is_not_believed(user: Path) -> None:
    home = checked_out(user / "work")
    home.chmod(0o777)
    code, _, told = protege("trust")
    assert code == 0 and "go-w" in told


def test_where_the_record_cannot_be_written_the_remedy_is_another_folder(user: Path) -> None:
    checked_out(user / "work")
    (user / "config").touch()
    code, said, _ = protege("trust", "--json")
    assert code == WorkspaceError.exit_code and "XDG_CONFIG_HOME" in said["error"]["remedy"]


def test_publishing_into_a_home_of_ones_own_answers(user: Path) -> None:
    publish(Workspace())
    assert is_believed(home_path())
