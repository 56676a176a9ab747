"""The key that signs routes: made once, private, and never replaced unasked."""

from __future__ import annotations

import base64
import multiprocessing
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from protege.common.signing import KEY_FILE_VAR, PUBLIC_KEY_VAR, believed_key, is_signed, sign
from protege.errors import WorkspaceError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's configuration folder, which is not there yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in (KEY_FILE_VAR, PUBLIC_KEY_VAR):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "protege"


def test_what_is_signed_is_known_and_nothing_else(folder: Path) -> None:
    signature = sign(b"message")
    assert is_signed(b"message", signature)
    assert not is_signed(b"massage", signature)
    assert not is_signed(b"message", signature[:-1] + bytes([signature[-1] ^ 1]))
    assert not is_signed(b"message", b"short")


def test_the_private_half_is_for_its_owner_only_and_stays_the_same(folder: Path) -> None:
    before = os.umask(0)
    try:
        first = sign(b"message")
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "signing-key").stat().st_mode) == 0o600
    assert sign(b"message") == first
    assert base64.b64decode((folder / "signing-key.pub").read_text()) == believed_key()
    assert (folder / "signing-key").read_text() != (folder / "signing-key.pub").read_text()


def test_processes_that_sign_first_at_once_have_one_key(folder: Path) -> None:
    fork = multiprocessing.get_context("fork")
    told = fork.SimpleQueue()
    at_once = fork.Barrier(8)

    def run() -> None:
        at_once.wait(10)
        told.put(sign(b"message"))

    processes = [fork.Process(target=run) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(20)
    assert [process.exitcode for process in processes] == [0] * 8
    signatures = {told.get() for _ in processes}
    assert len(signatures) == 1 and is_signed(b"message", signatures.pop())
    assert sorted(file.name for file in folder.iterdir()) == ["signing-key", "signing-key.pub"]


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o640, 0o604])
def test_a_private_half_that_others_can_read_or_write_is_refused(folder: Path, mode: int) -> None:
    sign(b"message")
    (folder / "signing-key").chmod(mode)
    with pytest.raises(WorkspaceError, match="others may read or write it"):
        sign(b"message")


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_public_half_that_others_can_write_is_not_believed(folder: Path, mode: int) -> None:
    signature = sign(b"message")
    (folder / "signing-key.pub").chmod(mode)
    with pytest.raises(WorkspaceError, match="no key"):
        is_signed(b"message", signature)
    (folder / "signing-key.pub").chmod(0o600)
    folder.chmod(0o755)
    with pytest.raises(WorkspaceError, match="no key"):
        is_signed(b"message", signature)


def test_a_private_half_that_is_gone_is_not_replaced(folder: Path) -> None:
    """Agents would leave what was signed with it, in every other home."""
    sign(b"message")
    (folder / "signing-key").unlink()
    with pytest.raises(WorkspaceError, match=r"it is gone.*remove signing-key\.pub"):
        sign(b"message")
    assert not (folder / "signing-key").exists()
    (folder / "signing-key.pub").unlink()
    assert is_signed(b"message", sign(b"message"))


def test_a_public_half_that_is_gone_is_written_again(folder: Path) -> None:
    signature = sign(b"message")
    (folder / "signing-key.pub").unlink()
    with pytest.raises(WorkspaceError, match="no key"):
        is_signed(b"message", signature)
    assert is_signed(b"message", sign(b"message"))


@pytest.mark.parametrize("body", ["", "no key", base64.b64encode(bytes(31)).decode()])
def test_a_damaged_key_is_told(folder: Path, body: str) -> None:
    sign(b"message")
    (folder / "signing-key").write_text(body)
    with pytest.raises(WorkspaceError, match="damaged"):
        sign(b"message")
    (folder / "signing-key.pub").write_text(body)
    with pytest.raises(WorkspaceError, match="no key"):
        is_signed(b"message", bytes(64))


def test_a_folder_that_cannot_be_written_is_told_with_what_helps(folder: Path) -> None:
    folder.touch()
    with pytest.raises(WorkspaceError, match=rf"cannot be used.*{KEY_FILE_VAR}"):
        sign(b"message")


def test_the_private_half_may_lie_elsewhere(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "secrets" / "key"
    key.parent.mkdir(mode=0o755)
    monkeypatch.setenv(KEY_FILE_VAR, str(key))
    assert is_signed(b"message", sign(b"message"))
    assert [file.name for file in folder.iterdir()] == ["signing-key.pub"]
    key.parent.chmod(0o777)
    with pytest.raises(WorkspaceError, match="others may write its folder"):
        sign(b"message")


def test_the_environment_names_the_key_of_whoever_decides(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signature = sign(b"message")
    public = (folder / "signing-key.pub").read_text().strip()
    folder.rename(folder.with_name("deciders"))
    with pytest.raises(WorkspaceError, match=PUBLIC_KEY_VAR):
        is_signed(b"message", signature)
    monkeypatch.setenv(PUBLIC_KEY_VAR, public)
    assert is_signed(b"message", signature) and not folder.exists()
    monkeypatch.setenv(PUBLIC_KEY_VAR, base64.b64encode(bytes(32)).decode())
    assert not is_signed(b"message", signature)
    monkeypatch.setenv(PUBLIC_KEY_VAR, "nonsense")
    with pytest.raises(WorkspaceError, match="is no public key"):
        is_signed(b"message", signature)


def test_without_the_library_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    signature = sign(b"message")
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    for use in (lambda: sign(b"message"), lambda: is_signed(b"message", signature)):
        with pytest.raises(WorkspaceError, match="pip install cryptography"):
            use()


def test_the_library_is_loaded_by_the_first_use(tmp_path: Path) -> None:
    program = """
import sys
import protege.adapter, protege.rollout.publishing
from protege import Request, Workspace
from protege.rollout import publish
from protege.route import Router
publish(Workspace(sys.argv[1]))
assert Router(sys.argv[1]).decide(Request(({"role": "user", "content": "a rose"},))).reason == "no live route"
assert not [name for name in sys.modules if name.startswith("cryptography")]
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "home")], check=True)
