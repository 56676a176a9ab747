"""report: what Protégé found, did and saved, for people.

Takes a workspace (`gather`), or `ReportData` and `TaskMap` made from it: figures that other rooms measured, and
redacted examples. Gives HTML pages, JSON or Markdown files (`write_report`, `write_map`), tables for the terminal, the
status as a record, and figures for Prometheus. Never measures anything itself, never loads anything from the network,
and lets no text from a call act as markup.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
