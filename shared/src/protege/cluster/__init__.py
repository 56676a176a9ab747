"""Cluster: which kinds of call repeat, and which kind a new request is.

Takes calls, and the tasks that are known already; gives `Discovery`: the tasks and each call's task. `Assigner` says
the same of one request, light enough for the agent's own process. A task is a function of the request alone: neither
ever looks at an answer to tell kinds apart, and neither changes the workspace.
"""

from .assign import Assigner
from .discovery import Discovery, discover

__all__ = ["Assigner", "Discovery", "discover"]
