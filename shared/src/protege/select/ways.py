"""Every way from a base to an answer, and which of them are open on this machine.

A base is a GGUF file or a folder in Hugging Face form. A folder is served as a folder, or its tuned model becomes GGUF:
by the GGUF file of the same model, by an Ollama that converts, or by llama.cpp's converter. What can go no way is
refused before any work. Code that comes with a model is never run.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeAlias

import orjson

from ..common.loopback import is_loopback_url
from ..common.variables import VLLM
from ..errors import BadInput, BaseModelError, EngineError, MissingDependency
from ..gguf.header import read_header
from ..ollama.address import address
from ..ollama.api import Ollama
from ..specialist import Base
from .models import gguf_tunable, gguf_writable, model_types

WayName: TypeAlias = Literal["gguf", "vllm", "counterpart", "ollama", "converter"]
WAYS: dict[WayName, str] = {
    "gguf": "GGUF → tuned → GGUF → Ollama, llama.cpp",
    "vllm": "folder → tuned → vLLM",
    "counterpart": "folder → merged → the same model's GGUF, tuned tensors replaced → Ollama, llama.cpp",
    "ollama": "folder → merged → Ollama's converter → GGUF → Ollama, llama.cpp",
    "converter": "folder → merged → llama.cpp's converter → GGUF → Ollama, llama.cpp",
}
"""Each way in words, in the order in which a folder's ways are tried after vLLM was not asked for."""

CONVERTER = "PROTEGE_CONVERT"
"""Environment variable: the path of llama.cpp's `convert_hf_to_gguf.py`, if that is not on the PATH."""
SCRIPT = "convert_hf_to_gguf.py"
CONVERTS_UNTIL = (0, 34)
"""Ollama's versions from this one on take GGUF only (0.34.1; of 0.34.0 it is not known)."""
GLANCE_S = 0.5
FOLDER = "its Hugging Face folder"


@dataclass(frozen=True, slots=True)
class Family:
    """One family of base models, as `families.toml` has it."""

    name: str
    gguf: str
    """Its architecture as GGUF names it; "" where llama.cpp has none."""
    model_type: str
    """As config.json names it."""
    pattern: str = ""
    """A regular expression over names, where the architecture alone does not tell the family."""
    ollama: bool = False
    """Whether Ollama's converter knows it."""
    code: bool = False
    """Whether its folder needs code that comes with it."""
    tested: tuple[str, ...] = ()
    """The ways that the tests go with a tiny model."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One way of one family, or of one base, on this machine."""

    way: WayName
    open: bool
    fact: str
    """What makes it open, or stands in its way."""
    remedy: str = ""
    """What opens it; "" if nothing does."""
    tested: bool = False
    """Whether a tiny model of the family goes this way in the tests."""


@dataclass(frozen=True, slots=True)
class Means:
    """What this machine has for the ways."""

    vllm: bool
    """Whether it is installed, or a server of it is named."""
    ollama: str
    """The version of the Ollama on loopback; "" if none answers."""
    converter: str
    """The path of llama.cpp's converter; "" if there is none."""

    @property
    def ollama_converts(self) -> bool:
        """Whether that Ollama makes GGUF of safetensors. Of a build without a version ("0.0.0") it is not known."""
        numbers = re.match(r"(\d+)\.(\d+)", self.ollama)
        return bool(numbers) and (0, 0) < (int(numbers[1]), int(numbers[2])) < CONVERTS_UNTIL


def means() -> Means:
    """Look at this machine. Asks the Ollama on loopback, half a second at most. Raises BadInput (OLLAMA_HOST)."""
    return Means(has_vllm(), _ollama_version(), converter() or "")


def has_vllm() -> bool:
    """Whether vLLM is installed, or a server of it is named. Asks nobody."""
    return bool(os.environ.get(VLLM)) or importlib.util.find_spec("vllm") is not None


def converter() -> str | None:
    """The path of llama.cpp's converter: the one named by PROTEGE_CONVERT, else on the PATH. Never downloaded.

    Raises BadInput if the one that is named is not there.
    """
    if named := os.environ.get(CONVERTER):
        if not Path(named).is_file():
            raise BadInput(f"{CONVERTER} names {named}, which is no file.", f"Give the path of {SCRIPT}.")
        return named
    return shutil.which(SCRIPT)


@functools.cache
def families() -> tuple[Family, ...]:
    """The families, those with a pattern first."""
    text = resources.files("protege.select").joinpath("families.toml").read_text(encoding="utf-8")
    read: list[dict[str, Any]] = tomllib.loads(text)["family"]
    for entry in read:
        entry["tested"] = tuple(entry.get("tested", ()))
    return tuple(Family(**entry) for entry in read)


def family_of(base: Base) -> Family | None:
    """The family of a base, by its name and architecture; None if it is of none that is known."""
    for family in families():
        architecture = family.gguf if base.format == "gguf" else family.model_type
        named = not family.pattern or re.search(family.pattern, f"{base.name} {Path(base.path).name}", re.IGNORECASE)
        if architecture and architecture == base.architecture and named:
            return family
    return None


def table(here: Means) -> list[tuple[Family, list[Cell]]]:
    """Every family with its ways on this machine. Raises MissingDependency without transformers or gguf."""
    return [(family, [_cell(family, way, here) for way in WAYS]) for family in families()]


def ways_of(base: Base, here: Means) -> list[Cell]:
    """The ways of one base, those that its form allows. Raises MissingDependency without transformers or gguf."""
    if base.format == "gguf":
        return [_misread(base) or _cell(family_of(base) or _unknown(base), "gguf", here)]
    if code := own_code(base):
        return [Cell(way, False, code) for way in WAYS if way != "gguf"]
    family = family_of(base) or _unknown(base)
    cells = [_cell(family, way, here) for way in WAYS if way != "gguf"]
    return [_with_counterpart(cell, base) if cell.way == "counterpart" else cell for cell in cells]


def way_of(base: Base, here: Means | None = None) -> Cell:
    """The way that a base goes: the first that is open. Raises BaseModelError if none is, with what would open one."""
    cells = ways_of(base, here or (means() if base.format == "huggingface" else Means(False, "", "")))
    order: tuple[WayName, ...] = ("gguf", "counterpart", "ollama", "converter", "vllm")
    for cell in sorted(cells, key=lambda cell: order.index(cell.way)):
        if cell.open:
            return cell
    facts = list(dict.fromkeys(cell.fact for cell in cells))
    remedies = list(dict.fromkeys(cell.remedy for cell in cells if cell.remedy))
    remedy = f"One of these opens a way: {'; '.join(remedies)}." if remedies else "Choose another base."
    raise BaseModelError(f"{base.name} cannot be tuned and served here: {'; '.join(facts)}.", remedy)


HEAD = 256
"""The width of Gemma's heads that transformers' loader takes for granted when it scales attention."""


def _misread(base: Base) -> Cell | None:
    """What of a GGUF file transformers' loader leaves out: the model would be taught otherwise than it is served."""
    if not Path(base.path).is_file():
        return None  # whoever reads it tells
    header = read_header(Path(base.path))
    scaling = header.metadata.get(f"{base.architecture}.rope.scaling.type", "none")
    if scaling != "none" or any(name.startswith("rope_f") for name in header.tensors):
        return Cell("gguf", False, "its rotary embedding is scaled, which is not read from GGUF", FOLDER)
    head = header.metadata.get(f"{base.architecture}.attention.key_length", HEAD)
    if base.architecture in ("gemma2", "gemma3") and head != HEAD:
        return Cell("gguf", False, f"its heads are {head} wide, for which GGUF tells no scale", FOLDER)
    return None


def own_code(base: Base) -> str | None:
    """Why a folder cannot be loaded without running code that comes with it; None if it can."""
    try:
        config = orjson.loads((Path(base.path) / "config.json").read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    places = config.get("auto_map") if isinstance(config, dict) else None
    if base.architecture in model_types() or not places:
        return None
    named = places.values() if isinstance(places, dict) else ()
    classes = [name for place in named for name in (place if isinstance(place, list) else [place]) if name]
    files = sorted({f"{str(name).partition('.')[0]}.py" for name in classes})
    return f"it needs code of its own ({', '.join(files) or 'auto_map'}), which is never run"


def _unknown(base: Base) -> Family:
    """A family of one, of which only the libraries tell anything."""
    gguf = base.architecture if base.format == "gguf" else ""
    return Family(base.name, gguf, "" if gguf else base.architecture)


def _cell(family: Family, way: WayName, here: Means) -> Cell:
    tested = way in family.tested
    if family.code:
        return Cell(way, False, "its folder needs code of its own, which is never run", tested=tested)
    open_, fact, remedy = _OPEN[way](family, here)
    return Cell(way, open_, fact, remedy, tested)


def _gguf(family: Family, here: Means) -> tuple[bool, str, str]:
    if gguf_tunable(family.gguf):
        return True, "read by transformers, written back", ""
    if not family.gguf:
        return False, "llama.cpp does not have it", ""
    why = (
        "its tensors' names are not proven" if not gguf_writable(family.gguf) else "transformers does not read its GGUF"
    )
    return False, f"GGUF files of architecture {family.gguf} cannot be tuned here: {why}", FOLDER


def _vllm(family: Family, here: Means) -> tuple[bool, str, str]:
    if (reason := _unread(family)) is not None:
        return False, reason, ""
    return (
        (True, "vLLM is here", "")
        if here.vllm
        else (False, "vLLM is not installed", f"vLLM, or its server named by {VLLM}")
    )


def _counterpart(family: Family, here: Means) -> tuple[bool, str, str]:
    if (reason := _unread(family)) is not None:
        return False, reason, ""
    if not gguf_writable(family.gguf):
        return False, "the names of its tensors in GGUF are not proven", ""
    return True, "with the GGUF file of the same model", ""


def _by_ollama(family: Family, here: Means) -> tuple[bool, str, str]:
    if (reason := _unread(family)) is not None:
        return False, reason, ""
    if not family.ollama:
        return False, "Ollama's converter does not know it", ""
    if here.ollama_converts:
        return True, f"Ollama {here.ollama} converts it", ""
    fact = f"Ollama {here.ollama} takes GGUF only" if here.ollama else "no Ollama answers on this machine"
    return False, fact, "an Ollama of a version below 0.34"


def _by_converter(family: Family, here: Means) -> tuple[bool, str, str]:
    if (reason := _unread(family)) is not None:
        return False, reason, ""
    if here.converter:
        return True, f"by {here.converter}", ""
    return False, f"{SCRIPT} is not on the PATH", f"llama.cpp's {SCRIPT} on the PATH, or named by {CONVERTER}"


_OPEN = {
    "gguf": _gguf,
    "vllm": _vllm,
    "counterpart": _counterpart,
    "ollama": _by_ollama,
    "converter": _by_converter,
}


def _unread(family: Family) -> str | None:
    """Why the folder cannot be tuned."""
    return None if family.model_type in model_types() else f"transformers does not know {family.model_type!r}"


def _with_counterpart(cell: Cell, base: Base) -> Cell:
    if not cell.open:
        return cell
    if base.gguf:
        return Cell(cell.way, True, f"with {base.gguf}", tested=cell.tested)
    remedy = "the same model's GGUF file (`ollama pull` it, or put it into <home>/models or the folder itself)"
    return Cell(cell.way, False, "its GGUF file is not on this machine", remedy, cell.tested)


def _ollama_version() -> str:
    url = address()
    if importlib.util.find_spec("ollama") is None or not is_loopback_url(url):
        return ""
    server = Ollama(url)
    try:
        return server.version(GLANCE_S)
    except (EngineError, MissingDependency):
        return ""
    finally:
        server.close()
