"""Chat as text and back.

prompt: what a specialist is shown. answer: what it writes, as a message. openai: OpenAI's chat form. streams: chunks
assembled into a message. refusal: answers that decline. teacher: a teacher behind an OpenAI-compatible server.
tokens: estimates of what was read and written.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
