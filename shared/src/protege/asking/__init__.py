"""asking: one question to a specialist, and how sure it is of its answer.

Calibration and the live route both ask here, so that what was calibrated is what runs. Light to import: agents do.

ask: the question. confidence: how sure an answer is, and whether it is kept. novelty: what training never showed.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
