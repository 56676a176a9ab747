"""Writes a release into the working tree: `.venv/bin/python .github/release.py 0.2.0`.

It sets the version, which stands in the core's `__version__` alone; lets our distributions ask for each other within
that version's minor series; and turns the changelog's Unreleased section into the section of the release. It commits,
tags and uploads nothing: it says which commands do.

`.venv/bin/python .github/release.py --sbom dist/protege-0.2.0.cdx.json` lists what the environment that runs it holds,
in CycloneDX's form: every part with its version and licence. The tool for it, cyclonedx-bom, gets an environment of its
own, by the hashes in .github/sbom.txt.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

VERSION = Path("shared/src/protege/__init__.py")
CHANGELOG = Path("docs/CHANGELOG.md")
TOOLS = Path(__file__).with_name("sbom.txt")
NEXT = """\
Version {version} is written. Read `git diff`, run `bash tests/run.sh`, then:
    git commit -am "Version {version}" && git tag v{version}
    for part in shared packages/*; do .venv/bin/python -m build --outdir dist "$part"; done
    .venv/bin/python .github/release.py --sbom dist/protege-{version}.cdx.json
    twine upload dist/*"""


class CannotRelease(Exception):
    """The tree is not ready for this release; the text says what is missing."""


def release(root: Path, version: str, date: datetime.date) -> None:
    """Write `version` into the tree at `root`. Raises CannotRelease, before it writes anything, if it cannot."""
    source = (root / VERSION).read_text()
    current = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    if current is None:
        raise CannotRelease(f"{VERSION} has no line with __version__.")
    if numbers(version) <= numbers(current[1]):
        raise CannotRelease(f"{version} does not follow {current[1]}. Name a higher version.")
    changelog = with_release((root / CHANGELOG).read_text(), version, date)
    for project in sorted((root / "packages").glob("*/pyproject.toml")):
        project.write_text(asking_for(project.read_text(), version))
    (root / VERSION).write_text(source.replace(current[0], f'__version__ = "{version}"'))
    (root / CHANGELOG).write_text(changelog)


def numbers(version: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise CannotRelease(f"{version!r} is not a version of the form 1.2.3.")
    return tuple(map(int, version.split(".")))


def with_release(changelog: str, version: str, date: datetime.date) -> str:
    """The changelog with what was unreleased under `version`, and an empty Unreleased section above it."""
    heading, title = "## [Unreleased]\n", f"## [{version}] - {date.isoformat()}\n"
    before, found, after = changelog.partition(heading)
    if not found:
        raise CannotRelease(f"{CHANGELOG} has no Unreleased section.")
    if not re.split(r"^## ", after, maxsplit=1, flags=re.MULTILINE)[0].strip():
        raise CannotRelease(f"Nothing stands under Unreleased in {CHANGELOG}. Write what changes for users.")
    return f"{before}{heading}\n{title}{after}"


def asking_for(project: str, version: str) -> str:
    """The project file with every requirement on one of our distributions set to the minor series of `version`."""
    major, minor, _ = numbers(version)
    return re.sub(r'"(protege[a-z-]*)>=[^"]*"', rf'"\1>={major}.{minor},<{major}.{minor + 1}"', project)


def list_parts(environment: Path, output: Path) -> None:
    """Write a CycloneDX list of what is installed in `environment`, the path of its Python. Raises CannotRelease."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        tools = Path(folder) / "bin"
        for command in (
            [tools / "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--requirement", TOOLS],
            [tools / "cyclonedx-py", "environment", environment, "--output-reproducible", "--output-file", output],
        ):
            if subprocess.run(command, check=False).returncode:
                raise CannotRelease(f"{Path(command[0]).name} failed: the list of parts is not written.")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("version", nargs="?", help="the new version, such as 0.2.0")
    what.add_argument("--sbom", type=Path, metavar="FILE", help="write the list of parts of this environment instead")
    parser.add_argument("--date", type=datetime.date.fromisoformat, default=datetime.date.today(), help="today's")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1], help="the tree to write into")
    options = parser.parse_args()
    try:
        if options.sbom:
            return list_parts(Path(sys.executable), options.sbom)
        release(options.root, options.version, options.date)
    except CannotRelease as error:
        parser.exit(1, f"{error}\n")
    print(NEXT.format(version=options.version))


if __name__ == "__main__":
    main()
