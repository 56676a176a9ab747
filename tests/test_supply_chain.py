"""What is installed beside Protégé: everything is pinned and has hashes, and every licence is known."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
HASHED = ("shared/hashes.txt", "shared/models.txt", "shared/inputs.txt", ".github/sbom.txt")

KNOWN = frozenset(
    {
        "0BSD", "AFL", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC-BY-4.0", "CC0-1.0",
        "CNRI-Python", "ISC", "LLVM-exception", "MIT", "MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Unlicense", "Zlib",
    }
)  # fmt: skip
"""Licences under which a library may be asked for: none of them reaches the program that uses it."""
NAMED = {
    "Academic Free License (AFL)": "AFL",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}
"""Classifiers, and short statements in the field License."""
REVIEWED = {
    "codespell": "GPL-2.0: a tool for the developers, which no distribution asks for",
    "cuda-toolkit": "no statement: an empty package that names NVIDIA's",
    "hdbscan": "BSD: its file LICENSE is the BSD 3-Clause",
    "protobuf": "3-Clause BSD License, in words",
    "python-stdnum": "LGPL-2.1 or later: called as a library, unchanged",
    "smolagents": "no statement: its file LICENSE is the Apache License 2.0",
    "tiktoken": "MIT: the field holds the whole text",
    "transformers": "Apache 2.0 License, in words",
}
"""What a person has read, because its statement is missing, in words of its own, or of another kind."""
NVIDIA = "nvidia-"
"""Come with PyTorch's CUDA build, under NVIDIA's own terms; no distribution of ours asks for them."""


def pinned(file: str) -> dict[str, str]:
    """The version of each package in a file of pins."""
    lines = re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / file).read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in lines}


def installed() -> dict[str, Distribution]:
    return {canonicalize_name(each.metadata["Name"]): each for each in distributions()}


OURS = {
    canonicalize_name(tomllib.loads(path.read_text())["project"]["name"])
    for path in (ROOT / "shared/pyproject.toml", *ROOT.glob("packages/*/pyproject.toml"))
}


def test_everything_that_set_up_installs_is_pinned_with_the_hashes_of_its_files():
    hashed = pinned("shared/hashes.txt")
    constraints = pinned("shared/constraints.txt")
    assert hashed.items() <= constraints.items(), "Run .github/hashes.sh."
    closure, waiting = set[str](), {*OURS}
    found = installed()
    while waiting:
        name = waiting.pop()
        closure.add(name)
        for line in found[name].requires or () if name in found else ():
            need = Requirement(line)
            wanted = any((need.marker or Marker("python_version > '3'")).evaluate({"extra": e}) for e in extras(name))
            if wanted and (other := canonicalize_name(need.name)) not in closure:
                waiting.add(other)
    missing = {name for name in closure - OURS if name not in hashed}
    assert not missing, "Run .github/hashes.sh."


def extras(name: str) -> tuple[str, ...]:
    """The extras that set-up installs."""
    return ("", "all", "dev", "discover", "tune", "serve", "embed", "report", "gateway") if name in OURS else ("",)


@pytest.mark.parametrize("file", HASHED)
def test_each_pin_has_hashes_and_no_address(file: str):
    text = (ROOT / file).read_text()
    assert "://" not in text and "index" not in re.sub(r"^[\w.-]+==.*", "", text, flags=re.MULTILINE)
    for entry in re.split(r"\n(?=\w)", text.strip()):
        if not entry.startswith("#"):
            assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), entry[:60]


def licences(package: Distribution) -> list[str]:
    """What a package says its licence is: an SPDX expression, classifiers, or a short text."""
    said = package.metadata
    if expression := said["License-Expression"]:
        return [part for part in re.split(r"[\s()]+|\bAND\b|\bOR\b|\bWITH\b", expression) if part]
    classifiers = [str(line) for line in said.get_all("Classifier") or ()]
    classified = [line.split(" :: ")[-1] for line in classifiers if line.startswith("License ::")]
    classified = [NAMED.get(name, name) for name in classified if name != "OSI Approved"]
    short = (said["License"] or "").strip()
    return classified or [part for part in re.split(r"\s+(?:AND|OR|and|or)\s+|\s*/\s*", short) if part]


def test_every_licence_of_what_is_installed_is_known():
    unknown = {
        name: licences(package)
        for name, package in installed().items()
        if name not in OURS | REVIEWED.keys()
        and not name.startswith(NVIDIA)
        and not (set(licences(package)) or {"none stated"}) <= KNOWN
    }
    assert not unknown, "Read their licences. Add the identifier to KNOWN, or the package to REVIEWED with the reason."


def test_the_notice_names_whoever_is_owed_it():
    notice = (ROOT / "shared/NOTICE").read_text()
    assert all(name in notice for name in ("Rampart", "CC-BY-4.0", "SmolLM2", "NVIDIA", "usaddress", "probablepeople"))
    for project in ROOT.glob("packages/*/pyproject.toml"):
        assert "Apache License 2.0" in (project.parent / "NOTICE").read_text()
