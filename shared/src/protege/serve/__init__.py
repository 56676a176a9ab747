"""serve: specialists, ready to be asked.

Takes specialists with their weights in the workspace; gives an `Engine`: a rendered prompt in; text, and the
log-probability of each token, out. `serve` runs one inside this program; `serve_forever` and `start_in_background` run
one for all agents of a workspace, which `connect` finds. Never cuts a prompt, samples, listens beyond this machine or
answers without its token; loads no model into the process that asks.
"""

from .background import background, serve_forever, start_in_background
from .embedded import EmbeddedEngine, Options, serve
from .engine import Completer, Completion, DoesNotFit, Engine, acomplete
from .replicas import Replicas, replicate
from .shared import RemoteEngine, connect

__all__ = [
    "Completer",
    "Completion",
    "DoesNotFit",
    "EmbeddedEngine",
    "Engine",
    "Options",
    "RemoteEngine",
    "Replicas",
    "acomplete",
    "background",
    "connect",
    "replicate",
    "serve",
    "serve_forever",
    "start_in_background",
]
