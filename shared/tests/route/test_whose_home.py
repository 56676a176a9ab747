"""A home answers only where it and its files are this user's or root's, and nobody else can write there."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from protege import Workspace
from protege.cli.doctor import checkup
from protege.common.files import distrusted
from protege.rollout import publish
from protege.route.belief import BELIEVED
from protege.route.table import TableFile

ROOT = os.geteuid() == 0


def answers(workspace: Workspace) -> bool:
    return bool(TableFile(workspace.home / "routes.json").current().routes)


@pytest.fixture
def published(workspace: Workspace) -> Workspace:
    publish(workspace)
    assert answers(workspace)
    return workspace


@pytest.mark.parametrize("name", ["", *BELIEVED])
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o702])
def test_what_others_may_write_is_not_believed(published: Workspace, name: str, mode: int) -> None:
    path = published.home / name
    path.touch()
    path.chmod(mode)
    assert distrusted(published.home, BELIEVED) == path
    assert not answers(published)
    path.chmod(0o700)
    assert answers(published)


@pytest.mark.skipif(not ROOT, reason="only root gives files away")
@pytest.mark.parametrize("name", ["", *BELIEVED])
def test_what_belongs_to_another_user_is_not_believed(published: Workspace, name: str) -> None:
    path = published.home / name
    path.touch(mode=0o600)
    os.chown(path, 65534, 65534)
    assert not answers(published)
    os.chown(path, 0, 0)
    assert answers(published)


def test_a_link_to_what_others_may_write_is_not_believed(published: Workspace, tmp_path: Path) -> None:
    routes, elsewhere = published.home / "routes.json", tmp_path / "elsewhere.json"
    routes.rename(elsewhere)
    elsewhere.chmod(0o666)
    routes.symlink_to(elsewhere)
    assert not answers(published)


def test_it_is_told_once_and_by_doctor(published: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    published.home.chmod(0o777)
    table = TableFile(published.home / "routes.json")
    with caplog.at_level(logging.WARNING, "protege.route"):
        for _ in range(3):
            table._checked_s = float("-inf")
            assert not table.current().routes
    assert caplog.text.count("Told once") == 1
    (home,) = (finding for finding in checkup(published.home) if finding.name == "home")
    assert home.ok is False and "go-w" in home.remedy


def test_homes_that_we_make_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        workspace = Workspace(tmp_path / "home")
        publish(workspace)
    finally:
        os.umask(before)
    assert distrusted(workspace.home, BELIEVED) is None
