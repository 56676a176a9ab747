"""evaluate: how often a specialist answers as the teacher did, on calls that it was never trained on.

Takes an engine that serves the specialist and a split of curated calls (`answer_all`), or what came of that
(`evaluate`). Gives `Judged` answers, and their figures as an `Evaluation`: agreement with its exact 95% interval,
latency, tokens, how well confidence tells right from wrong, and examples. Graders say by kind of output what "the
same answer" means; `register` adds one. Never trains, never decides a threshold, and never leaves a call out: one that
could not be answered counts as not agreed.
"""

from .attempt import Answered, ask
from .confidence import confidence, keeps
from .figures import CurvePoint, Evaluation, Example, Kept, evaluate
from .graders import Grader, grader_for, register
from .intervals import clopper_pearson, upper_bound
from .judging import Judged, answer_all, judged_from, judged_to

__all__ = [
    "Answered",
    "CurvePoint",
    "Evaluation",
    "Example",
    "Grader",
    "Judged",
    "Kept",
    "answer_all",
    "ask",
    "clopper_pearson",
    "confidence",
    "evaluate",
    "grader_for",
    "judged_from",
    "judged_to",
    "keeps",
    "register",
    "upper_bound",
]
