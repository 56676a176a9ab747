"""Step S1: recorded calls come into the workspace.

Takes files of calls (`collect`), or what recorders wrote inside running agents (`Recorder`, then `drain`). Gives calls
in the store, their secrets masked and their costs filled in. Never raises into the agent, never stores a call twice,
and never changes a call that is stored.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
