"""The commands that learn from an agent's calls and say how well that works: the loop, and its figures."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

import protege

from .. import chat, collect, loop, measure, report, select, serve, service, store, tune, watch
from ..errors import BadInput
from ..workspace import Workspace
from . import output
from .common import (
    LEARN,
    Home,
    Json,
    Name,
    TaskName,
    done,
    progress,
    seconds_of,
    specialist_named,
    task_named,
)
from .summaries import answerer, answers_of, comparison_lines, cost_lines, figure_lines, figures_only

if TYPE_CHECKING:
    from ..loop.run import Improvement

learning = typer.Typer()

SHARED = ("calls", "tokens", "usd")
AUTO = "auto"
"""Names no kind: they compete."""

Prompt: TypeAlias = Literal["slots", "whole", "better"]
ServeAs: TypeAlias = Literal["lora", "merged"]
Variant: TypeAlias = Literal["lora", "rslora", "dora"]
Rollout: TypeAlias = Literal["direct", "staged"]


@learning.command(rich_help_panel=LEARN)
def improve(
    task_names: Annotated[
        list[str] | None, typer.Argument(metavar="TASK", help="Names or ids of tasks; all tasks if none is given.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(help="Tune from this base: a GGUF file, a folder, a catalogue name, or ollama:NAME."),
    ] = None,
    epsilon: Annotated[float, typer.Option(help="ε: the share of kept answers that may disagree.")] = 0.05,
    delta: Annotated[float, typer.Option(help="δ: the chance that the guarantee does not hold.")] = 0.05,
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            "--method",
            help="lora, full, qlora (needs a GPU); without a base: head (chooses among known answers), tagger (copies "
            "fields out of the prompt), pointer (an agent's next action, arguments copied); or auto: whichever saves "
            "most on validation calls.",
        ),
    ] = "auto",
    embedder: Annotated[
        str,
        typer.Option(
            help="What a head may learn from besides n-grams: packaged, ollama:NAME, none, or auto: packaged if it is "
            "installed. It is used if it helps on training calls left out."
        ),
    ] = "auto",
    prompt: Annotated[
        Prompt,
        typer.Option(
            help="What the specialist sees: slots (without the constant text), whole, or better: tune both, keep the "
            "better one."
        ),
    ] = "slots",
    steps: Annotated[int | None, typer.Option(help="The most training steps.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Minutes of training for each specialist; longer only to see every row once.")
    ] = None,
    variant: Annotated[
        Variant, typer.Option(help="How LoRA is scaled: lora, rslora, or dora (served merged only).")
    ] = "lora",
    mentor: Annotated[
        str | None,
        typer.Option(help="Learn the token probabilities of this larger model too, named as for --base."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Try several settings of tuning within this time (30m, 2h), for each specialist, and keep the one of "
            "the lowest validation loss."
        ),
    ] = None,
    serve_as: Annotated[
        ServeAs, typer.Option(help="merged (answers fastest), or lora (one base in memory for many specialists).")
    ] = "merged",
    engine: Annotated[
        str,
        typer.Option(
            help="ollama, embedded, head, vllm, or auto: Ollama if one answers (see OLLAMA_HOST), and head for heads."
        ),
    ] = "auto",
    keep_alive: Annotated[str, typer.Option(help="How long Ollama keeps a specialist in memory: 30m, 1h, -1.")] = "30m",
    keep_versions: Annotated[
        int,
        typer.Option(
            min=0, help="How many of a task's models stay in Ollama besides the live one and its predecessor."
        ),
    ] = 3,
    rollout: Annotated[
        Rollout | None,
        typer.Option(
            help="direct: a certified specialist answers at once. staged: it is a shadow and a canary first (the "
            "default with --every)."
        ),
    ] = None,
    cascade: Annotated[
        str | None,
        typer.Option(
            help="A larger base, named as for --base: tune a second specialist for what the first hands back."
        ),
    ] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train again on all calls even if that is not due.")
    ] = False,
    every: Annotated[
        str | None,
        typer.Option(help="Run until interrupted: improve at this interval (6h, 1d) and watch in between."),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Run the loop for all tasks or some: curate, select, tune, serve, evaluate, certify, route."""
    for name, value in (("--epsilon", epsilon), ("--delta", delta)):
        if not 0 < value < 1:
            raise BadInput(f"{name} is {value}.", "Give a probability between 0 and 1, such as 0.05.")
    options: dict[str, Any] = {} if kind == AUTO else {"method": kind}
    options |= {"form": "slots" if prompt == "better" else prompt, "embedder": embedder, "variant": variant}
    workspace = Workspace(home)
    path = None if mentor is None else select.base_named(mentor, workspace.home).path
    given = {"steps": steps, "minutes": minutes, "mentor": path}
    options |= {name: value for name, value in given.items() if value is not None}
    settings = loop.Settings(
        epsilon=epsilon,
        delta=delta,
        base=base,
        serve_as=serve_as,
        engine=engine,
        keep_alive=keep_alive,
        keep_versions=keep_versions,
        compete=kind == AUTO,
        compare_prompts=prompt == "better",
        budget_s=None if budget is None else seconds_of(budget),
        rollout=rollout or ("staged" if every else "direct"),
        retrain=retrain,
        cascade=cascade,
        tune=tune.TuneSettings(**options),
    )
    if every is None:
        improved = protege.improve(workspace, task_names or (), settings, progress(as_json))
        return _print_improved(workspace, improved, as_json)
    every_s = seconds_of(every)

    def wait(seconds: float) -> bool:
        time.sleep(seconds)
        return False

    service.keep(
        workspace,
        task_names or (),
        settings,
        every_s=every_s,
        wait=wait,
        on_result=lambda improved: _print_improved(workspace, improved, as_json),
        progress=progress(as_json),
    )


@learning.command(rich_help_panel=LEARN)
def evaluate(
    name: Name,
    calls: Annotated[Path | None, typer.Option(help="A file of calls to use instead of the held-out ones.")] = None,
    against: Annotated[str | None, typer.Option(help="Another specialist of the task, to ask the same calls.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Measure a specialist again on calls that it never learnt from, or two specialists on the same calls."""
    workspace = Workspace(home)
    given = None if calls is None else list(collect.read(calls))
    specialist = specialist_named(workspace, name)
    known = answers_of(workspace.task_of(specialist))
    ceiling = measure.known_ceiling(workspace, specialist.task_id)
    ceiling_line = f"Ceiling, the teacher's agreement with itself: {report.formatting.ceiling(ceiling)}."
    if against is not None:
        second = specialist_named(workspace, against)
        compared = measure.measure_pair(workspace, specialist, second, given, progress(as_json))
        if as_json:
            return output.print_json({**figures_only(compared, known), "ceiling": ceiling and ceiling.to_record()})
        return output.print_block(f"{specialist.name} and {second.name}", [*comparison_lines(compared), ceiling_line])
    figures = measure.measure(workspace, specialist, given, progress(as_json))
    if as_json:
        return output.print_json(
            {"specialist": name, **figures_only(figures, known), "ceiling": ceiling and ceiling.to_record()}
        )
    shown: list[tuple[str, Any]] = [(k, v) for k, v in figures.items() if isinstance(v, int | float | str)]
    output.print_table(name, ("figure", "value"), [*shown, ("ceiling", ceiling and ceiling.agreement)])
    output.console.print(ceiling_line, highlight=False)


@learning.command(rich_help_panel=LEARN)
def ceiling(
    task: TaskName,
    url: Annotated[
        str, typer.Option(help="The teacher's OpenAI-compatible server, such as https://api.openai.com/v1.")
    ],
    model: Annotated[str, typer.Option(help="The model to ask there: the one that answered the recorded calls.")],
    calls: Annotated[int, typer.Option(min=1, help="The most held-out calls to ask again.")] = 100,
    key_variable: Annotated[
        str, typer.Option(help="The environment variable that holds the server's key.")
    ] = "OPENAI_API_KEY",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Ask the teacher held-out calls again. How often it agrees with itself is the ceiling for any specialist."""
    key = os.environ.get(key_variable)
    if key is None and key_variable != "OPENAI_API_KEY":
        raise BadInput(f"The environment variable {key_variable} is not set.", "Set it to the server's key.")
    workspace = Workspace(home)
    chosen = task_named(workspace, task)
    teacher = chat.openai_compatible(url, model, key)
    asked = len(measure.examples_to_ask(workspace, chosen, calls))
    output.print_note(f"{model} will be asked {asked} calls again.")
    with contextlib.closing(teacher):
        measured = measure.measure_ceiling(workspace, chosen, teacher, calls=calls, progress=progress(as_json))
    cost = "" if measured.cost_usd is None else f" It cost ${measured.cost_usd:.2g}."
    line = f"{chosen.name}: the same answer on {report.formatting.ceiling(measured)}.{cost}"
    if not measured.same_model:
        line += (
            f" That is not a ceiling: the recorded answers are from {', '.join(measured.teachers)}, not from {model}."
        )
    done({"task": chosen.name, **measured.to_record()}, line, as_json)


@learning.command(rich_help_panel=LEARN)
def cost(
    task: TaskName,
    beside: Annotated[
        list[str] | None, typer.Option(help="Another model, at its list price; may be given several times.")
    ] = None,
    watts: Annotated[
        float | None, typer.Option(min=0, help="What this machine takes at work. Default: its meter, else an estimate.")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Tell what a task's specialist costs with everything in, and from how many calls on it pays."""
    workspace = Workspace(home)
    power = measure.machine_power() if watts is None else measure.Power(watts, "given")
    found = measure.cost_of(workspace, task_named(workspace, task), power, tuple(beside or ()))
    if as_json:
        return output.print_json(found.to_record())
    output.print_block(f"{found.specialist}: what it costs", cost_lines(found))


@learning.command(rich_help_panel=LEARN)
def shares(
    last: Annotated[int | None, typer.Option(min=1, help="Of this many of the latest calls. Default: of all.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Tell which share of calls, tokens and dollars specialists answer, by node and state of the conversation."""
    workspace = Workspace(home)
    collect.drain(workspace)
    found = [share.to_record() for share in measure.shares(workspace, last)]
    if as_json:
        return output.print_json({"shares": found})
    if not found:
        return output.console.print(output.NO_CALLS)
    shown = [
        (s["node"], s["state"], s["calls"], *(report.formatting.percent(s[f"share_of_{of}"]) for of in SHARED))
        for s in found
    ]
    output.print_table("What specialists answer", ("node", "state", "calls", *(f"of {of}" for of in SHARED)), shown)


@learning.command(rich_help_panel=LEARN)
def status(home: Home = None, as_json: Json = False) -> None:
    """Show tasks, specialists and savings, and how they developed over time."""
    workspace = Workspace(home)
    watch.look(workspace)
    current = report.status(workspace)
    if as_json:
        return output.print_json(current)
    rows = [
        (
            t["name"],
            t["calls"],
            answerer(t),
            t["agreement"],
            c and c["agreement"],
            t["kept"],
            t["saved_usd"],
            t["reason"],
        )
        for t in current["tasks"]
        for c in (t["ceiling"],)
    ]
    columns = ("task", "calls", "answered by", "agrees", "ceiling", "kept", "saved $", "why")
    output.print_table(f"{current['calls']:,} calls in {current['home']}", columns, rows)
    if (doubt := current["doubt"]) is not None:
        output.print_note(f"The teacher answers agents: {doubt['fact']}. {doubt['remedy']}")
    if damaged := current["damaged"]:
        output.print_note(f"Damaged rows are left out: {store.in_words(damaged)}. Mend them: protege doctor --repair")
    if corrected := sum(task["corrected"] for task in current["tasks"]):
        output.print_note(f"Answers that people corrected: {corrected:,}.")
    for place, reasons in current["set_aside"].items():
        output.console.print(f"Set aside in {place}: {', '.join(f'{n:,} {reason}' for reason, n in reasons.items())}")
    for specialist in current["specialists"]:
        for name, facts in specialist["placed"].items():
            kind = serve.engine_kind(name)
            output.print_block(f"{specialist['name']} in {kind.title}", kind.in_words(facts))
    over_time, incidents = report.history(workspace)
    if over_time.periods or incidents:
        output.console.print(report.time_table(over_time, incidents))


def _print_improved(workspace: Workspace, improved: Sequence[Improvement], as_json: bool) -> None:
    names = {task.id: task.name for task in workspace.tasks()}
    if as_json:
        known = {task.id: answers_of(task) for task in workspace.tasks()}
        records = [figures_only(i.to_record(), known.get(i.task_id, ())) for i in improved]
        return output.print_json({"tasks": [{"name": names[r["task_id"]], **r} for r in records]})
    if not improved:
        return output.console.print(output.NO_CALLS)
    for improvement in improved:
        title = f"{names[improvement.task_id]}: {improvement.decision}"
        others = [f"Not {name}: {reason}" for name, reason in improvement.passed_over]
        output.print_block(title, [*figure_lines(improvement.to_record()["figures"]), improvement.reason, *others])
