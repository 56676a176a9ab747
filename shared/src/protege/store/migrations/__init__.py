"""migrations: the tables' history. Numbered, applied in order, each in one transaction, recorded with its time.

A migration that was released is never changed and never taken away: a change of the tables is a new module here and a
line in `running.ALL`. `tables` shows what they come to.
"""

from .running import ALL, Begin, Migration, is_current, migrate

__all__ = ["ALL", "Begin", "Migration", "is_current", "migrate"]
