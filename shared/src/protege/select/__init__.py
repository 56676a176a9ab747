"""Select: choose the small model that a task's specialist is tuned from.

Takes a task, a sample of its curated calls, what this machine has, and a `SelectionPolicy` (licences, size).
Gives the base, and for every other model the reason why it was not chosen.
Never downloads a model, and never reads calls of calibration or test.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
