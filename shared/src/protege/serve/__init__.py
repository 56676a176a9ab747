"""serve: specialists, ready to be asked.

Takes specialists with their weights in the workspace; gives an `Engine`: a rendered prompt in; text, and the
log-probability of each token, out. Each kind of engine is a folder: the embedded one, which `serve` runs inside this
program and `protege serve` for all agents of a workspace, a running Ollama, into which a specialist is imported, and
heads, which answer in the process that asks. Other packages bring theirs by the entry-point group `protege.engines`.
`choose` says which kind serves, `open_engine` opens the one that a specialist belongs to. Never cuts a prompt, samples,
or loads a model into the process that asks, but for heads of a few megabytes; the embedded engine never listens where
another user could reach it or answers without its token, an Ollama of a stranger's is never asked, and one elsewhere
only where the user named it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
