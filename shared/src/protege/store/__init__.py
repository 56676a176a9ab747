"""store: what a workspace keeps, in a database.

    registry ── which store a home uses: `sqlite`, or one that another package brings
    backend ─── what a store brings: an engine, inserting, and the workspace's two locks
    migrations, tables ── the tables, and how those of older homes become them
    database ── changes that are kept whole or not at all
    calls, corrections, journals, history, state, findings, watched, cache ── what is kept, one module a kind

State (who answers, on what promise, what was decided and why) stands in tables of its own. What can be made again from
calls and data sets stands in the cache, which may be cleared at any time.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
