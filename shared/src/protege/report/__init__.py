"""Report: what Protégé found, did and saved, for people.

Takes `ReportData`, figures and examples that other steps measured; gives one HTML page, and a table for the terminal.
Never measures anything itself, never loads anything from the network, and lets no text from a call act as markup.
"""

from .data import Agreement, Certified, Example, Loss, Realised, ReportData, TaskReport
from .gather import gather, status
from .page import write_report
from .table import table

__all__ = [
    "Agreement",
    "Certified",
    "Example",
    "Loss",
    "Realised",
    "ReportData",
    "TaskReport",
    "gather",
    "status",
    "table",
    "write_report",
]
