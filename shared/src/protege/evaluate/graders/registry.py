"""Which grader judges a task: by its kind of output, or by the name that was chosen for it."""

from __future__ import annotations

import functools
import importlib

from ...errors import BadInput
from ...task import Task
from .base import Exact, Grader
from .code.grader import Code
from .json_fields import JsonFields
from .label import Label
from .numbers import Numbers
from .spans import Spans
from .sql.grader import Sql
from .text import RougeL, TextSimilarity
from .tool_calls import ToolCalls

_graders: dict[str, Grader] = {
    "exact": Exact(),
    "label": Label(),
    "label any case": Label(ignore_case=True),
    "json": JsonFields(),
    "json any order": JsonFields(unordered=True),
    "tool calls": ToolCalls(),
    "sql": Sql(),
    "sql form": Sql(execute=False),
    "code": Code(),
    "spans": Spans(),
    "numbers": Numbers(),
    "text": TextSimilarity(),
    "rouge": RougeL(),
}


def grader_for(task: Task, chosen: str = "") -> Grader:
    """The grader of the task: of its kind of output, or the one that is `chosen`.

    chosen: a registered name (`grader_names`), or "package.module:Name" of a Grader or of a class of graders that
    needs no arguments. Raises BadInput where there is no such grader.
    """
    if not chosen.strip():
        return _graders[_plain(task.kind)]
    if (known := _graders.get(_plain(chosen))) is not None:
        return known
    if ":" in chosen:
        return _loaded(chosen.strip())
    raise BadInput(
        f"There is no grader {chosen!r}.",
        f"Choose one of: {', '.join(grader_names())}; or name your own as package.module:Class.",
    )


def grader_names() -> tuple[str, ...]:
    """The registered names, sorted."""
    return tuple(sorted(_graders))


def register(name: str, grader: Grader) -> None:
    """Give a grader a name, in this process; under a kind of output ("label", "sql", …) it judges that from now on.

    Raises BadInput where it is no Grader, or the name is empty or has a colon.
    """
    if not isinstance(grader, Grader):
        raise BadInput(f"{type(grader).__name__} is no grader.", "Make it a subclass of protege.evaluate.Grader.")
    if not _plain(name) or ":" in name:
        raise BadInput(f"{name!r} cannot name a grader.", "Use a few words without a colon.")
    _graders[_plain(name)] = grader


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").split())


@functools.lru_cache(maxsize=64)
def _loaded(path: str) -> Grader:
    module_name, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ImportError, SyntaxError, ValueError, TypeError) as error:  # the latter two: an empty or relative name
        raise BadInput(
            f"The module of grader {path!r} cannot be imported: {error}.",
            "Name one that Python finds where this runs: install it, or put its folder on PYTHONPATH.",
        ) from error
    except AttributeError:
        raise BadInput(f"{module_name} has no {name!r}.", "Name a class of that module, as module:Class.") from None
    if isinstance(found, type) and issubclass(found, Grader):
        try:
            found = found()
        except TypeError as error:
            raise BadInput(
                f"Grader {path!r} cannot be made without arguments: {error}.",
                "Give all of them defaults, or name a grader that the module has made, as module:name.",
            ) from error
    if not isinstance(found, Grader):
        raise BadInput(f"{path!r} is no grader.", "Make it a subclass of protege.evaluate.Grader.")
    return found
