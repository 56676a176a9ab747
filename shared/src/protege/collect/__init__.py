"""Step S1: recorded calls come into the workspace.

Takes files of calls (`collect`), or what recorders wrote inside running agents (`Recorder`, then `drain`). Gives calls
in the store, their secrets masked and their costs filled in. Never raises into the agent, never stores a call twice,
and never changes a call that is stored.
"""

from .draining import drain
from .importing import Collected, Form, Skipped, collect, read
from .recorder import Recorder

__all__ = ["Collected", "Form", "Recorder", "Skipped", "collect", "drain", "read"]
