"""Statistics: plain functions on numbers.

intervals: exact intervals of shares and of their differences. sequential: tests that can be read after every call.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
