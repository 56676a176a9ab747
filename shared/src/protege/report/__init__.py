"""Report: what Protégé found, did and saved, for people.

Takes `ReportData`, figures and examples that other steps measured; gives one HTML page, and a table for the terminal.
The same of `TaskMap`: the tasks by what a small model could take over, with samples that are redacted.
Never measures anything itself, never loads anything from the network, and lets no text from a call act as markup.
"""

from .data import Agreement, Certified, Example, Loss, Realised, ReportData, TaskReport
from .gather import gather, status
from .map import Dot, Sample, TaskMap, draw_map, write_map
from .page import write_report
from .table import table, worth_table

__all__ = [
    "Agreement",
    "Certified",
    "Dot",
    "Example",
    "Loss",
    "Realised",
    "ReportData",
    "Sample",
    "TaskMap",
    "TaskReport",
    "draw_map",
    "gather",
    "status",
    "table",
    "worth_table",
    "write_map",
    "write_report",
]
