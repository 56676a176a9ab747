"""certify: what a specialist's held-out answers prove.

Takes a `Candidate` (a specialist with its answers to the held-out calls) and a `Promise`; gives `Figures` with a
`Certificate`: a threshold with a guarantee, or the number of calls that are missing; and the `Route` that follows.
Every look at calibration calls is charged to the task's ledger of δ. Never asks a specialist, and never changes who
answers.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
