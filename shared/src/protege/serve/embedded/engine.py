"""The engine that Protégé brings along: llama.cpp's server from the `xllamacpp` wheel, in child processes.

Specialists that are LoRA weights over one base share a child, and the base's memory; a merged one has its own.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import psutil

from ...common.digest import sha256_of
from ...errors import EngineError, EngineUnreachable, MissingDependency, NotServed, ResourceError
from ...specialist import ServeAs, Specialist
from ..engine import Completion
from ..weights import checked_file, weights
from .client import NAME, Client, Place
from .process import Load, ServerProcess

if TYPE_CHECKING:
    from ...workspace import Workspace

MEMORY_FACTOR = 1.5
"""Memory to ask for, as a multiple of the files of weights; above 1 for the context, which grows with them."""
MEMORY_FLOOR = 200 << 20
"""Bytes for the process itself. Measured beside the files, SmolLM2-135M: 155 MiB a process, 94 of it the context."""


@dataclass(frozen=True, slots=True)
class Options:
    """How models are loaded. All but `threads` change log-probabilities, and stand in the fingerprint."""

    context: int = 4096
    """Tokens of a prompt and its answer; the base's own where that is less."""
    batch: int = 512
    """Tokens of a prompt that are computed at once."""
    parallel: int = 1
    """Answers at once. At 1, others wait; at 2 and more they share matrix products, which brought no throughput on two
    cores (3.4 answers a second at 1, 3.0 at 2) and changed 5 of 16 greedy answers."""
    threads: int = 0
    """0 for as many as there are physical cores."""


@dataclass(slots=True)
class _Server:
    """A child, before and after it is started."""

    load: Load
    files: tuple[Path, ...]
    """The model's, and those of LoRA weights in the order of their numbers."""
    loras: dict[str, int | None] = field(default_factory=dict[str, int | None])
    """By specialist id, the number of its LoRA weights; None for a merged model."""
    fingerprints: dict[str, str] = field(default_factory=dict[str, str])
    """By specialist id."""
    process: ServerProcess | None = None
    """None until it is started."""
    adds_tokens: bool = False
    """See `Place.adds_tokens`."""

    def place(self, specialist_id: str) -> Place:
        if self.process is None:
            raise EngineError("The engine has not started.")
        path, token = self.process.address
        return Place(
            socket=str(path),
            token=token,
            lora=self.loras[specialist_id],
            adds_tokens=self.adds_tokens,
            fingerprint=self.fingerprints[specialist_id],
        )


def serve(
    workspace: Workspace,
    specialists: Sequence[Specialist],
    *,
    as_: ServeAs | None = None,
    options: Options | None = None,
) -> EmbeddedEngine:
    """An engine that serves these specialists until it is closed, or this process ends. A context manager.

    as_: as LoRA weights over their base, or as merged models; None for each as it was certified (`serve_as`).
    Raises MissingDependency, BaseModelError (a file is missing, damaged, or not the one that was tuned), ResourceError
    (too little memory), EngineError.
    """
    if specialists and importlib.util.find_spec("xllamacpp") is None:
        raise MissingDependency("xllamacpp", "serve")
    options = options or Options()
    planned = _plan(workspace, specialists, as_, options)
    _check_memory(planned)
    return EmbeddedEngine(planned, options, workspace.home)


class EmbeddedEngine:
    """Children that serve specialists. Made by `serve`."""

    name = NAME
    tells_end = True

    def __init__(self, planned: Sequence[_Server], options: Options, home: Path) -> None:
        self._servers = list(planned)
        self._by_specialist = {identity: server for server in self._servers for identity in server.loras}
        self._client = Client()
        self._finalizer = weakref.finalize(self, _close_all, self._servers, self._client)  # also at exit
        try:
            for server in self._servers:
                self._start(server, options, home)
        except BaseException:
            self.close()
            raise

    def fingerprint(self, specialist: Specialist) -> str:
        return self._server(specialist.id).fingerprints[specialist.id]

    def complete(self, specialist: Specialist, prompt: str, *, timeout_s: float) -> Completion:
        until_s = time.monotonic() + timeout_s
        server = self._server(specialist.id)
        process = _running(server)
        starts = process.starts
        for attempt in ("first", "last"):
            place, left_s = server.place(specialist.id), until_s - time.monotonic()
            try:
                return self._client.complete(place, prompt, max_tokens=specialist.max_tokens, timeout_s=left_s)
            except EngineUnreachable:
                left_s = until_s - time.monotonic()
                if attempt == "last" or left_s <= 0:
                    raise
                process.mend(starts, left_s)
        raise EngineError("The engine could not be reached.")

    def mend(self, timeout_s: float) -> bool:
        """Restart children that died, each once; whether any had. Raises EngineError if one cannot be restarted."""
        dead = [p for s in self._servers if (p := _running(s)) and not p.alive]
        for process in dead:
            process.mend(process.starts, timeout_s)
        return bool(dead)

    def places(self) -> dict[str, Place]:
        """Where each specialist is served, by its id; changes when a child is started again."""
        return {identity: server.place(identity) for identity, server in self._by_specialist.items()}

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the children."""
        return tuple(_running(server).pid for server in self._servers)

    def close(self) -> None:
        """End the children. A second time it does nothing."""
        self._finalizer()

    def __enter__(self) -> EmbeddedEngine:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _server(self, specialist_id: str) -> _Server:
        if not self._finalizer.alive:
            raise EngineError("The engine is closed.")
        if specialist_id not in self._by_specialist:
            raise NotServed(f"The specialist {specialist_id} is not served here.")
        return self._by_specialist[specialist_id]

    def _start(self, server: _Server, options: Options, home: Path) -> None:
        server.process = ServerProcess(server.load, home)
        for identity, lora in server.loras.items():
            server.fingerprints[identity] = _fingerprint(server, lora, options, server.process.library)
        server.adds_tokens = self._client.adds_tokens(server.place(next(iter(server.loras))), timeout_s=10.0)


def _plan(
    workspace: Workspace, specialists: Sequence[Specialist], as_: ServeAs | None, options: Options
) -> list[_Server]:
    """Which child loads what. Checks every file on the way."""
    shared: dict[str, list[Specialist]] = {}
    planned: list[_Server] = []
    for specialist in {s.id: s for s in specialists}.values():
        if (as_ or specialist.serve_as) == "lora":
            shared.setdefault(specialist.base.served_from[1], []).append(specialist)
        else:
            model = weights(workspace, specialist, "gguf")
            planned.append(_Server(_load(model, (), specialist, options), (model,), {specialist.id: None}))
    for group in shared.values():
        path, digest = group[0].base.served_from
        model = checked_file(Path(path), digest, f"The base {group[0].base.name}")
        loras = tuple(weights(workspace, specialist, "lora_gguf") for specialist in group)
        numbers: dict[str, int | None] = {specialist.id: number for number, specialist in enumerate(group)}
        planned.append(_Server(_load(model, loras, group[0], options), (model, *loras), numbers))
    return planned


def _load(model: Path, loras: tuple[Path, ...], specialist: Specialist, options: Options) -> Load:
    return Load(
        model=str(model),
        loras=tuple(str(path) for path in loras),
        context=min(options.context, specialist.base.context or options.context),
        batch=options.batch,
        parallel=options.parallel,
        threads=options.threads or physical_cores(),
    )


def memory_needed(workspace: Workspace, specialist: Specialist) -> int:
    """About how many bytes serving it alone takes."""
    return sum(map(_memory, _plan(workspace, [specialist], None, Options())))


def check_room(workspace: Workspace, specialists: Sequence[Specialist]) -> None:
    """Raise ResourceError if serving these together takes more memory than is free."""
    _check_memory(_plan(workspace, specialists, None, Options()))


def _memory(server: _Server) -> int:
    return MEMORY_FLOOR + int(MEMORY_FACTOR * sum(path.stat().st_size for path in server.files))


def _check_memory(planned: Sequence[_Server]) -> None:
    needed = sum(map(_memory, planned))
    free = psutil.virtual_memory().available
    if needed > free:
        raise ResourceError(
            f"Serving needs about {needed / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} GiB are free.",
            "Close other programs, or serve fewer specialists: `protege retire NAME`.",
        )


def _fingerprint(server: _Server, lora: int | None, options: Options, library: Mapping[str, Any]) -> str:
    """Other specialists of the child have no part in it: at scale 0 they are left out of the computation altogether."""
    files = server.files[:1] if lora is None else (server.files[0], server.files[1 + lora])
    made_of = {
        "engine": NAME,
        "library": library,
        "files": [sha256_of(path) for path in files],
        "options": {**asdict(options), "threads": None, "context": server.load.context, "flash_attention": False},
    }
    return hashlib.sha256(orjson.dumps(made_of, option=orjson.OPT_SORT_KEYS)).hexdigest()


def physical_cores() -> int:
    """The physical cores that this process may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or allowed, allowed))


def _running(server: _Server) -> ServerProcess:
    if server.process is None:
        raise EngineError("The engine has not started.")
    return server.process


def _close_all(servers: Sequence[_Server], client: Client) -> None:
    for server in servers:
        if server.process is not None:
            server.process.close()
    client.close()
