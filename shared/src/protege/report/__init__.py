"""Report: what Protégé found, did and saved, for people.

Takes `ReportData`, figures and redacted examples that other steps measured; gives one HTML page, JSON or Markdown, and
tables for the terminal.
The same of `TaskMap`: the tasks by what a small model could take over, with samples that are redacted.
Never measures anything itself, never loads anything from the network, and lets no text from a call act as markup.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
