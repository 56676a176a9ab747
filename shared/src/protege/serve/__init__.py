"""serve: specialists, ready to be asked.

Takes specialists with their weights in the workspace; gives an `Engine`: a rendered prompt in; text, and the
log-probability of each token, out. Two kinds: the embedded one, which `serve` runs inside this program and
`serve_forever` and `start_in_background` run for all agents of a workspace; and a running Ollama, into which
`place` brings a specialist. `open_engine` gives the one a specialist belongs to, `connect` and `OllamaEngine` an
agent's way to them. Never cuts a prompt, samples, or loads a model into the process that asks; the embedded one never
listens beyond this machine or answers without its token, and no Ollama elsewhere is asked that the user did not name.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
