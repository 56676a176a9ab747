"""The script that measures the structure of the code, on small trees."""

from __future__ import annotations

from pathlib import Path

import pytest
from structure import Tree, circles, function_imports, longest_chain


def tree(folder: Path, files: dict[str, str]) -> Tree:
    for name, source in files.items():
        path = folder / "house" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return Tree(folder / "house")


ROOMS = {"__init__.py": "", "high/__init__.py": "import lazy_loader", "low/__init__.py": "import lazy_loader"}


@pytest.mark.parametrize(
    "source",
    [
        "from ..high import climb",
        "from ..high.stairs import climb",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..high.stairs import climb",
        "def f():\n    from ..high import climb",
        "from .. import high\n\ndef f():\n    return high.climb()",
        "import house.high.stairs",
    ],
)
def test_a_circle_is_found_however_the_import_is_written(tmp_path: Path, source: str):
    house = tree(
        tmp_path,
        ROOMS
        | {
            "high/__init__.pyi": "from .stairs import climb as climb",
            "high/stairs.py": "from ..low.floor import stand\n\ndef climb(): ...",
            "low/floor.py": f"{source}\n\ndef stand(): ...",
        },
    )
    assert circles(house.graph) == [["house.high.stairs", "house.low.floor"]]
    assert circles(house.rooms) == [["house.high", "house.low"]]


def test_rooms_may_import_each_others_files_in_one_direction_only(tmp_path: Path):
    files = {"high/a.py": "from ..low import b", "low/b.py": "", "low/c.py": "from ..high import d", "high/d.py": ""}
    house = tree(tmp_path, ROOMS | files)
    assert circles(house.graph) == []
    assert circles(house.rooms) == [["house.high", "house.low"]]


def test_floors_are_the_longest_chain_of_rooms(tmp_path: Path):
    files = {"roof.py": "from .high import a\nfrom .low import b", "high/a.py": "from ..low import b", "low/b.py": ""}
    house = tree(tmp_path, ROOMS | files)
    assert longest_chain(house.rooms) == ["house.roof", "house.high", "house.low"]


def test_an_import_in_a_function_needs_a_comment_that_gives_its_reason(tmp_path: Path):
    source = """
import os

def f():
    import json
    import torch  # 2 s, and only tuning needs it

    def g():
        # scipy takes 300 ms
        from scipy import stats
        from scipy import special

        x = 1
        import numpy
"""
    house = tree(tmp_path, {"__init__.py": "", "a.py": source})
    assert {int(place.split(":")[1]): reason for place, reason in function_imports(house)} == {
        5: False,
        6: True,
        10: True,
        11: True,
        14: False,
    }
