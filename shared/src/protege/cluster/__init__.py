"""Cluster: which kinds of call repeat, and which kind a new request is.

Takes calls, and the tasks that are known already; gives `Discovery`: the tasks and each call's task. `Assigner` says
the same of one request, light enough for the agent's own process. A task is a function of the request alone: answers
help to find the kinds, and never say which one a call is. `merge` and `split` correct the tasks by hand; `changes` says
what is new in the traffic. Nothing here changes the workspace.
"""

from .assign import Assigner
from .correct import merge, split
from .discovery import Discovery, discover
from .drift import Change, changes

__all__ = ["Assigner", "Change", "Discovery", "changes", "discover", "merge", "split"]
