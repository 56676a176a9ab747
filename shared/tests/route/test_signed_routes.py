"""Only signed routes answer: signed by the key of whoever decides, for this home, in a home that is the user's."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from protege import Route, Specialist, Workspace
from protege.cli.doctor import checkup
from protege.cli.upkeep import trust as vouch
from protege.common.files import home_path
from protege.common.signing import PUBLIC_KEY_VAR
from protege.common.trust import distrust, is_trusted, trust
from protege.errors import WorkspaceError
from protege.loop import find_tasks
from protege.rollout import promote, publish, set_policy, switch
from protege.route import Router
from protege.route.belief import doubt, is_believed
from protege.route.sealing import parted, seal, unseal
from protege.route.table import TableFile, from_bytes, to_bytes
from protege.serve import open_engine
from protege.serve.embedded.client import Place
from protege.serve.embedded.kind import EmbeddedKind
from protege.serve.embedded.shared import publish as publish_engine
from protege.service import serve_forever
from protege.watch import look


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with an empty configuration folder."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in (PUBLIC_KEY_VAR, "PROTEGE_SIGNING_KEY_FILE", "PROTEGE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def table(home: Path) -> TableFile:
    return TableFile(home / "routes.json")


def answers(home: Path) -> bool:
    return bool(table(home).current().routes)


def come_along(workspace: Workspace, folder: Path) -> Path:
    """A copy of a home with all that lies in it, as a checkout or an archive brings it; and its maker's key is gone."""
    workspace.close()
    home = folder / ".protege"
    shutil.copytree(workspace.home, home)
    home.chmod(0o700)
    Path(os.environ["XDG_CONFIG_HOME"]).rename(folder.parent / f"their-config-{folder.name}")
    return home


AGENT = """
import sys, time
from pathlib import Path
from protege.route.table import TableFile
table = TableFile(Path(sys.argv[1]))
until_s = time.monotonic() + 20
while not table.current().routes and time.monotonic() < until_s:  # a call does not wait long for what is loaded first
    time.sleep(0.05)
print(*table.current().routes)
"""


def told(home: Path) -> str:
    found = doubt(home)
    return "" if found is None else " ".join(found)


def test_what_is_published_is_signed_and_answers_in_another_process(workspace: Workspace) -> None:
    body = (workspace.home / "routes.json").read_bytes()
    document, signature = parted(body)
    assert signature is not None and unseal(workspace.home, body) == document
    assert orjson.loads(body)["routes"] == orjson.loads(document)["routes"] != []
    said = subprocess.check_output([sys.executable, "-c", AGENT, str(workspace.home / "routes.json")], text=True)
    assert said == "colour\n"


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.replace(b'"threshold":0.8', b'"threshold":0.0'),
        lambda body: body.replace(b'"format":2', b'"format":1'),
        lambda body: parted(body)[0],
        lambda body: body[:-90] + bytes([body[-90] ^ 1]) + body[-89:],
        lambda body: b" " + body,
        lambda body: body + b"\n",
    ],
)
def test_what_was_changed_answers_no_more(
    workspace: Workspace, change: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    routes = workspace.home / "routes.json"
    body = routes.read_bytes()
    routes.write_bytes(change(body))
    assert routes.read_bytes() != body
    agent = table(workspace.home)
    with caplog.at_level(logging.WARNING, "protege.route"):
        for _ in range(3):
            agent._checked_s = float("-inf")
            assert not agent.current().routes
    assert caplog.text.count("Told once") == 1 and f"protege trust {workspace.home}" in caplog.text
    assert f"protege trust {workspace.home}" in told(workspace.home)
    publish(workspace)
    agent._checked_s = float("-inf")
    assert agent.current().routes and routes.read_bytes() == body


def test_it_may_not_be_hidden_that_there_are_routes(workspace: Workspace) -> None:
    """A document whose last field says that there are none is read as that, by whoever reads it."""
    document = parted((workspace.home / "routes.json").read_bytes())[0]
    for twice in (document[:-1] + b',"routes":[]}', b'{"routes":[],' + document[1:]):
        (workspace.home / "routes.json").write_bytes(twice)
        assert not answers(workspace.home)


def test_what_lets_nobody_answer_needs_no_signature(workspace: Workspace, user: Path) -> None:
    (workspace.home / "routes.json").write_bytes(to_bytes(workspace.tasks(), []))
    assert is_believed(workspace.home) and not answers(workspace.home)


def test_the_signature_of_another_home_is_none(workspace: Workspace, user: Path) -> None:
    other = Workspace(user / "other")
    shutil.copy(workspace.home / "routes.json", other.home)
    assert not answers(other.home) and answers(workspace.home)
    assert "another home" in told(other.home)


def test_a_signature_by_another_users_key_is_none(workspace: Workspace, user: Path) -> None:
    (user / "config").rename(user / "theirs")
    assert not answers(workspace.home)
    trust(workspace.home)
    assert not answers(workspace.home) and "no key" in told(workspace.home)
    seal(workspace.home, b"{}")  # makes a key
    assert not answers(workspace.home) and "another key" in told(workspace.home)
    publish(workspace)
    assert answers(workspace.home)


def test_a_cloned_home_answers_nobody_named_or_found(
    workspace: Workspace, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = come_along(workspace, user / "checkout")
    assert not answers(home) and f"protege trust {home}" in told(home)
    monkeypatch.setenv("PROTEGE_HOME", str(home))
    assert Router().decide(None).reason == "no live route"  # type: ignore[arg-type]
    monkeypatch.delenv("PROTEGE_HOME")
    monkeypatch.chdir(home.parent)
    assert Router().home == home and Router().decide(None).reason == "no live route"  # type: ignore[arg-type]


def test_looking_at_a_cloned_home_signs_nothing(workspace: Workspace, user: Path) -> None:
    home = come_along(workspace, user / "checkout")
    before = (home / "routes.json").read_bytes()
    publish(Workspace(home))  # says the same: another user's signature stays
    assert (home / "routes.json").read_bytes() == before
    ran = protege("status", "--home", str(home), "--json")
    assert ran.returncode == 0 and "protege trust" in ran.stdout
    (finding,) = (finding for finding in checkup(home) if finding.name == "home")
    assert finding.ok is False and "protege trust" in finding.remedy
    find_tasks(Workspace(home))  # publishes: without calls there are no tasks
    assert (home / "routes.json").read_bytes() != before and not answers(home)
    assert not (user / "config" / "protege" / "signing-key").exists()


def test_what_is_decided_in_a_cloned_home_is_not_signed(
    workspace: Workspace, user: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = come_along(workspace, user / "checkout")
    cloned = Workspace(home)
    (specialist,) = cloned.specialists()
    promote(cloned, specialist)
    assert "not signed" in caplog.text and not answers(home)
    caplog.clear()
    set_policy(cloned, None, {"latency_ms": 900})
    assert "not signed" in caplog.text
    assert parted((home / "routes.json").read_bytes())[1] is None and not answers(home)
    switch(cloned, None, off=True)
    assert not (user / "config" / "protege" / "signing-key").exists()


def test_trusting_a_home_signs_it_anew(workspace: Workspace, user: Path) -> None:
    home = come_along(workspace, user / "checkout")
    agent = table(home)
    assert not agent.current().routes
    vouch(home)
    agent._checked_s = float("-inf")
    assert agent.current().routes and told(home) == ""
    distrust(home)
    assert not answers(home)


def test_a_home_that_its_user_moves_or_copies_goes_on_where_it_is_named(workspace: Workspace, user: Path) -> None:
    workspace.close()
    copied = Path(shutil.copytree(workspace.home, user / "copied"))
    assert answers(copied) and is_believed(copied)
    publish(Workspace(copied))  # signed there too
    assert answers(copied)
    moved = copied.rename(user / "moved")
    assert answers(moved) and distrust(moved) and not answers(moved)
    assert answers(workspace.home)


def test_a_copy_that_is_found_in_the_working_folder_is_trusted_once(
    workspace: Workspace, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.close()
    shutil.copytree(workspace.home, user / "checkout" / ".protege")
    monkeypatch.chdir(user / "checkout")
    monkeypatch.delenv("PROTEGE_HOME", raising=False)
    home = home_path()
    assert not answers(home)
    vouch(home)
    assert answers(home)


@pytest.mark.parametrize("forged", [b"", b"0" * 64])
def test_a_proof_that_another_made_is_none(workspace: Workspace, user: Path, forged: bytes) -> None:
    home = come_along(workspace, user / "checkout")
    assert not is_trusted(home)  # their own proof, under their secret
    Workspace(user / "mine").close()
    (home / "home-proof").write_bytes(forged or (user / "mine" / "home-proof").read_bytes())
    assert not is_trusted(home)  # or one of another home of this user's


def test_a_home_of_an_older_version_is_signed_by_whoever_decides_next(
    workspace: Workspace, specialist: Specialist, live_route: Route
) -> None:
    document = orjson.loads(to_bytes(workspace.tasks(), [(live_route, specialist)]))
    (workspace.home / "routes.json").write_bytes(orjson.dumps({**document, "format": 1}))
    assert not answers(workspace.home) and "is not signed" in told(workspace.home)
    look(workspace)
    assert answers(workspace.home)


def test_agents_that_are_told_the_key_need_no_configuration(
    workspace: Workspace, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that has the home mounted: elsewhere, and without the user's configuration."""
    public = (user / "config" / "protege" / "signing-key.pub").read_text().strip()
    home = come_along(workspace, user / "mounted")
    assert not answers(home)
    monkeypatch.setenv(PUBLIC_KEY_VAR, public)
    assert answers(home) and is_believed(home) and not is_trusted(home)
    monkeypatch.setenv(PUBLIC_KEY_VAR, public[::-1])
    assert not answers(home) and PUBLIC_KEY_VAR in told(home)
    monkeypatch.setenv(PUBLIC_KEY_VAR, public)
    (home / "home-id").write_text("0" * 32)
    assert not answers(home)
    (home / "home-id").unlink()
    assert not answers(home) and "home-id" in told(home)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_another_users_agent_is_answered_by_roots_service(
    workspace: Workspace, specialist: Specialist, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.close()
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to other users
        home = Path(shutil.copytree(workspace.home, Path(folder) / "home"))
        for path, mode in ((home.parent, 0o755), (home, 0o755), *((home / name, 0o644) for name in OPENED)):
            path.chmod(mode)
        vouch(home)
        served = Workspace(home)
        served.save_specialist(replace(specialist, max_tokens=7))
        publish(served)  # writes the file anew
        public = (user / "config" / "protege" / "signing-key.pub").read_text()
        assert not seen_by_another(home)
        monkeypatch.setenv(PUBLIC_KEY_VAR, public)
        assert seen_by_another(home)


OPENED = ("routes.json", "home-id", "switch")


def seen_by_another(home: Path) -> bool:
    """Whether an agent that runs as nobody has routes in this home."""
    pid = os.fork()
    if not pid:
        os.environ["XDG_CONFIG_HOME"] = "/nowhere"
        os.setgid(65534)
        os.setuid(65534)
        os._exit(0 if answers(home) else 1)
    return os.waitpid(pid, 0)[1] == 0


def test_the_key_that_is_named_believes_no_home_without_signed_routes(
    user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Workspace(user / "own")
    seal(user / "own", b"{}")
    monkeypatch.setenv(PUBLIC_KEY_VAR, (user / "config" / "protege" / "signing-key.pub").read_text())
    planted = user / "planted"
    (planted / "journal").mkdir(parents=True, mode=0o700)
    planted.chmod(0o700)
    started: list[Path] = []
    assert not Router(planted, connect=lambda home: None, start=started.append).wait_until_ready(0.1)
    (planted / "routes.json").write_bytes(to_bytes([], []))
    assert not Router(planted, connect=lambda home: None, start=started.append).wait_until_ready(0.1)
    assert not started


def test_a_cloned_home_starts_no_engine_and_its_engine_is_not_asked(
    workspace: Workspace, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = come_along(workspace, user / "checkout")
    (user / "sockets").mkdir(mode=0o700)
    publish_engine(home, {"s1": Place(str(user / "sockets" / "a.sock"), "token", None, False, "f" * 64)})
    asked: list[Any] = []
    started: list[Path] = []
    router = Router(home, connect=asked.append, start=started.append)
    assert not router.wait_until_ready(0.1)
    for _ in range(3):
        router._table._checked_s = float("-inf")
        assert router.decide(None).reason == "no live route"  # type: ignore[arg-type]
    assert not asked and not started
    cloned = Workspace(home)
    (specialist,) = cloned.specialists()
    with pytest.raises(WorkspaceError, match="protege trust"):
        serve_forever(cloned, [specialist], on_moved=lambda *_: None)
    with pytest.raises(WorkspaceError, match="protege trust"):
        open_engine(cloned, specialist)
    (finding,) = EmbeddedKind().findings(home)
    assert "not looked at" in finding.fact


def test_where_routes_cannot_be_signed_the_teacher_answers_and_whoever_decides_is_told(
    workspace: Workspace, user: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (user / "config" / "protege" / "signing-key").chmod(0o644)
    (specialist,) = workspace.specialists()
    with pytest.raises(WorkspaceError, match="others may read or write it"):
        promote(workspace, specialist)
    publish(workspace)  # nothing has changed, so that nothing is signed
    assert answers(workspace.home)
    (workspace.home / "routes.json").unlink()
    publish(workspace)
    assert not answers(workspace.home) and "mode 600" in caplog.text
    look(workspace)
    (user / "config" / "protege" / "signing-key").chmod(0o600)
    publish(workspace)
    assert answers(workspace.home)


def test_an_agent_without_the_library_goes_on_with_its_teacher(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    assert not answers(workspace.home)
    assert "pip install cryptography" in caplog.text and "pip install cryptography" in told(workspace.home)


def test_an_agent_follows_a_key_that_comes_later(workspace: Workspace, user: Path) -> None:
    public = user / "config" / "protege" / "signing-key.pub"
    public.rename(user / "away")
    agent = table(workspace.home)
    assert not agent.current().routes
    (user / "away").rename(public)
    time.sleep(0.3)
    assert agent.current().routes


def test_a_home_in_a_folder_that_was_empty_is_the_users(user: Path) -> None:
    (user / "volume").mkdir(mode=0o700)
    Workspace(user / "volume")
    assert is_trusted(user / "volume")
    (user / "full").mkdir(mode=0o700)
    (user / "full" / "store.db").touch()
    Workspace(user / "full").close()
    assert not is_trusted(user / "full")
    assert not distrust(user / "full")


def test_reading_a_signed_file_as_json_needs_no_key(workspace: Workspace) -> None:
    """The switch takes answers away by it, in any home."""
    assert from_bytes((workspace.home / "routes.json").read_bytes()).routes.keys() == {"colour"}


def protege(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from protege.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)
