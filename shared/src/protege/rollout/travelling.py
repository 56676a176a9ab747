"""A specialist leaves a home as one file, and arrives at another.

What travels is what it needs to run: weights, the facts of its tokenizer and base, its settings, the constant text of
its prompts, its figures and the base's licence. No call and no example does. A certificate is of the home where it was
shown: what arrives is a candidate without a route, however good its figures were.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import orjson

from ..cluster.assign import Assigner
from ..common.digest import sha256_of
from ..common.hashing import hash_of
from ..common.trust import check_trusted
from ..errors import BadInput, BaseModelError, EngineError, MissingDependency, ResourceError
from ..gguf.header import check_gguf
from ..serve import engine_kind, engine_names, with_opinion
from ..serve.opinion import HEAD
from ..specialist import EMBEDDED, Base, Specialist
from ..task import KINDS, Task
from ..workspace import Workspace
from .card import card_of
from .parcel import Parcel, is_plain, opened, pack

SUFFIX = ".protege"
KEEP_ALIVE = "30m"
_LORA = ("r", "lora_alpha", "use_rslora", "use_dora", "target_modules", "exclude_modules", "bias")
_ADAPTER = ("peft_type", "task_type", *_LORA)
"""Settings of LoRA weights that their reading needs. The others name files, classes and devices."""
_TRAINING = ("rank", "variant", "steps", "batch", "learning_rate", "max_tokens", "seed")
_SETTINGS = ("method", "form", "output", "embedder", *_TRAINING)
_EVALUATION = ("grader", "n", "agreed", "agreement", "interval", "score", "valid", "auroc", "latency_p50_ms")
_CERTIFICATE = ("epsilon", "delta", "coverage", "threshold")
_TUNING = ("steps", "seconds", "validation_loss", "examples", "tokens_per_second")
_TASK = ("id", "name", "kind", "labels", "wrapper", "templates", "state")
"""Of a task; its `centre` is words of calls, its nodes are the agent's."""
LOOKED_AT = 1_000
"""So many of a home's latest calls tell whether an arriving task would take calls of one that is here."""
MOST_JSON = 128 << 20
"""Bytes of a file of JSON, which is read whole."""
MOST_COUNT = 1 << 48
"""Of a base's tokens and weights."""
_NAME = re.compile(r"[^\x00-\x1f\x7f/\\]{1,120}")
_ID = re.compile(r"[\w.:-]{1,80}")


def export(workspace: Workspace, specialist: Specialist, target: Path | None = None) -> Path:
    """Write a specialist as one file, by default `NAME.protege` here; the file's path.

    Raises BadInput if its files cannot travel or its task is gone, ResourceError where the file cannot be written.
    """
    task = workspace.task_of(specialist)
    if task is None:
        raise BadInput(f"The task of {specialist.name} is gone.", "`protege tasks` lists those that there are.")
    folder = workspace.specialist_folder(specialist)
    files = dict(_files(folder, specialist))
    target = target or Path(f"{specialist.name}{SUFFIX}")
    with_adapter = folder / ".adapter_config.json"
    try:
        if (adapter := files.get("lora/adapter_config.json")) is not None:
            with_adapter.write_bytes(orjson.dumps(_adapter(orjson.loads(adapter.read_bytes()))))
            files["lora/adapter_config.json"] = with_adapter
        manifest = {"specialist": _plain(specialist), "task": _task(task), "report": figures_of(specialist)}
        pack(target, manifest, card_of(specialist, task, figures_of(specialist)), files)
    finally:
        with_adapter.unlink(missing_ok=True)
    return target


def arrive(workspace: Workspace, path: Path, bases: Sequence[Base] = ()) -> Specialist:
    """Place a specialist out of a file, as a candidate without a certificate.

    bases: those on this machine; LoRA weights need the one that they were trained on. Raises BadInput (no archive, or
    one that is damaged or odd; its base is not here; it is here already), ResourceError, WorkspaceError (the home is
    not this user's).
    """
    check_trusted(workspace.home)
    with opened(path) as parcel:
        if sum(parcel.files.values()) > shutil.disk_usage(workspace.home).free:
            raise ResourceError("There is not enough disk for the specialist's files.", "Free some.")
        try:
            specialist, task = _read(parcel.manifest, bases)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise BadInput(f"{path} describes no specialist that can be read.", "Have it exported again.") from None
        if workspace.specialist(specialist.id) is not None:
            raise BadInput(f"{path} is here already.", "`protege status` lists it.")
        folder = workspace.specialist_folder(specialist)
        shutil.rmtree(folder, ignore_errors=True)  # of an arrival that broke off
        folder.mkdir(mode=0o700, parents=True)
        try:
            parcel.unpack(folder)
            _check_weights(folder, parcel)
            return _place(workspace, specialist, task, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def figures_of(specialist: Specialist) -> dict[str, Any]:
    """What of a report travels: figures, and no answer or id of a call."""
    report = specialist.report or {}
    parts = {"evaluation": _EVALUATION, "certificate": _CERTIFICATE, "tuning": _TUNING}
    chosen = {part: _some(report.get(part) or {}, names) for part, names in parts.items()}
    return {part: figures for part, figures in chosen.items() if figures}


def _some(record: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: record[name] for name in names if record.get(name) is not None}


def _files(folder: Path, specialist: Specialist) -> Mapping[str, Path]:
    found: dict[str, Path] = {}
    for kind, path in specialist.files.items():
        names = [path] if (folder / path).is_file() else [f"{path}/{file.name}" for file in (folder / path).glob("*")]
        plain = [name for name in names if is_plain(name)]
        if not plain:
            raise BadInput(f"{specialist.name}'s {kind} cannot travel.", "It is no GGUF, safetensors or JSON file.")
        found.update({name: folder / name for name in plain})
    if not found:
        raise BadInput(f"{specialist.name} has no files.", "`protege improve` makes them.")
    return found


def _adapter(config: Mapping[str, Any]) -> dict[str, Any]:
    return _some(config, _ADAPTER)


def _plain(specialist: Specialist) -> dict[str, Any]:
    """The specialist without what is this home's: paths, places, state, and the ids of its calls."""
    base = {**asdict(specialist.base), "path": "", "gguf": Path(specialist.base.gguf).name}
    return {
        "form": specialist.form,
        "serve_as": specialist.serve_as,
        "engine": specialist.engine,
        "max_tokens": specialist.max_tokens,
        "copied": list(specialist.copied),
        "files": dict(specialist.files),
        "settings": _some(specialist.settings, _SETTINGS),
        "data": specialist.lineage.get("curated"),
        "base": base,
    }


def _task(task: Task) -> dict[str, Any]:
    return _some(task.to_record(), _TASK)


def _read(manifest: Mapping[str, Any], bases: Sequence[Base]) -> tuple[Specialist, Task]:
    """What the manifest describes. Raises KeyError, TypeError, ValueError, AttributeError if that is no specialist."""
    about, task, listed = manifest["specialist"], _checked_task(manifest["task"]), set(manifest["files"])
    folders = {name.partition("/")[0] for name in listed if "/" in name}
    if not about["files"] or not set(about["files"].values()) <= listed | folders:
        raise ValueError("files")
    if about["form"] not in ("slots", "whole") or about["serve_as"] not in ("lora", "merged", "head"):
        raise ValueError("form")
    if not isinstance(about["copied"], list) or not all(isinstance(path, str) for path in about["copied"]):
        raise ValueError("copied")
    specialist = Specialist(
        id=f"sp-{hash_of(manifest)[:12]}",
        name=task.name,
        task_id=task.id,
        version=0,
        base=_base_here(about, bases),
        form=about["form"],
        files={str(kind): path for kind, path in about["files"].items()},
        settings=_some(about["settings"], _SETTINGS),
        lineage={"curated": str(about.get("data")), "arrived": manifest["report"]},
        max_tokens=min(max(int(about["max_tokens"]), 1), 1 << 16),
        copied=tuple(about["copied"]),
        serve_as=about["serve_as"],
        engine=about["engine"] if about["engine"] in engine_names() and about["engine"] != "ollama" else EMBEDDED,
    )
    return specialist, task


def _checked_task(record: Mapping[str, Any]) -> Task:
    """The task that it was taught, each field of its type: agents' requests are compared with it."""
    task = Task.from_record(_some(record, _TASK))
    parts = [part for template in task.templates for part in template.parts]
    texts = [task.id, task.name, task.state, *task.labels, *task.wrapper]
    texts += [text for part in parts for text in (part.role, part.prefix, part.suffix, *part.lines)]
    texts += [text for t in task.templates for text in (t.signature, t.offered or "")]
    right = all(isinstance(text, str) for text in texts) and len(task.wrapper) == 2 and task.kind in KINDS
    right = right and all(type(part.position) is int and part.position >= 0 for part in parts)
    right = right and all(type(template.constant_tools) is bool for template in task.templates)
    if not right or not _NAME.fullmatch(task.name) or not _ID.fullmatch(task.id):
        raise ValueError("task")
    return task


def _base_here(about: Mapping[str, Any], bases: Sequence[Base]) -> Base:
    """Its base, at its place on this machine if it is here."""
    record = dict(about["base"])
    for name in ("eos", "control_tokens"):
        record[name] = tuple(str(text) for text in record[name])
    counts = {name: record.pop(name) for name in ("context", "parameters")}
    if not all(type(count) is int and 0 <= count < MOST_COUNT for count in counts.values()):
        raise ValueError("base")
    if not all(isinstance(value, str | tuple) for value in record.values()):
        raise ValueError("base")
    base = replace(Base(**record, **counts), path="", gguf="")
    for here in bases:
        if here.sha256 == base.sha256:  # what it says of itself, not what the archive says of it
            facts = {"licence": here.licence, "context": here.context, "parameters": here.parameters}
            return replace(base, path=here.path, gguf=here.gguf, gguf_sha256=here.gguf_sha256, **facts)
        if here.sha256 == base.gguf_sha256:
            return replace(base, gguf=here.path)
    if about["serve_as"] == "lora":
        raise BadInput(f"The base {base.name} is not on this machine, which its LoRA weights go over.", "Fetch it.")
    return base


def _check_weights(folder: Path, parcel: Parcel) -> None:
    """Each file is what its name says. LoRA weights' settings are reduced to those that are known."""
    for name in parcel.files:
        path = folder / name
        if name.endswith(".gguf"):
            check_gguf(path)
        elif name.endswith(".json"):
            if parcel.files[name] > MOST_JSON:
                raise BadInput(
                    f"{name} in the archive is larger than {MOST_JSON >> 20} MB.", "Do not trust its source."
                )
            try:
                document = orjson.loads(path.read_bytes())
            except orjson.JSONDecodeError:
                raise BadInput(f"{name} in the archive is no JSON.", "Have it exported again.") from None
            if name.endswith("adapter_config.json"):
                path.write_bytes(orjson.dumps(_adapter(document if isinstance(document, dict) else {})))


def _place(workspace: Workspace, specialist: Specialist, task: Task, folder: Path) -> Specialist:
    with workspace.lock(), workspace.change():
        tasks = workspace.tasks()
        own = _alike(tasks, task)
        if own is None and task.state:
            fact = f"{task.name} is a step of a conversation, and this home knows no such step."
            raise BadInput(fact, "Record the agent's calls here first: `protege tasks` finds its steps.")
        own = own or _would_lose(workspace, tasks, task)
        if own is None:
            taken = {known.name for known in tasks}
            name = next(n for n in (task.name, *(f"{task.name}-{i}" for i in range(2, 1000))) if n not in taken)
            own = replace(task, name=name)
            workspace.save_tasks([*tasks, own], {})
        version = max((s.version for s in workspace.specialists(task_id=own.id)), default=0) + 1
        digests = {k: sha256_of(folder / p) for k, p in specialist.files.items() if (folder / p).is_file()}
        named = replace(specialist, task_id=own.id, version=version, name=f"{own.name}-v{version}")
        arrived = replace(named, digests=digests, created=time.time())
        arrived = engine_kind(arrived.engine).place(workspace, arrived, keep_alive=KEEP_ALIVE)
        if HEAD in arrived.files and arrived.serve_as != "head":
            # Its embedder may not be here, not be reached, or be of another version: it goes without.
            with contextlib.suppress(MissingDependency, BadInput, BaseModelError, EngineError):
                arrived = with_opinion(workspace, arrived)
        workspace.save_specialist(arrived)
    return arrived


def _alike(tasks: Sequence[Task], task: Task) -> Task | None:
    """The task with this id; else one with a wording in common that is the same step of its conversation."""
    signatures = {template.signature for template in task.templates}
    same = [t for t in tasks if t.id == task.id]
    same += [t for t in tasks if t.state == task.state and not t.phrase]
    return next((t for t in same if t.id == task.id or signatures & {one.signature for one in t.templates}), None)


def _would_lose(workspace: Workspace, tasks: Sequence[Task], task: Task) -> Task | None:
    """The task here of which the arriving one would take the most calls, were it a task of its own.

    Agents would then leave these calls to the teacher: an arrival must not change who answers.
    """
    before, after = Assigner(tasks), Assigner([*tasks, task])
    by_id, lost = {known.id: known for known in tasks}, Counter[str]()
    for call in workspace.calls(after=max(0, workspace.last_call() - LOOKED_AT)):
        now, then = before.assign(call.request), after.assign(call.request)
        if now is not None and then is not None and then.id == task.id:
            lost[now.split_from if now.is_part else now.id] += 1
    return by_id.get(lost.most_common(1)[0][0]) if lost else None
