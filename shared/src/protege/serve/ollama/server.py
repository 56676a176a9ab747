"""Which Ollama is used, and what `protege doctor` and the report tell of it."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...common.finding import Finding
from ...errors import BadInput, EngineError, MissingDependency, NotServed
from ...ollama.address import address
from ...ollama.api import NAMESPACE, Ollama
from ...ollama.replies import tells_logprobs
from ...specialist import Specialist
from .models import NAME, imported, provenance, server_at

GLANCE_S = 0.5
"""How long an Ollama may take to show that it is there."""
GB = 1e9


def find_ollama() -> Ollama | None:
    """The Ollama that is used unasked: at OLLAMA_HOST, else on loopback; of a version known to tell log-probabilities.

    To be closed. None if none answers within half a second, or the `ollama` package is not installed. Raises
    BadInput where OLLAMA_HOST is no address.
    """
    if importlib.util.find_spec("ollama") is None:
        return None
    server = Ollama(address())
    try:
        if tells_logprobs(server.version(GLANCE_S)):
            return server
    except EngineError:
        pass
    server.close()
    return None


def asked_for() -> Ollama:
    """The Ollama that is used where the user asks for one, to be closed.

    Raises BadInput (OLLAMA_HOST is no address), MissingDependency, EngineError (it does not answer, or is too old).
    """
    if importlib.util.find_spec("ollama") is None:
        raise MissingDependency("ollama", "serve")
    server = Ollama(address())
    try:
        version = server.version()
        if tells_logprobs(version) is False:
            raise EngineError(
                f"The Ollama at {server.url} is {version}, which tells no log-probabilities.",
                "Update it: 0.12.11 or newer.",
            )
    except EngineError:
        server.close()
        raise
    return server


def findings() -> Iterator[Finding]:
    """The Ollama that would be used: whether it answers, its version, and what it has in memory."""
    try:
        server = Ollama(address())
    except BadInput as error:
        yield Finding("ollama", False, error.fact, error.remedy)
        return
    try:
        version = server.version()
        models, loaded = server.models(), server.loaded()
    except (EngineError, MissingDependency) as error:  # nobody needs one: there is the embedded engine
        yield Finding("ollama", None, error.fact, error.remedy)
        return
    finally:
        server.close()
    yield _version(server.url, version)
    ours = sum(name.startswith(f"{NAMESPACE}/") for name in models)
    inside = ", ".join(f"{name} ({size / GB:.2f} GB)" for name, size in sorted(loaded.items())) or "none"
    fact = f"{len(models)} models, {ours} of them specialists; in memory: {inside}; {sum(loaded.values()) / GB:.2f} GB"
    yield Finding("ollama memory", None, fact)


def _version(url: str, version: str) -> Finding:
    tells = tells_logprobs(version)
    if tells is None:
        remedy = "`--engine ollama` uses it all the same; a change of its version would not be noticed."
        return Finding("ollama", None, f"{url}, of no known version ({version})", remedy)
    if tells:
        return Finding("ollama", True, f"{version} at {url}")
    fact = f"{version} at {url} tells no log-probabilities"
    return Finding("ollama", None, fact, "To serve specialists, update it: 0.12.11 or newer.")


def facts(specialists: Sequence[Specialist]) -> dict[str, dict[str, Any]]:
    """By id, where Ollama has them, whether they are there and in memory, and what their models' metadata says.

    Added to the fields of `Imported`: state ("there", or why it is not known), memory_bytes (None: not in memory), and
    provenance.
    """
    loaded = {address: _loaded(address) for address in {imported(s).address for s in specialists}}
    return {s.id: {**s.placed[NAME], **_there(s, loaded[imported(s).address])} for s in specialists}


def _loaded(address: str) -> Mapping[str, int] | str:
    """Bytes by model of what the server has in memory; or why it does not tell."""
    try:
        with contextlib.closing(server_at(address)) as server:
            return server.loaded()
    except (EngineError, MissingDependency) as error:
        return error.fact


def _there(specialist: Specialist, loaded: Mapping[str, int] | str) -> dict[str, Any]:
    unknown: dict[str, Any] = {"state": loaded, "memory_bytes": None, "provenance": None}
    if isinstance(loaded, str):
        return unknown
    where = imported(specialist)
    try:
        with contextlib.closing(server_at(where.address)) as server:
            about = provenance(server, where.model)
    except NotServed:
        return {**unknown, "state": "gone: protege serve brings it back"}
    except EngineError as error:
        return {**unknown, "state": error.fact}
    return {"state": "there", "memory_bytes": loaded.get(where.model), "provenance": about}


def in_words(facts: Mapping[str, Any]) -> list[str]:
    """Where Ollama has a specialist, and what its own metadata there says."""
    memory = f"{facts['memory_bytes'] / GB:.2f} GB in memory" if facts["memory_bytes"] else "not in memory"
    lines = [f"{facts['model']} ({facts['quantisation']}) at {facts['address']}: {facts['state']}, {memory}"]
    if about := facts["provenance"]:
        report = about["report"] or {}
        measured = f"agreement {report['agreement']:.1%} on {report['test_calls']} calls" if report else "not evaluated"
        lines.append(f"from {about['base']['name']} ({about['base']['licence']}), data {about['data']}; {measured}")
    return lines
