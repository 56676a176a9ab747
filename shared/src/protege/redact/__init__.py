"""Redact: personal data is found in texts and replaced by surrogates of the same shape.

Takes texts, or a call with its task; gives them with "Anna Kim" become the same other person throughout a conversation,
in prompt and answer alike, so that a model still learns to extract. Finds by patterns that are checked (checksums of
cards, IBANs and national ids, known forms of keys) and by a small model that reads names and places. Never changes what
the workspace holds: a route sees the calls as they are.
"""

from .conversation import Redacted, Redactor, TooLong, redacted_text
from .detect import find
from .leaves import readable
from .policy import TYPES, Policy
from .policy import load as load_policy
from .span import Span

__all__ = [
    "TYPES",
    "Policy",
    "Redacted",
    "Redactor",
    "Span",
    "TooLong",
    "find",
    "load_policy",
    "readable",
    "redacted_text",
]
