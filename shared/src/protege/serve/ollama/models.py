"""Specialists as models in Ollama: made, described, taken out of memory, removed.

    merged GGUF ─► checked here ─► blob, if absent ─► create ─► loaded, and asked once

Ollama stores some things unchecked (a file that is cut off, parameters of the wrong type). They are refused before they
are sent: a blob that no model names stays until Ollama's next start.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from ...common.digest import sha256_of
from ...common.loopback import is_loopback_url
from ...common.progress import Progress, Silent
from ...errors import BadInput, BaseModelError, EngineError, NotServed
from ...gguf.header import check_gguf
from ...ollama.address import CONNECT_S, address
from ...ollama.api import GREEDY, NAMESPACE, Ollama
from ...specialist import Specialist
from ..finer import type_of
from ..registry import check_keep_alive
from ..weights import weights
from .quantise import FROM_PARAMETERS, TYPE, quantised, quantiser

if TYPE_CHECKING:
    from ...workspace import Workspace

NAME = "ollama"
"""The kind of engine, as it is registered and as fingerprints name it."""
CONTEXT = 4096
"""Tokens of a prompt and its answer, the embedded engine's too; the base's own where that is less."""
KEEP_ALIVE = "30m"
LOAD_S = 120.0
"""A model of several GB from a cold disk takes about a minute."""
ABOUT = "Protégé: "
"""Begins the part of the licence text that says where a model comes from."""

log = logging.getLogger("protege.serve")

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
_PARAMETERS: Mapping[str, type | tuple[type, ...]] = {
    "num_ctx": int,
    "num_predict": int,
    "top_k": int,
    "seed": int,
    "temperature": (int, float),
    "top_p": (int, float),
    "min_p": (int, float),
    "repeat_penalty": (int, float),
    "presence_penalty": (int, float),
    "frequency_penalty": (int, float),
    "stop": list,
}


@dataclass(frozen=True, slots=True)
class Imported:
    """Where Ollama has a specialist: what stands in `Specialist.placed["ollama"]`."""

    address: str
    """The server's URL."""
    model: str
    """Its name there."""
    digest: str
    """Of the model's manifest: over weights, template, parameters and licence."""
    file: str
    """SHA-256 (hex) of the GGUF."""
    context: int
    """Tokens of a prompt and its answer."""
    adds_tokens: bool
    """Ollama puts a token of its own before each prompt."""
    keep_alive: str
    """How long it stays in memory after an answer."""
    quantisation: str
    """The type of the weights, such as Q8_0."""


def imported(specialist: Specialist) -> Imported:
    """Where Ollama has the specialist. Raises NotServed if it was never brought there."""
    if NAME not in specialist.placed:
        raise NotServed(f"{specialist.name} is not in Ollama.", "`protege improve --engine ollama` brings it there.")
    return Imported(**specialist.placed[NAME])


def server_at(url: str) -> Ollama:
    """The server at an address, to be closed. Raises EngineError if it is elsewhere and OLLAMA_HOST is another."""
    # A file that someone put into the home folder must not send prompts or weights elsewhere.
    if not is_loopback_url(url) and url != address():
        raise EngineError(f"The specialist is in an Ollama elsewhere, {url}.", f"Allow it: OLLAMA_HOST={url}")
    return Ollama(url, look_s=CONNECT_S)


def model_name(workspace: Workspace, specialist: Specialist, task_name: str) -> str:
    """`protege/<workspace>-<task>:v<version>`: two workspaces on one server never meet, nor do two tasks.

    Ollama takes names that differ in case for the same; where spelling the task's name loses anything, its id's end
    tells it apart.
    """
    slug = re.sub(r"[^a-z0-9_.-]+", "-", task_name.lower())[:60].strip("-.") or "task"
    if slug != task_name:
        slug = f"{slug}-{re.sub(r'[^a-z0-9]+', '', specialist.task_id.lower())[-8:]}"
    return checked_name(f"{NAMESPACE}/{workspace.id}-{slug}:v{specialist.version}")


def bring(
    workspace: Workspace,
    specialist: Specialist,
    server: Ollama,
    *,
    keep_alive: str = KEEP_ALIVE,
    again: Imported | None = None,
    progress: Progress | None = None,
) -> Specialist:
    """The specialist, in Ollama: imported where it is not there yet, loaded, and asked once.

    again: how it was there before; it comes back from the same file or not at all. What cannot be loaded is taken out
    again. Raises BaseModelError (no merged GGUF, damaged, not the one that was tuned), BadInput (`keep_alive` is no
    duration), ResourceError (its disk is full), EngineError.
    """
    check_keep_alive(keep_alive)
    task_name = _task_name(workspace, specialist)
    path, quantisation = _file(workspace, specialist, again)
    name = model_name(workspace, specialist, task_name)
    context = min(CONTEXT, specialist.base.context or CONTEXT)
    before = server.models().get(name)
    make(
        server,
        name,
        path,
        parameters=_parameters(specialist, context),
        licence=_licence(workspace, specialist, task_name),
        expected=again.file if again else None,
        progress=progress,
    )
    try:
        adds_tokens = _warm_up(server, name, keep_alive)
        manifest = _manifest(server, name)
    except EngineError:
        if before is None:
            with contextlib.suppress(EngineError):
                server.delete(name)
        raise
    where = Imported(server.url, name, manifest, sha256_of(path), context, adds_tokens, keep_alive, quantisation)
    return specialist.placed_in(NAME, asdict(where))


def make(
    server: Ollama,
    name: str,
    path: Path,
    *,
    parameters: Mapping[str, Any],
    licence: Sequence[str] = (),
    expected: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Make a model of a GGUF file. What Ollama would refuse too late is refused here, and nothing is sent.

    expected: the file's SHA-256, where it must be that one. Raises BadInput (name, parameters), BaseModelError (no
    GGUF, cut off, another file), ResourceError, EngineError.
    """
    checked_name(name)
    check_parameters(parameters)
    check_gguf(path)
    digest = sha256_of(path)
    if expected is not None and digest != expected:
        raise BaseModelError(f"{path} is not the file that is meant: its digest is another.", "Fetch or tune it again.")
    if not server.has_blob(digest):
        with (progress or Silent()).step(f"{name}: sending the model to Ollama", path.stat().st_size) as bar:
            server.send_blob(path, digest, bar.advance)
    server.create(name, digest, parameters=parameters, licence=licence)


def checked_name(name: str) -> str:
    """A model's name as Ollama takes it, `[namespace/]model[:tag]`. Raises BadInput."""
    rest, _, tag = name.partition(":")
    parts = [*rest.split("/"), tag or "latest"]
    if len(parts) > 3 or not all(_PART.fullmatch(part) for part in parts):
        raise BadInput(
            f"{name[:120]!r} is no name of a model in Ollama.", "Letters, digits, _ . - and up to 80 of them a part."
        )
    if tag == "cloud" or tag.endswith("-cloud"):
        raise BadInput(f"{name!r} would be answered by a service elsewhere.", "Choose another tag.")
    return name


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Raises BadInput on what Ollama would store and then fail at with every answer."""
    for name, value in parameters.items():
        kind = _PARAMETERS.get(name)
        if kind is None:
            raise BadInput(f"{name!r} is no parameter that is known here.", f"Known: {', '.join(sorted(_PARAMETERS))}.")
        right = isinstance(value, kind) and not isinstance(value, bool)
        if isinstance(value, list):
            right = right and all(isinstance(text, str) for text in value)
        if not right:
            needed = "a list of texts" if kind is list else "a whole number" if kind is int else "a number"
            raise BadInput(f"The parameter {name} must be {needed}.", "Correct it.")


def describe(workspace: Workspace, specialist: Specialist) -> Specialist:
    """Write the specialist's report into the model's own metadata. No weights are sent."""
    where = imported(specialist)
    with contextlib.closing(server_at(where.address)) as server:
        server.create(
            where.model,
            where.file,
            parameters=_parameters(specialist, where.context),
            licence=_licence(workspace, specialist, _task_name(workspace, specialist)),
        )
        return specialist.placed_in(NAME, asdict(replace(where, digest=_manifest(server, where.model))))


def provenance(server: Ollama, model: str) -> Mapping[str, Any] | None:
    """What the model's own metadata in Ollama says of where it comes from; None if it says nothing.

    Raises NotServed, EngineError.
    """
    for line in str(server.show(model).get("license") or "").splitlines():
        if line.startswith(ABOUT):
            with contextlib.suppress(orjson.JSONDecodeError):
                about = orjson.loads(line[len(ABOUT) :])
                return about if isinstance(about, dict) else None
    return None


def bring_back(workspace: Workspace, specialist: Specialist, *, load: bool) -> Specialist:
    """Have the model there as it was: made anew of the same file where someone removed or changed it, and in memory.

    load: bring it into memory also where it was not touched.
    """
    where = imported(specialist)
    with contextlib.closing(server_at(where.address)) as server:
        if server.models().get(where.model) != where.digest:
            return bring(workspace, specialist, server, keep_alive=where.keep_alive, again=where)
        if load and where.keep_alive != "0":
            server.load(where.model, keep_alive=where.keep_alive, timeout_s=LOAD_S)
        return specialist


def unload(specialist: Specialist) -> None:
    """Take it out of Ollama's memory. Where that fails, it goes by itself when its time is over."""
    where = imported(specialist)
    with contextlib.suppress(EngineError), contextlib.closing(server_at(where.address)) as server:
        server.load(where.model, keep_alive="0", timeout_s=10.0)


def remove(workspace: Workspace, specialist: Specialist) -> bool:
    """Delete the specialist's model; whether it is gone. Never a model that this workspace did not make."""
    where = imported(specialist)
    if not where.model.startswith(f"{NAMESPACE}/{workspace.id}-"):
        return False
    try:
        with contextlib.closing(server_at(where.address)) as server:
            if server.models().get(where.model) == where.digest:
                server.delete(where.model)
    except NotServed:
        pass  # somebody was quicker
    except EngineError:
        return False
    return True


def as_tuned(specialist: Specialist) -> Specialist | None:
    """The specialist, to be brought here again with its weights as tuned; None if they are."""
    where = imported(specialist)
    if where.quantisation != TYPE:
        return None
    return specialist.placed_in(NAME, asdict(replace(where, quantisation=type_of(specialist))))


def _file(workspace: Workspace, specialist: Specialist, again: Imported | None) -> tuple[Path, str]:
    """The merged GGUF and its quantisation: as tuned, or Q4_K_M where it is large and llama.cpp's quantiser is here.

    again: as it was before, whatever is here now. What was brought here before keeps its quantisation.
    """
    path, tuned = weights(workspace, specialist, "gguf"), type_of(specialist)
    large = specialist.base.parameters > FROM_PARAMETERS and tuned != "F16"
    before = again or (imported(specialist) if NAME in specialist.placed else None)
    program = quantiser() if large and (before is None or before.quantisation == TYPE) else None
    if program is None:
        if large and before is None:
            log.warning("%s stays %s: llama.cpp's llama-quantize is not here to make it %s.", path, tuned, TYPE)
        return path, tuned
    return quantised(path, path.with_name(f"model-{TYPE.lower()}.gguf"), program), TYPE


def _parameters(specialist: Specialist, context: int) -> dict[str, Any]:
    """So that any client of this Ollama asks as we do."""
    return {**GREEDY, "num_ctx": context, "num_predict": specialist.max_tokens, "stop": list(specialist.base.eos)}


def _licence(workspace: Workspace, specialist: Specialist, task_name: str) -> list[str]:
    """The base's licence, and where the model comes from: Ollama keeps no other text of ours with a model."""
    base, report = specialist.base, specialist.report or {}
    evaluation, certificate = report.get("evaluation") or {}, report.get("certificate") or {}
    about = {
        "specialist": specialist.id,
        "name": specialist.name,
        "task": task_name,
        "workspace": workspace.id,
        "base": {"name": base.name, "sha256": base.sha256, "licence": base.licence},
        "data": specialist.lineage.get("curated"),
        "report": {
            "agreement": evaluation.get("agreement"),
            "test_calls": evaluation.get("n"),
            "certified_coverage": report.get("certified_coverage"),
            "epsilon": certificate.get("epsilon"),
            "delta": certificate.get("delta"),
        }
        if evaluation
        else None,
    }
    return [f"{base.licence} (of the base, {base.name})", f"{ABOUT}{orjson.dumps(about).decode()}"]


def _warm_up(server: Ollama, name: str, keep_alive: str) -> bool:
    """Load the model, and see whether Ollama puts a token of its own before a prompt of one token."""
    server.load(name, keep_alive=keep_alive, timeout_s=LOAD_S)
    return server.generate(name, "x", max_tokens=1, timeout_s=LOAD_S, keep_alive=keep_alive).input_tokens > 1


def _manifest(server: Ollama, name: str) -> str:
    digest = server.models().get(name)
    if digest is None:
        raise EngineError(f"Ollama at {server.url} says that it made {name}, and does not list it.", "Try again.")
    return digest


def _task_name(workspace: Workspace, specialist: Specialist) -> str:
    task = workspace.task(specialist.task_id)
    return task.name if task else specialist.name.rpartition("-v")[0]
