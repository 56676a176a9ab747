"""watch: whether those that answer still may (S6), on what agents have recorded since the last look.

`look` brings the journal in, compares audited answers with the teacher's, notices changes of the traffic, and moves
specialists by the rules of `protege.rollout`. It takes moments; it may run at any time, in many processes at once and
beside a loop at work, and may be killed anywhere. `shadow` asks specialists in the shadow about the calls since, which
takes an engine. Neither tunes anything: if a specialist is to be made again, they leave an open reason with its task.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
