"""measure: asks again and compares.

`measure` and `measure_pair` give specialists' figures on held-out calls, `measure_ceiling` the teacher's agreement with
itself, `compare_agents` the whole agent with specialists and without, `check_parity` what an engine serves against what
was tuned, `cost_of` what a specialist costs with everything in, `shares` which share of the calls specialists answer.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
