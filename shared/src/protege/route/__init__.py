"""route: the specialist answers where that was shown to hold, the teacher everywhere else.

Before: `grid_from` the validation split and `calibrate` on the calibration split give a threshold with a guarantee, or
the number of calls that are missing; `publish` tells running agents. In the agent: `Router`, which takes a request and
gives the specialist's answer, or none and the reason. Never raises into the agent, never waits beyond the route's
time-out, never starts an engine on the agent's thread, and never keeps an answer that calibration did not speak for.
"""

from ..evaluate import keeps
from .decision import Decision, Reason
from .guarantee import Certificate, calibrate, calls_needed, grid_from, hindsight_coverage, hopeless
from .publish import in_force, publish
from .router import Outcome, Router

__all__ = [
    "Certificate",
    "Decision",
    "Outcome",
    "Reason",
    "Router",
    "calibrate",
    "calls_needed",
    "grid_from",
    "hindsight_coverage",
    "hopeless",
    "in_force",
    "keeps",
    "publish",
]
