"""The commands that watch an agent and learn from it. Each opens the workspace, calls one function of the core, and
prints what it gives; `running` has those that serve and look after what was made."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import typer

from .. import flywheel
from ..common.files import home_path
from ..errors import BadInput, ProtegeError
from ..loop import tasks as finding
from ..loop.run import Improvement
from ..loop.settings import Settings
from ..service.loop import keep
from ..workspace import Workspace
from . import output
from .common import (
    LEARN,
    WATCH,
    Home,
    Json,
    Name,
    TaskName,
    done,
    fields_of,
    progress,
    seconds_of,
    specialist_named,
    task_named,
)
from .phrases import compared_of, figures_of, in_ollama, said_of, who
from .running import running

app = typer.Typer(
    help="Turns an agent's repeated calls to a large model into small models that answer them, with a guarantee.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.add_typer(running)

Method: TypeAlias = Literal["lora", "full", "qlora"]
Prompt: TypeAlias = Literal["slots", "whole", "better"]
ServeAs: TypeAlias = Literal["lora", "merged"]
EngineName: TypeAlias = Literal["auto", "embedded", "ollama"]
Rollout: TypeAlias = Literal["direct", "staged"]
Form: TypeAlias = Literal["calls", "openai", "otlp"]


@app.command(rich_help_panel=WATCH)
def collect(
    files: Annotated[
        list[Path], typer.Argument(help="Files of calls: JSON lines, OpenAI fine-tuning, OTLP JSON; .gz too.")
    ],
    form: Annotated[Form | None, typer.Option("--format", help="Default: told by the file's content.")] = None,
    strict: Annotated[bool, typer.Option(help="Stop at the first line that cannot be read.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Import recorded calls."""
    from ..collect import collect as run

    workspace = Workspace(home)
    found = run(workspace, files, strict=strict, form=form, progress=progress(as_json))
    skipped = [{"file": str(s.file), "line": s.line, "reason": s.reason} for s in found.skipped]
    if as_json:
        return output.print_json({"read": found.read, "added": found.added, "skipped": skipped})
    for line in skipped[:20]:
        output.errors.print(f"skipped {line['file']}:{line['line']}: {line['reason']}", highlight=False, markup=False)
    if len(skipped) > 20:
        output.errors.print(f"… and {len(skipped) - 20:,} more (--json lists them all)", highlight=False)
    output.console.print(
        f"{found.read:,} calls read, {found.added:,} new, {len(skipped):,} skipped. Next: protege tasks",
        highlight=False,
    )


@app.command(
    rich_help_panel=WATCH,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
def record(
    program: Annotated[list[str], typer.Argument(help="As for `python`: agent.py, or -m MODULE; then its arguments.")],
    home: Home = None,
) -> None:
    """Run a Python program, recording its calls to LangChain's and LlamaIndex's models. It needs no change."""
    import os
    import sys
    from importlib.metadata import entry_points

    from ..capture import attaching

    if not entry_points(group=attaching.GROUP):
        raise ProtegeError("No adapter that records by itself is installed.", "pip install protege-langchain")
    if program[0] == "-m" and len(program) < 2:
        raise BadInput("-m needs a module's name.", "protege record -m package.agent")
    if program[0] != "-m" and not Path(program[0]).is_file():
        raise BadInput(f"There is no file {program[0]}.", "protege record agent.py, or protege record -m package.agent")
    # In the place of this process: the program's output, errors and exit code are its own.
    os.execv(sys.executable, [sys.executable, "-m", attaching.__name__, str(home_path(home).resolve()), *program])


@app.command(rich_help_panel=WATCH)
def tasks(
    calls: Annotated[bool, typer.Option("--calls", help="The task of each call.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a map of the tasks, with redacted samples, here.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """What repeats, what it costs, and what a small model would save."""
    from ..cluster.worth import HOW
    from ..report import draw_map, worth_table, write_map

    if calls and html:
        raise BadInput("--calls and --html ask for two answers.", "Give one of them.")
    workspace = Workspace(home)
    found = finding.find_tasks(workspace, progress(as_json))
    if calls:
        rows = [{"id": call, "task": task} for call, task in workspace.assignments().items()]
        if as_json:
            return output.print_json({"calls": rows})
        return output.print_table("Calls", ("call", "task"), [(row["id"], row["task"]) for row in rows])
    worths = finding.weigh_tasks(workspace, found, progress(as_json))
    if html:
        drawn = draw_map(workspace, found, worths, progress(as_json))
        written = write_map(html, drawn)
        return done({"map": str(written), "note": drawn.note}, f"Written: {written}\n{drawn.note}".strip(), as_json)
    by_id = {task.id: task for task in found}
    ranked = [(by_id[worth.task_id], worth) for worth in worths]
    if as_json:
        records = [{**_task_record(task), "worth": worth.figures()} for task, worth in ranked]
        return output.print_json({"tasks": records, "how": HOW})
    if not found:
        return output.console.print("No calls yet. Record an agent, or import calls: protege collect FILE")
    output.console.print(worth_table(ranked))


@app.command(rich_help_panel=WATCH)
def merge(task: TaskName, other: TaskName, home: Home = None, as_json: Json = False) -> None:
    """Make two tasks one. `protege split` undoes it."""
    one = finding.merge_tasks(Workspace(home), task, other, progress(as_json))
    done({"id": one.id, "name": one.name, "calls": one.calls}, f"{one.name}: {one.calls:,} calls.", as_json)


@app.command(rich_help_panel=WATCH)
def split(
    task: TaskName,
    phrase: Annotated[str, typer.Option(help="A text that the requests of its part hold.")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make a part of a task its own task; without --phrase, undo a merge."""
    found = finding.split_task(Workspace(home), task, phrase, progress(as_json))
    rows = [{"id": t.id, "name": t.name, "calls": t.calls} for t in found]
    done({"tasks": rows}, ", ".join(f"{t.name}: {t.calls:,} calls" for t in found), as_json)


@app.command(rich_help_panel=WATCH)
def changes(home: Home = None, as_json: Json = False) -> None:
    """What is new in the traffic: kinds of call, wordings, shares."""
    found = finding.task_changes(Workspace(home), progress(as_json))
    if as_json:
        return output.print_json({"changes": [fields_of(change) for change in found]})
    for change in found:
        output.console.print(said_of(change), highlight=False, markup=False)
    if not found:
        output.console.print("Nothing has changed, or the calls' times are not known.")


@app.command(rich_help_panel=LEARN)
def improve(
    wanted: Annotated[list[str] | None, typer.Argument(metavar="[TASK]…", help="Names or ids; all where none.")] = None,
    base: Annotated[
        str | None, typer.Option(help="Tune from this GGUF file, folder or catalogue name; ollama:NAME for Ollama's.")
    ] = None,
    epsilon: Annotated[float, typer.Option(help="Disagreement allowed among kept answers.")] = 0.05,
    delta: Annotated[float, typer.Option(help="Chance that the guarantee does not hold.")] = 0.05,
    method: Annotated[Method, typer.Option(help="lora, full or qlora (GPU).")] = "lora",
    prompt: Annotated[
        Prompt, typer.Option(help="slots (constant text left out), whole, or better: tune both, go on with the better.")
    ] = "slots",
    steps: Annotated[int | None, typer.Option(help="Training steps at most.")] = None,
    serve_as: Annotated[
        ServeAs, typer.Option(help="merged (soonest), or lora (one base in memory for many).")
    ] = "merged",
    engine: Annotated[
        EngineName, typer.Option(help="ollama, embedded, or auto: Ollama where one answers (see OLLAMA_HOST).")
    ] = "auto",
    keep_alive: Annotated[str, typer.Option(help="How long Ollama keeps a specialist in memory: 30m, 1h, -1.")] = "30m",
    keep_versions: Annotated[
        int, typer.Option(min=0, help="How many of a task's models stay in Ollama, besides live and predecessor.")
    ] = 3,
    rollout: Annotated[
        Rollout | None,
        typer.Option(help="direct: certified is enough. staged: shadow and canary first; the default with --every."),
    ] = None,
    cascade: Annotated[
        str | None,
        typer.Option(
            help="As --base, a larger one: tune a second specialist, which is asked what the first hands back."
        ),
    ] = None,
    retrain: Annotated[bool, typer.Option("--retrain", help="On all calls, also where that is not due.")] = False,
    every: Annotated[
        str | None, typer.Option(help="Go on until interrupted: improve so often (6h, 1d), watch in between.")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """The loop, for all tasks or some: curate, select, tune, evaluate, route."""
    from ..tune import TuneSettings

    for name, value in (("--epsilon", epsilon), ("--delta", delta)):
        if not 0 < value < 1:
            raise BadInput(f"{name} is {value}.", "It is a probability between 0 and 1, such as 0.05.")
    options: dict[str, Any] = {"method": method, "form": "slots" if prompt == "better" else prompt}
    if steps is not None:
        options["steps"] = steps
    settings = Settings(
        epsilon=epsilon,
        delta=delta,
        base=base,
        serve_as=serve_as,
        engine=engine,
        keep_alive=keep_alive,
        keep_versions=keep_versions,
        compare_prompts=prompt == "better",
        rollout=rollout or ("staged" if every else "direct"),
        retrain=retrain,
        cascade=cascade,
        tune=TuneSettings(**options),
    )
    workspace = Workspace(home)
    if every is None:
        return _told(workspace, flywheel.improve(workspace, wanted or (), settings, progress(as_json)), as_json)
    every_s = seconds_of(every)

    def wait(seconds: float) -> bool:
        time.sleep(seconds)
        return False

    keep(
        workspace,
        wanted or (),
        settings,
        every_s=every_s,
        wait=wait,
        on_result=lambda improved: _told(workspace, improved, as_json),
        progress=progress(as_json),
    )


@app.command(rich_help_panel=LEARN)
def evaluate(
    name: Name,
    calls: Annotated[Path | None, typer.Option(help="A file of calls, in place of the held-out ones.")] = None,
    against: Annotated[str | None, typer.Option(help="Another specialist of the task, asked the same calls.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Measure a specialist again, on calls that it never learnt from; or two, on the same calls."""
    from ..collect import read
    from ..measure.ceiling import known_ceiling
    from ..measure.specialists import measure, measure_pair
    from ..report.formatting import ceiling as said

    workspace = Workspace(home)
    given = None if calls is None else list(read(calls))
    specialist = specialist_named(workspace, name)
    ceiling = known_ceiling(workspace, specialist.task_id)
    told = f"Ceiling, the teacher's agreement with itself: {said(ceiling)}."
    if against is not None:
        second = specialist_named(workspace, against)
        compared = measure_pair(workspace, specialist, second, given, progress(as_json))
        if as_json:
            return output.print_json({**compared, "ceiling": ceiling and ceiling.to_record()})
        return output.print_block(f"{specialist.name} and {second.name}", [*compared_of(compared), told])
    figures = measure(workspace, specialist, given, progress(as_json))
    if as_json:
        return output.print_json({"specialist": name, **figures, "ceiling": ceiling and ceiling.to_record()})
    shown: list[tuple[str, Any]] = [(k, v) for k, v in figures.items() if isinstance(v, int | float | str)]
    output.print_table(name, ("figure", "value"), [*shown, ("ceiling", ceiling and ceiling.agreement)])
    output.console.print(told, highlight=False, markup=False)


@app.command(rich_help_panel=LEARN)
def ceiling(
    task: TaskName,
    url: Annotated[str, typer.Option(help="The teacher's OpenAI-compatible server: https://api.openai.com/v1.")],
    model: Annotated[str, typer.Option(help="The model to ask there; the one that answered the recorded calls.")],
    calls: Annotated[int, typer.Option(min=1, help="Held-out calls to ask again, at most.")] = 100,
    key_variable: Annotated[
        str, typer.Option(help="The environment variable that holds the server's key.")
    ] = "OPENAI_API_KEY",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Ask the teacher held-out calls again: how far it agrees with itself, the ceiling for any specialist."""
    import os

    from ..chat.teacher import openai_compatible
    from ..measure.ceiling import examples_to_ask, measure_ceiling
    from ..report.formatting import ceiling as said

    key = os.environ.get(key_variable)
    if key is None and key_variable != "OPENAI_API_KEY":
        raise BadInput(f"The environment variable {key_variable} is not set.", "Set it to the server's key.")
    workspace = Workspace(home)
    found = task_named(workspace, task)
    teacher = openai_compatible(url, model, key)
    asked = len(examples_to_ask(workspace, found, calls))
    output.errors.print(f"{asked} calls will be asked of {model} again.", highlight=False, markup=False)
    with contextlib.closing(teacher):
        measured = measure_ceiling(workspace, found, teacher, calls=calls, progress=progress(as_json))
    cost = "" if measured.cost_usd is None else f" It cost ${measured.cost_usd:.2g}."
    line = f"{found.name}: the same answer on {said(measured)}.{cost}"
    if not measured.same_model:
        line += f" The recorded answers are of {', '.join(measured.teachers)}, not of {model}: it is no ceiling then."
    done({"task": found.name, **measured.to_record()}, line, as_json)


@app.command(rich_help_panel=LEARN)
def status(home: Home = None, as_json: Json = False) -> None:
    """Tasks, specialists, savings, and how it went over time."""
    from ..report import history, time_table
    from ..report import status as read
    from ..watch import look

    workspace = Workspace(home)
    look(workspace)
    found = read(workspace)
    if as_json:
        return output.print_json(found)
    rows = [
        (t["name"], t["calls"], who(t), t["agreement"], c and c["agreement"], t["kept"], t["saved_usd"], t["reason"])
        for t in found["tasks"]
        for c in (t["ceiling"],)
    ]
    columns = ("task", "calls", "answered by", "agrees", "ceiling", "kept", "saved $", "why")
    output.print_table(f"{found['calls']:,} calls in {found['home']}", columns, rows)
    for specialist in found["specialists"]:
        if specialist["ollama"]:
            output.print_block(f"{specialist['name']} in Ollama", in_ollama(specialist["ollama"]))
    over_time, incidents = history(workspace)
    if over_time.periods or incidents:
        output.console.print(time_table(over_time, incidents))


def _told(workspace: Workspace, improved: Sequence[Improvement], as_json: bool) -> None:
    names = {task.id: task.name for task in workspace.tasks()}
    if as_json:
        return output.print_json({"tasks": [{"name": names[i.task_id], **i.to_record()} for i in improved]})
    if not improved:
        return output.console.print("No calls yet. Record an agent, or import calls: protege collect FILE")
    for one in improved:
        output.print_block(
            f"{names[one.task_id]}: {one.decision}", [*figures_of(one.to_record()["figures"]), one.reason]
        )


def _task_record(task: Any) -> dict[str, Any]:
    record = task.to_record()
    kept = ("id", "name", "kind", "calls", "tools", "labels", "input_tokens", "output_tokens", "cost_usd", "latency_ms")
    return {"node": list(task.node), **{name: record[name] for name in kept}, "wordings": len(task.templates)}
