"""evaluate: how often a specialist answers as the teacher did, on calls that it was never trained on.

`answer_all` takes an engine that serves the specialist and a split of curated calls, and gives `Judged` answers.
`evaluate` gives their figures as an `Evaluation`: agreement with its exact 95% interval, also by kind of call, latency,
tokens, how well confidence tells right from wrong, how answers differ, and examples. `compare` gives the `Comparison`
of two specialists on the same calls. Graders say what "the same answer" means (`protege.evaluate.graders` has them
all): by kind of output, or by the name that a task's policy gives; `register` adds one. Never trains, never decides a
threshold, and never leaves a call out: one that could not be answered counts as not agreed.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
