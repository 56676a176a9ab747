"""Cluster: which kinds of call repeat, and which kind a new request is.

Takes calls, and the tasks that are known already; gives `Discovery`: the tasks and each call's task. `Assigner` says
the same of one request, light enough for the agent's own process. A task is a function of the request alone: answers
help to find the kinds, and never say which one a call is. `merge` and `split` correct the tasks by hand; `changes` says
what is new in the traffic. Nothing here changes the workspace.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
