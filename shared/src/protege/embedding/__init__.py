"""embedding: a text as a vector that is near those of texts that mean the same.

Takes a text and a time; gives a vector of unit length, from a model that a package brings (`packaged`) or one that an
Ollama has (`ollama:NAME`). Nothing is downloaded. Heads are taught and asked with it. Loads neither numpy nor a model
before the first text.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
