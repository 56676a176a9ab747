"""S4, select: which small model a task's specialist is tuned from.

Takes a task, a sample of its curated calls, this machine's means and the policy on licences; gives the base, and the
plain reason for which every other one was passed over. Never downloads, never reads calls kept for calibration or test.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
