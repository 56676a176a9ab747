"""The commands. Each opens the workspace, calls one function of the core, and prints what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import typer

from .. import flywheel, lifecycle, steps
from ..errors import BadInput, ProtegeError
from ..progress import Silent
from ..specialist import Specialist
from ..workspace import Workspace, home_path
from . import output

app = typer.Typer(
    help="Turns an agent's repeated calls to a large model into small models that answer them, with a guarantee.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

Home = Annotated[Path | None, typer.Option(help="Home folder. Default: PROTEGE_HOME, else .protege here.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
TaskName = Annotated[str, typer.Argument(help="A task's name or id, as `protege tasks` shows it.")]
Name = Annotated[str, typer.Argument(help="A specialist's name or id, as `protege status` shows it.")]

Method: TypeAlias = Literal["lora", "full", "qlora"]
Prompt: TypeAlias = Literal["slots", "whole", "better"]
ServeAs: TypeAlias = Literal["lora", "merged"]
EngineName: TypeAlias = Literal["auto", "embedded", "ollama"]
Form: TypeAlias = Literal["calls", "openai", "otlp"]

WATCH, LEARN, RUN, CARE = "Watch", "Learn", "Serve", "Look after"


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
    found = run(workspace, files, strict=strict, form=form, progress=_progress(as_json))
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

    from ..collect import attaching

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
    found = steps.find_tasks(workspace, _progress(as_json))
    if calls:
        rows = [{"id": call, "task": task} for call, task in workspace.assignments().items()]
        if as_json:
            return output.print_json({"calls": rows})
        return output.print_table("Calls", ("call", "task"), [(row["id"], row["task"]) for row in rows])
    worths = steps.weigh_tasks(workspace, found, _progress(as_json))
    if html:
        drawn = draw_map(workspace, found, worths, _progress(as_json))
        written = write_map(html, drawn)
        return _done({"map": str(written), "note": drawn.note}, f"Written: {written}\n{drawn.note}".strip(), as_json)
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
    one = steps.merge_tasks(Workspace(home), task, other, _progress(as_json))
    _done({"id": one.id, "name": one.name, "calls": one.calls}, f"{one.name}: {one.calls:,} calls.", as_json)


@app.command(rich_help_panel=WATCH)
def split(
    task: TaskName,
    phrase: Annotated[str, typer.Option(help="A text that the requests of its part hold.")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make a part of a task its own task; without --phrase, undo a merge."""
    found = steps.split_task(Workspace(home), task, phrase, _progress(as_json))
    rows = [{"id": t.id, "name": t.name, "calls": t.calls} for t in found]
    _done({"tasks": rows}, ", ".join(f"{t.name}: {t.calls:,} calls" for t in found), as_json)


@app.command(rich_help_panel=WATCH)
def changes(home: Home = None, as_json: Json = False) -> None:
    """What is new in the traffic: kinds of call, wordings, shares."""
    found = steps.task_changes(Workspace(home), _progress(as_json))
    if as_json:
        return output.print_json({"changes": [_fields(change) for change in found]})
    for change in found:
        output.console.print(_said_of(change), highlight=False, markup=False)
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
    settings = flywheel.Settings(
        epsilon=epsilon,
        delta=delta,
        base=base,
        serve_as=serve_as,
        engine=engine,
        keep_alive=keep_alive,
        keep_versions=keep_versions,
        compare_prompts=prompt == "better",
        tune=TuneSettings(**options),
    )
    workspace = Workspace(home)
    done = flywheel.improve(workspace, wanted or (), settings, _progress(as_json))
    names = {task.id: task.name for task in workspace.tasks()}
    if as_json:
        return output.print_json({"tasks": [{"name": names[i.task_id], **vars(i)} for i in done]})
    if not done:
        return output.console.print("No calls yet. Record an agent, or import calls: protege collect FILE")
    for one in done:
        output.print_block(f"{names[one.task_id]}: {one.decision}", [*_figures(one.figures), one.reason])


@app.command(rich_help_panel=LEARN)
def evaluate(
    name: Name,
    calls: Annotated[Path | None, typer.Option(help="A file of calls, in place of the held-out ones.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Measure a specialist again, on calls that it never learnt from."""
    from ..collect import read
    from ..measuring import measure

    workspace = Workspace(home)
    given = None if calls is None else list(read(calls))
    figures = measure(workspace, _specialist(workspace, name), given, _progress(as_json))
    if as_json:
        return output.print_json({"specialist": name, **figures})
    shown = [(key, value) for key, value in figures.items() if isinstance(value, int | float | str)]
    output.print_table(name, ("figure", "value"), shown)


@app.command(rich_help_panel=LEARN)
def status(home: Home = None, as_json: Json = False) -> None:
    """Tasks, specialists, savings."""
    from ..report import status as read

    found = read(Workspace(home))
    if as_json:
        return output.print_json(found)
    rows = [(t["name"], t["calls"], _who(t), t["kept"], t["saved_usd"], t["reason"]) for t in found["tasks"]]
    columns = ("task", "calls", "answered by", "kept", "saved $", "why")
    output.print_table(f"{found['calls']:,} calls in {found['home']}", columns, rows)
    for specialist in found["specialists"]:
        if specialist["ollama"]:
            output.print_block(f"{specialist['name']} in Ollama", _in_ollama(specialist["ollama"]))


@app.command(rich_help_panel=RUN)
def serve(home: Home = None, as_json: Json = False) -> None:
    """Serve the live specialists until interrupted; agents of this workspace find them by themselves."""
    from ..serve import serve_forever

    workspace = Workspace(home)
    live = [s for s in workspace.specialists() if s.state == "live"]
    if not live:
        raise BadInput("No specialist is live.", "`protege improve` makes one.")

    def ready(address: str) -> None:
        if as_json:
            output.print_json({"address": address, "specialists": [s.name for s in live]})
        else:
            output.console.print(
                f"Serving {', '.join(s.name for s in live)} on {address}. Ctrl-C stops.", highlight=False
            )

    serve_forever(workspace, live, ready)


@app.command(rich_help_panel=RUN)
def promote(name: Name, home: Home = None, as_json: Json = False) -> None:
    """Let a certified specialist answer its task."""
    workspace = Workspace(home)
    with workspace.lock():
        lifecycle.promote(workspace, _specialist(workspace, name))
    _done({"live": name}, f"{name} answers from now on.", as_json)


@app.command(rich_help_panel=RUN)
def rollback(name: Name, home: Home = None, as_json: Json = False) -> None:
    """Give a specialist's task back to its predecessor, or to the teacher."""
    workspace = Workspace(home)
    with workspace.lock():
        predecessor = lifecycle.rollback(workspace, _specialist(workspace, name))
    answers = predecessor.name if predecessor else "The teacher"
    _done({"retired": name, "live": predecessor and predecessor.name}, f"{answers} answers from now on.", as_json)


@app.command(rich_help_panel=RUN)
def retire(name: Name, home: Home = None, as_json: Json = False) -> None:
    """Take a specialist out of service, until it is promoted again."""
    workspace = Workspace(home)
    with workspace.lock():
        retired = _specialist(workspace, name)
        lifecycle.retire(workspace, retired)
    live = next((s.name for s in workspace.specialists(task_id=retired.task_id) if s.state == "live"), None)
    _done({"retired": name, "live": live}, f"{live or 'The teacher'} answers from now on.", as_json)


@app.command(rich_help_panel=CARE)
def report(
    path: Annotated[
        Path | None, typer.Option("--output", help="Default: reports/report.html in the home folder.")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """An HTML page: every task's figures, plots and examples."""
    from ..report import gather, write_report

    workspace = Workspace(home)
    written = write_report(path or workspace.home / "reports" / "report.html", gather(workspace))
    _done({"report": str(written)}, f"Written: {written}", as_json)


@app.command(rich_help_panel=CARE)
def doctor(home: Home = None, as_json: Json = False) -> None:
    """What is missing here, and the command that mends it."""
    from ..doctor import checkup

    findings = checkup(home)
    if as_json:
        output.print_json({"findings": [vars(f) if hasattr(f, "__dict__") else _fields(f) for f in findings]})
    else:
        marks = {True: "ok", False: "missing", None: "–"}
        output.print_table("", ("", "", "fact", "remedy"), [(marks[f.ok], f.name, f.fact, f.remedy) for f in findings])
    if any(f.ok is False for f in findings):
        raise typer.Exit(1)


def _progress(as_json: bool) -> Any:
    return Silent() if as_json else output.Bars()


def _done(document: dict[str, Any], line: str, as_json: bool) -> None:
    if as_json:
        return output.print_json(document)
    output.console.print(line, highlight=False, markup=False)


def _specialist(workspace: Workspace, name: str) -> Specialist:
    for specialist in workspace.specialists():
        if name in (specialist.id, specialist.name):
            return specialist
    raise BadInput(f"There is no specialist {name!r}.", "`protege status` lists them.")


def _task_record(task: Any) -> dict[str, Any]:
    record = task.to_record()
    kept = ("id", "name", "kind", "calls", "tools", "labels", "input_tokens", "output_tokens", "cost_usd", "latency_ms")
    return {"node": list(task.node), **{name: record[name] for name in kept}, "wordings": len(task.templates)}


def _said_of(change: Any) -> str:
    """A change in the traffic in words."""
    share, before = f"{change.share:.1%}", f"{change.before:.1%}"
    said = {
        "new": f"{change.name}: a new kind of call, {share} of traffic",
        "reworded": f"{change.name}: a new wording of its prompt, {share} of its calls",
        "more": f"{change.name}: {share} of traffic, {before} until then",
        "less": f"{change.name}: {share} of traffic, {before} until then",
        "gone": f"{change.name}: no calls, {before} of traffic until then",
        "unknown": f"calls that fit no task: {share} of traffic, {before} until then",
    }[change.what]
    return f"{said}, since {datetime.fromtimestamp(change.since, UTC):%A %-d %B %Y}"


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def _who(task: Mapping[str, Any]) -> str:
    """Who answers a task; its specialists are named after it."""
    version = (task["specialist"] or "").removeprefix(f"{task['name']}-")
    if task["state"] == "live":
        return version
    return f"teacher; {version} {task['state']}" if version else "teacher"


def _in_ollama(inside: Mapping[str, Any]) -> list[str]:
    """Where Ollama has a specialist, and what its own metadata there says, in words."""
    memory = f"{inside['memory_bytes'] / 1e9:.2f} GB in memory" if inside["memory_bytes"] else "not in memory"
    lines = [f"{inside['model']} ({inside['quantisation']}) at {inside['address']}: {inside['state']}, {memory}"]
    if about := inside["provenance"]:
        report = about["report"] or {}
        measured = f"agreement {report['agreement']:.1%} on {report['test_calls']} calls" if report else "not evaluated"
        lines.append(f"from {about['base']['name']} ({about['base']['licence']}), data {about['data']}; {measured}")
    return lines


def _figures(figures: Mapping[str, Any]) -> list[str]:
    """An improvement's figures in words; none where the loop did not come to any."""
    if not figures:
        return []
    evaluation, certificate = figures["evaluation"], figures["certificate"]
    low, high = evaluation["interval"]
    return [
        f"Agreement {evaluation['agreement']:.1%} on {evaluation['n']} test calls (95% interval {low:.1%}–{high:.1%}).",
        f"Certified coverage {figures['certified_coverage']:.1%} at ε = {certificate['epsilon']:g}, "
        f"δ = {certificate['delta']:g}; {figures['hindsight_coverage']:.1%} in hindsight.",
    ]
