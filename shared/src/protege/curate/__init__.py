"""Curate: recorded calls of one task become a data set to teach from and to judge by.

Takes a task and its calls; gives `Curated`, four parts (train, validation, calibration, test) with their provenance,
the only type that tuning accepts. Never lets through an answer that a specialist gave, a secret that masking knows,
or one prompt into two parts; never changes the workspace.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
