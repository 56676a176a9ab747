"""The built-in store and a toy of somebody else's pass the same suite; the toy is found by its entry point alone."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from protege import Workspace
from protege.errors import BadInput, WorkspaceError
from protege.store import register, store_names
from protege.testing.stores import StoreConformance

TOY = Path(__file__).parent / "toy"


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if `pip install toy-store` had been said."""
    monkeypatch.syspath_prepend(str(TOY))


class TestSqlite(StoreConformance):
    @pytest.fixture
    def store(self) -> str:
        return "sqlite"


class TestToy(StoreConformance):
    @pytest.fixture
    def store(self) -> str:
        return "toy"


def test_both_are_there() -> None:
    assert {"sqlite", "toy"} <= {*store_names()}


def test_the_home_records_its_store_and_is_opened_with_it(tmp_path: Path) -> None:
    Workspace(tmp_path, "toy").cache("a", 1)
    assert orjson.loads((tmp_path / "workspace.json").read_bytes())["store"] == "toy"
    assert Workspace(tmp_path).cached("a") == 1 and not (tmp_path / "store.db").exists()
    with pytest.raises(WorkspaceError, match="uses the store 'toy'"):
        Workspace(tmp_path, "sqlite")


def test_a_store_that_is_not_installed_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no store 'none'.*sqlite"):
        Workspace(tmp_path, "none")
    assert not (tmp_path / "workspace.json").exists(), "nothing is decided for a home that cannot be opened"


def test_sqlite_takes_no_address_and_a_name_has_no_colon(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="no address"):
        Workspace(tmp_path, "sqlite:elsewhere")
    with pytest.raises(BadInput, match="cannot name a store"):
        register("a:b", lambda home, address: None)  # type: ignore[arg-type, return-value]
