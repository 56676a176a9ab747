"""loop: the steps of the loop over one task, as `flywheel` calls them.

Takes a `Run`; each step caches its result in the workspace under a hash of what it was made from, so that a second run
reuses what did not change, and a run that was killed goes on where it stopped. `admit` alone changes who answers.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
