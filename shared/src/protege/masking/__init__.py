"""Masks secrets before a call is written: in the agent's process, within microseconds."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
