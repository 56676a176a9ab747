"""Redact: find personal data in texts, and replace it by surrogates of the same shape.

Takes the texts of a conversation and a `RedactionPolicy`.
Gives the texts with surrogates: "Anna Kim" becomes the same other person throughout a conversation, in prompt and
answer alike, so that a model still learns to extract. Personal data is found by patterns that are verified (checksums
of cards, IBANs and national ids) and by a small model that reads names and places.
Never changes what the workspace holds: a route sees the calls as they are.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
