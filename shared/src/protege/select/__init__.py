"""S4, select: which small model a task's specialist is tuned from.

Takes a task, a sample of its curated calls, this machine's means and the policy on licences; gives the base, and the
plain reason for which every other one was passed over. Never downloads, never reads calls kept for calibration or test.
"""

from .base import load_base
from .choose import Selection, select
from .find import base_named, find_bases, places
from .fit import Policy
from .gguf_header import check_gguf
from .machine import Machine, machine
from .models import Model, catalogue
from .probe import ProbeResult, probe

__all__ = [
    "Machine",
    "Model",
    "Policy",
    "ProbeResult",
    "Selection",
    "base_named",
    "catalogue",
    "check_gguf",
    "find_bases",
    "load_base",
    "machine",
    "places",
    "probe",
    "select",
]
