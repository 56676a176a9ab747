"""certify: what a specialist's held-out answers prove, and how much of δ has been spent on them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
