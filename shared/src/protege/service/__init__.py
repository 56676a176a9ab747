"""service: what goes on until it is interrupted.

`serve_forever` serves the live specialists to a workspace's agents, `keep` improves every so often and watches in
between, `serve_metrics` answers Prometheus.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
