"""measure: a specialist's figures again, the teacher's agreement with itself, an agent before and after, parity."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
