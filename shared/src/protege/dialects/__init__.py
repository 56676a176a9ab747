"""dialects: what agents send over HTTP to models, and what these send back.

Takes a request or an answer of OpenAI's, Azure's, Anthropic's, Gemini's or Ollama's API. Gives it as the fields of a
call's record, and gives a specialist's answer as that API would have written it. Never sends anything, and is light: it
runs inside the agent.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
