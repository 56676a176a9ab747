"""cli: the command `protege`.

Every command takes `--home` and `--json`; with `--json` it prints one JSON document and nothing else on stdout. Exit
codes: 0 done, 1 failed, 2 bad usage or bad input. All command modules load at every start, so they reach the other
rooms as modules, whose names load at first use. `entry` runs the app that `commands` puts together; the commands stand
in `watching`, `learning`, `serving` and `upkeep`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
