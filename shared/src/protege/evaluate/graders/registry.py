"""Which grader judges a task: the one of its kind of output, or the one that was chosen by name."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable

from ...errors import BadInput
from ...task import Task
from .. import graders
from .base import Exact, Grader
from .decisive import PREFIX

# Factories, so that a grader's module (with sqlglot, for one) is loaded by the first task that it judges.
_FACTORIES: dict[str, Callable[[], Grader]] = {
    "exact": Exact,
    "label": lambda: graders.Label(),
    "label any case": lambda: graders.Label(ignore_case=True),
    "json": lambda: graders.JsonFields(),
    "decisive": lambda: graders.DecisiveFields(),
    "json any order": lambda: graders.JsonFields(unordered=True),
    "tool calls": lambda: graders.ToolCalls(),
    "sql": lambda: graders.Sql(),
    "sql form": lambda: graders.Sql(execute=False),
    "code": lambda: graders.Code(),
    "spans": lambda: graders.Spans(),
    "numbers": lambda: graders.Numbers(),
    "text": lambda: graders.TextSimilarity(),
    "rouge": lambda: graders.RougeL(),
}
_graders: dict[str, Grader] = {}
"""The graders made or registered so far, by name."""


def grader_for(task: Task, chosen: str = "") -> Grader:
    """The grader of a task: the one of its kind of output, or the one that is `chosen`.

    chosen: a registered name (`grader_names`), "fields: actions, state.next" for the fields of JSON that count, or
    "package.module:Name" of a Grader or of a class of graders that needs no arguments. Raises BadInput if there is
    no such grader.
    """
    name = _plain(chosen if chosen.strip() else task.kind)
    if name in _graders:
        return _graders[name]
    if name in _FACTORIES:
        return _graders.setdefault(name, _FACTORIES[name]())
    if chosen.strip().lower().startswith(PREFIX):
        return _fields(chosen.strip()[len(PREFIX) :])
    if ":" in chosen:
        return _loaded(chosen.strip())
    raise BadInput(
        f"There is no grader {chosen!r}.",
        f"Choose one of: {', '.join(grader_names())}; or name your own as package.module:Class.",
    )


def _fields(names: str) -> Grader:
    fields = [name for name in names.split(",") if name.strip()]
    if not fields:
        raise BadInput("No field is named.", "Name those that count, such as: fields: actions, state.next")
    return graders.DecisiveFields(fields)


def grader_names() -> tuple[str, ...]:
    """The registered names, sorted."""
    return tuple(sorted({*_FACTORIES, *_graders}))


def register(name: str, grader: Grader) -> None:
    """Give a grader a name in this process. Under a kind of output ("label", "sql", …), it judges that kind from now
    on.

    Raises BadInput if it is not a Grader, or the name is empty or has a colon.
    """
    if not isinstance(grader, Grader):
        raise BadInput(f"{type(grader).__name__} is not a grader.", "Make it a subclass of protege.evaluate.Grader.")
    if not _plain(name) or ":" in name:
        raise BadInput(f"{name!r} cannot name a grader.", "Use a few words without a colon.")
    _graders[_plain(name)] = grader


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").split())


@functools.lru_cache(maxsize=64)
def _loaded(path: str) -> Grader:
    module_name, _, name = path.partition(":")
    try:
        grader = getattr(importlib.import_module(module_name), name)
    except (ImportError, SyntaxError, ValueError, TypeError) as error:  # the latter two for an empty or relative name
        raise BadInput(
            f"The module of grader {path!r} cannot be imported: {error}.",
            "Name one that Python finds where this runs: install it, or put its folder on PYTHONPATH.",
        ) from error
    except AttributeError:
        raise BadInput(f"{module_name} has no {name!r}.", "Name a class of that module, as module:Class.") from None
    if isinstance(grader, type) and issubclass(grader, Grader):
        try:
            grader = grader()
        except TypeError as error:
            raise BadInput(
                f"Grader {path!r} cannot be made without arguments: {error}.",
                "Give all of them defaults, or name a grader that the module has made, as module:name.",
            ) from error
    if not isinstance(grader, Grader):
        raise BadInput(f"{path!r} is not a grader.", "Make it a subclass of protege.evaluate.Grader.")
    return grader
