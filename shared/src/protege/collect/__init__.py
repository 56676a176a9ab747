"""Step S1: recorded calls come into the workspace.

Takes files of calls (`collect`), or what a `Recorder` wrote inside a running agent (`drain`). Gives calls in the store,
with their secrets masked and their costs filled in. Never raises into the agent, never stores a call twice, and never
changes a stored call.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
