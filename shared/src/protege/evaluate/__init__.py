"""evaluate: how often a specialist answers as the teacher did, on calls that it was never trained on.

Takes an engine that serves the specialist and a split of curated calls (`answer_all`), or what came of that
(`evaluate`). Gives `Judged` answers, and their figures as an `Evaluation`: agreement with its exact 95% interval, also
by kind of call, latency, tokens, how well confidence tells right from wrong, in what answers differ, and examples; of
two specialists on the same calls, a `Comparison` (`compare`). Graders say what "the same answer" means
(`protege.evaluate.graders` has them all): by kind of output, or by the name that a task's policy gives; `register` adds
one. Never trains, never decides a threshold, and never leaves a call out: one that could not be answered counts as not
agreed.
"""

from .attempt import Answered, ask
from .compare import Comparison, Parted, compare
from .confidence import Scorer, fit, keeps
from .differences import Confusion, FieldDifference
from .figures import CurvePoint, Evaluation, Example, Kept, evaluate
from .graders import Grader, grader_for, grader_names, register
from .intervals import clopper_pearson, difference, paired_difference, upper_bound, wilson
from .judging import Judged, answer_all, judged_from, judged_to, rescored
from .novelty import Novelty, novelty_from
from .reliability import Bin, Reliability
from .slices import Slice

__all__ = [
    "Answered",
    "Bin",
    "Comparison",
    "Confusion",
    "CurvePoint",
    "Evaluation",
    "Example",
    "FieldDifference",
    "Grader",
    "Judged",
    "Kept",
    "Novelty",
    "Parted",
    "Reliability",
    "Scorer",
    "Slice",
    "answer_all",
    "ask",
    "clopper_pearson",
    "compare",
    "difference",
    "evaluate",
    "fit",
    "grader_for",
    "grader_names",
    "judged_from",
    "judged_to",
    "keeps",
    "novelty_from",
    "paired_difference",
    "register",
    "rescored",
    "upper_bound",
    "wilson",
]
