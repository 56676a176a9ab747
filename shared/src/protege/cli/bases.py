"""Every way from a base to an answer on this machine, as `protege doctor --bases` prints it."""

from __future__ import annotations

import os
from typing import Any

from .. import select
from ..common.files import home_path
from ..errors import BaseModelError
from ..specialist import Base
from . import output


def bases_report(home: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """The ways, the families with theirs, and the bases on this machine with the way that each goes, for JSON.

    Raises MissingDependency without transformers or gguf, and BaseModelError for a base that PROTEGE_BASE names.
    """
    here = select.means()
    return {
        "machine": {"vllm": here.vllm, "ollama": here.ollama, "converter": here.converter},
        "ways": dict(select.WAYS),
        "families": [
            {
                "name": family.name,
                "gguf": family.gguf,
                "model_type": family.model_type,
                "note": family.note,
                "ways": {cell.way: _plain(cell) for cell in cells},
            }
            for family, cells in select.table(here)
        ],
        "bases": [_base(base, here) for base in select.find_bases(home_path(home))],
    }


def print_bases(report: dict[str, Any]) -> None:
    """The report as tables: open ways by a word, closed ones by a dash, and under them what each column means."""
    columns = ("family", *report["ways"])
    rows = [(family["name"], *(_word(family["ways"][way]) for way in report["ways"])) for family in report["families"]]
    output.print_table("Ways from a base to an answer, on this machine", columns, rows)
    output.print_block("The ways", [f"{way}: {words}" for way, words in report["ways"].items()])
    output.print_block(
        "Why not", list(dict.fromkeys(f"{way}: {why}" for family in report["families"] for way, why in _closed(family)))
    )
    bases = [(base["name"], base["form"], base["way"] or "none", base["fact"]) for base in report["bases"]]
    output.print_table("Bases on this machine", ("base", "form", "way", ""), bases)


def _plain(cell: select.Cell) -> dict[str, Any]:
    return {"open": cell.open, "fact": cell.fact, "remedy": cell.remedy, "tested": cell.tested}


def _base(base: Base, here: select.Means) -> dict[str, Any]:
    plain = {"name": base.name, "path": base.path, "form": base.format, "gguf": base.gguf}
    try:
        cell = select.way_of(base, here)
    except BaseModelError as error:
        return {**plain, "way": None, "fact": error.fact, "remedy": error.remedy}
    return {**plain, "way": cell.way, "fact": cell.fact, "remedy": ""}


def _word(cell: dict[str, Any]) -> str:
    if not cell["open"]:
        return "–"
    return "tested" if cell["tested"] else "open"


def _closed(family: dict[str, Any]) -> list[tuple[str, str]]:
    return [(way, cell["fact"]) for way, cell in family["ways"].items() if not cell["open"]]
