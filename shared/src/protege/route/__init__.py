"""route: the specialist answers where that was shown to hold, the teacher everywhere else.

Before: `grid_from` the validation split and `calibrate` on the calibration split give a threshold with a guarantee, or
the number of calls that are missing; `publish` tells running agents. In the agent: `Router`, which takes a request and
gives the specialist's answer, or none and the reason. Never raises into the agent, never waits beyond the route's
time-out, never starts an engine on the agent's thread, and never keeps an answer that calibration did not speak for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
