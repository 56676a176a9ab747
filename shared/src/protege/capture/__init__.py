"""capture: a call inside the agent, watched, routed and recorded. Adapters reach it through `protege.adapter`.

Takes a request and the answer of whoever answered it. Gives the recorder one record for each call. Never raises into
the agent, and never changes what the teacher is asked.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
