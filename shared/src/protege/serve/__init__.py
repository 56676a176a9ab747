"""serve: specialists, ready to be asked.

Takes specialists with their weights in the workspace; gives an `Engine`: a rendered prompt in; text, and the
log-probability of each token, out. Two kinds: the embedded one, which `serve` runs inside this program and
`serve_forever` and `start_in_background` run for all agents of a workspace; and a running Ollama, into which
`place` brings a specialist. `open_engine` gives the one a specialist belongs to, `connect` and `OllamaEngine` an
agent's way to them. Never cuts a prompt, samples, or loads a model into the process that asks; the embedded one never
listens beyond this machine or answers without its token, and no Ollama elsewhere is asked that the user did not name.
"""

from .background import background, serve_forever, start_in_background
from .embedded import EmbeddedEngine, Options, check_room, serve
from .engine import Completer, Completion, Engine, acomplete
from .ollama import EngineName, OllamaEngine, choose_ollama, find_ollama
from .ollama_models import check_keep_alive, imported, provenance, prune, server_at
from .placing import bring_back, describe, open_engine, open_engines, place, remove, unload
from .replicas import Replicas
from .shared import RemoteEngine, connect

__all__ = [
    "Completer",
    "Completion",
    "EmbeddedEngine",
    "Engine",
    "EngineName",
    "OllamaEngine",
    "Options",
    "RemoteEngine",
    "Replicas",
    "acomplete",
    "background",
    "bring_back",
    "check_keep_alive",
    "check_room",
    "choose_ollama",
    "connect",
    "describe",
    "find_ollama",
    "imported",
    "open_engine",
    "open_engines",
    "place",
    "provenance",
    "prune",
    "remove",
    "serve",
    "serve_forever",
    "server_at",
    "start_in_background",
    "unload",
]
