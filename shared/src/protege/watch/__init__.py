"""watch: whether those that answer still may (S6), on what agents have recorded since the last look.

`look` brings the journal in, compares what was drawn for audits with what the teacher said, notices changes of the
traffic, and moves specialists by the rules of `protege.rollout`. It takes moments, may run at any time, in many
processes at once and beside a loop at work, and be killed anywhere. `shadow` asks specialists in the shadow about the
calls since, which takes an engine. Neither tunes anything: what calls for that is left as the task's open reason.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
