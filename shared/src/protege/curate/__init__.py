"""Curate: turn the recorded calls of one task into a data set to learn from and to judge by.

Takes a task and its calls.
Gives `Curated`: four parts (train, validation, calibration, test) with their provenance, the only type that tuning
accepts.
Never lets through an answer that a specialist gave or a secret that masking knows, never puts one prompt into two
parts, and never changes the workspace.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
