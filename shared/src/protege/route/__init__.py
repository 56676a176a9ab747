"""Step S6, route: the specialist answers where that is certified, the teacher everywhere else.

This is the agent's side. `Router` takes a request and gives the specialist's answer, or none and the reason. It reads
what `certify` proved and `rollout` published. Never raises into the agent, never waits beyond the route's time-out,
never starts an engine on the agent's thread, and never keeps an answer that calibration does not cover.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
