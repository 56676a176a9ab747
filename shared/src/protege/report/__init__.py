"""Report: what Protégé found, did and saved, for people.

Takes `ReportData`, figures and redacted examples that other steps measured; gives one HTML page, JSON or Markdown, and
tables for the terminal.
The same of `TaskMap`: the tasks by what a small model could take over, with samples that are redacted.
Never measures anything itself, never loads anything from the network, and lets no text from a call act as markup.
"""

from .data import (
    Agreement,
    Certified,
    EndToEnd,
    Example,
    Incident,
    Loss,
    Paired,
    Realised,
    ReportData,
    Runs,
    TaskReport,
)
from .gather import asked_after, gather, history, savings, status
from .map import Dot, Sample, TaskMap, draw_map, write_map
from .over_time import Ledger, OverTime, Period
from .page import write_report
from .table import table, time_table, worth_table

__all__ = [
    "Agreement",
    "Certified",
    "Dot",
    "EndToEnd",
    "Example",
    "Incident",
    "Ledger",
    "Loss",
    "OverTime",
    "Paired",
    "Period",
    "Realised",
    "ReportData",
    "Runs",
    "Sample",
    "TaskMap",
    "TaskReport",
    "asked_after",
    "draw_map",
    "gather",
    "history",
    "savings",
    "status",
    "table",
    "time_table",
    "worth_table",
    "write_map",
    "write_report",
]
