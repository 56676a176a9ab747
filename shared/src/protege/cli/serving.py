"""The commands that serve specialists and decide who answers."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from .. import rollout, service
from ..common.files import home_path
from ..errors import BadInput
from ..route.belief import doubt
from ..workspace import Workspace
from . import output
from .common import RUN, Home, Json, Name, done, is_store_trouble, specialist_named, store_trouble, task_named

serving = typer.Typer()


@serving.command(rich_help_panel=RUN)
def serve(home: Home = None, as_json: Json = False) -> None:
    """Serve the live specialists until interrupted; agents of this workspace find them by themselves."""
    workspace = Workspace(home)
    live = [s for s in workspace.specialists() if s.answers]
    if not live:
        raise BadInput("No specialist is live.", "`protege improve` makes one.")

    def ready(address: str) -> None:
        if as_json:
            output.print_json({"address": address, "specialists": [s.name for s in live]})
        else:
            output.console.print(
                f"Serving {', '.join(s.name for s in live)} on {address}. Ctrl-C stops.", highlight=False
            )

    on_moved = functools.partial(rollout.keep_moved, workspace)
    service.serve_forever(workspace, live, ready, on_moved=on_moved)


@serving.command(rich_help_panel=RUN)
def promote(name: Name, home: Home = None, as_json: Json = False) -> None:
    """Let a certified specialist answer its task."""
    workspace = Workspace(home)
    specialist = specialist_named(workspace, name)
    rollout.promote(workspace, specialist)
    policy = rollout.policy_of(workspace, specialist.task_id)
    answers = rollout.in_force(rollout.route_of(workspace, specialist), specialist, policy)
    line = f"{name} answers from now on." if answers else f"{name} is live, but its policy gives the calls to another."
    if (found := doubt(workspace.home)) is not None:
        line = f"{name} is live, but the teacher answers: {found.fact}. {found.remedy}"
    done({"live": name}, line, as_json)


@serving.command(rich_help_panel=RUN)
def rollback(name: Name, home: Home = None, as_json: Json = False) -> None:
    """Give a specialist's task back to its predecessor, or else to the teacher."""
    taken = rollout.retire_at_once(home_path(home), name)
    try:
        workspace = Workspace(home)
        predecessor = rollout.rollback(workspace, specialist_named(workspace, name))
    except Exception as error:
        if not taken or not is_store_trouble(error):
            raise
        line = f"{name} answers no more; the teacher does."
        return _done_at_once({"retired": name, "live": None}, line, error, as_json)
    answers = predecessor.name if predecessor else "The teacher"
    done({"retired": name, "live": predecessor and predecessor.name}, f"{answers} answers from now on.", as_json)


@serving.command(rich_help_panel=RUN)
def retire(name: Name, home: Home = None, as_json: Json = False) -> None:
    """Take a specialist out of service until it is promoted again."""
    taken = rollout.retire_at_once(home_path(home), name)
    try:
        workspace = Workspace(home)
        retired = specialist_named(workspace, name)
        rollout.retire(workspace, retired)
    except Exception as error:
        if not taken or not is_store_trouble(error):
            raise
        return _done_at_once({"retired": name, "live": None}, f"{name} answers no more.", error, as_json)
    live = next((s.name for s in workspace.specialists(task_id=retired.task_id) if s.state == "live"), None)
    done({"retired": name, "live": live}, f"{live or 'The teacher'} answers from now on.", as_json)


@serving.command(rich_help_panel=RUN)
def policy(
    task: Annotated[str | None, typer.Argument(help="A task's name or id; every task if none is given.")] = None,
    epsilon: Annotated[float | None, typer.Option(help="ε: the share of kept answers that may disagree.")] = None,
    delta: Annotated[float | None, typer.Option(help="δ: the chance that the guarantee does not hold.")] = None,
    latency_ms: Annotated[float | None, typer.Option(help="The longest that an agent waits for a specialist.")] = None,
    budget_usd: Annotated[
        float | None, typer.Option(help="The most that a day's audits may cost, in the teacher's answers.")
    ] = None,
    audit: Annotated[float | None, typer.Option(help="The share of answers to audit.")] = None,
    pin: Annotated[str | None, typer.Option(help="Always let this specialist, or `teacher`, answer.")] = None,
    grader: Annotated[
        str | None, typer.Option(help="The grader, which says what the same answer means: a name, or module:Class.")
    ] = None,
    promise: Annotated[
        Literal["kept", "all"] | None,
        typer.Option(
            help="kept: of the kept answers at most ε disagree. all: that (ε = 0.1 if not given), and of all calls at "
            "most --epsilon-all are kept and disagree."
        ),
    ] = None,
    epsilon_all: Annotated[
        float | None, typer.Option(help="With --promise all: the share of all calls that may be kept and disagree.")
    ] = None,
    price_as: Annotated[
        str | None,
        typer.Option(help="The model whose list price stands for the teacher's if a call's cost is unknown."),
    ] = None,
    unset: Annotated[list[str] | None, typer.Option(help="Undo one of these options: --unset epsilon.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Set the terms on which specialists may answer; without an option, show them."""
    workspace = Workspace(home)
    chosen = task_named(workspace, task) if task else None
    given = {
        "epsilon": epsilon,
        "delta": delta,
        "latency_ms": latency_ms,
        "budget_usd": budget_usd,
        "audit": audit,
        "pin": pin,
        "grader": grader,
        "promise": promise,
        "epsilon_all": epsilon_all,
        "price_as": price_as,
    }
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    changes |= {name.replace("-", "_"): None for name in unset or ()}
    if changes:
        rollout.decide(workspace, chosen, changes)
    record = rollout.policy_of(workspace, chosen.id if chosen else rollout.EVERY).to_record()
    if as_json:
        return output.print_json({"task": chosen.name if chosen else None, **record})
    rows = [(name, value) for name, value in record.items() if value not in (None, "", False)]
    output.print_table(chosen.name if chosen else "Every task", ("policy", "value"), rows)


@serving.command(rich_help_panel=RUN)
def off(
    task: Annotated[str | None, typer.Argument(help="A task's name or id; all tasks if none is given.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Let the teacher answer one task or all from now on; running agents follow within a second."""
    _switch(task, home, as_json, off=True)


@serving.command(rich_help_panel=RUN)
def on(
    task: Annotated[str | None, typer.Argument(help="A task's name or id; all tasks if none is given.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Let specialists answer again after `protege off`."""
    _switch(task, home, as_json, off=False)


def _switch(name: str | None, home: Path | None, as_json: bool, *, off: bool) -> None:
    taken = off and rollout.off_at_once(home_path(home), name)
    try:
        workspace = Workspace(home)
        task = task_named(workspace, name) if name else None
        rollout.switch(workspace, task, off=off)
    except Exception as error:
        if not taken or not is_store_trouble(error):
            raise
        line = f"The teacher answers: {name or 'all tasks'}."
        return _done_at_once({"task": name, "state": "off"}, line, error, as_json)
    now_off = rollout.policy_of(workspace, task.id if task else rollout.EVERY).off
    whose = task.name if task else "all tasks"
    line = f"The teacher answers: {whose}." if now_off else f"Specialists answer where they are certified: {whose}."
    if now_off and not off:
        line = f"{line} All tasks are off: `protege on` ends that."
    done({"task": task.name if task else None, "state": "off" if now_off else "on"}, line, as_json)


def _done_at_once(document: dict[str, Any], line: str, error: Exception, as_json: bool) -> None:
    """Say that agents follow although the store could not be told."""
    why = store_trouble(error)
    done({**document, "store": why}, line, as_json)
    output.print_note(f"The store could not be told ({why}). It is told when someone next looks: `protege status`.")
