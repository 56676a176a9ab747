"""rollout: who answers a task. The rules, the policies that people set, and the changes that follow from both."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
