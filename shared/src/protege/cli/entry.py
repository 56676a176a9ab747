"""Runs the command line: what goes wrong on purpose becomes a message and an exit code, never a traceback."""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType

from typer import Abort
from typer.exceptions import TyperException

from ..common.extras import extra_of
from ..common.terminal import printable, printable_line
from ..errors import MissingDependency, ProtegeError
from .commands import app
from .common import is_store_trouble, store_trouble
from .output import fail


def main() -> None:
    """Run the command line."""
    as_json = "--json" in sys.argv
    logging.setLogRecordFactory(_SafeRecord)
    sys.excepthook = _print_traceback
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except ProtegeError as error:
        fail(error.fact, error.remedy, as_json=as_json)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        module = error.name or ""
        extra = extra_of(module)
        if extra is None:
            raise
        lacking = MissingDependency(module.partition(".")[0], extra)
        fail(lacking.fact, lacking.remedy, as_json=as_json)
        sys.exit(1)
    except (KeyboardInterrupt, Abort):
        fail("Interrupted.", "Nothing is lost: the same command continues where it stopped.", as_json=as_json)
        sys.exit(1)
    except TyperException as error:
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        fail(message, "`protege --help` lists the commands, `protege COMMAND --help` its options.", as_json=as_json)
        sys.exit(2)
    except Exception as error:
        if not is_store_trouble(error):
            raise
        fail(f"The disk or the store fails: {store_trouble(error)}.", "Free space or try again.", as_json=as_json)
        sys.exit(1)


class _SafeRecord(logging.LogRecord):
    """A log line, which may quote calls, files and servers, fit for a terminal."""

    def getMessage(self) -> str:
        return printable_line(super().getMessage())


def _print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(printable("".join(traceback.format_exception(kind, error, trace))))
