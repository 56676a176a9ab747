"""Cluster: find the kinds of call that repeat, and tell which kind a new request is.

Takes calls and the tasks that are already known.
Gives `Discovery`: the tasks, and each call's task. `Assigner` gives the task of one request and is light enough for the
agent's own process. `merge` and `split` correct tasks by hand, `changes` lists what is new in the traffic, and `weigh`
estimates what a task is worth.
Never lets an answer decide which task a call belongs to (a task is a function of the request alone; answers only help
to find the kinds), and never changes the workspace.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
