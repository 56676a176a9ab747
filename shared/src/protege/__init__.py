"""Protégé: an agent's repeated calls become small models that answer them.

The nouns are `Call`, `Task` and `Specialist`; a `Workspace` holds them; `protege.flywheel.improve` is the loop.
Importing this package does no I/O and loads no model library.
"""

from .call import Attempt, Call, Message, Request
from .errors import ProtegeError
from .specialist import Base, Route, Specialist
from .task import Task, Template
from .workspace import Workspace

__version__ = "0.1.0"
__all__ = [
    "Attempt",
    "Base",
    "Call",
    "Message",
    "ProtegeError",
    "Request",
    "Route",
    "Specialist",
    "Task",
    "Template",
    "Workspace",
]
