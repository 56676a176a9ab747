"""A specialist leaves a home as one file and answers alike at another, where its certificate is void."""

from __future__ import annotations

import contextlib
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from protege.call import Call
from protege.chat.prompt import messages_for, render
from protege.cluster.assign import Assigner
from protege.curate import Curated
from protege.errors import BadInput, BaseModelError, EngineError, ProtegeError, ResourceError
from protege.rollout import arrive, export, promote
from protege.rollout.parcel import FILES, MANIFEST, is_plain
from protege.select.base import load_base
from protege.serve import advised, engine_kind, open_engine
from protege.specialist import Base, Route, Specialist
from protege.task import Task, Template, TemplatePart
from protege.tune import TuneSettings, tune, tuner_named
from protege.workspace import Workspace
from tiny_models import to_gguf, write_folder

SETTINGS = TuneSettings(steps=6, batch=8, learning_rate=5e-3, warmup_steps=2, evaluations=1, validation_rows=8)
SECRET = "cafe0ddba11"
"""Stands in the report and the task's centre, where texts and ids of calls do."""


@pytest.fixture(scope="module")
def here(curated: Curated, colours: Task, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Base]:
    """A home with three specialists of one task: tiny LoRA weights, a head, and a toy of another package's."""
    folder = tmp_path_factory.mktemp("here")
    workspace = Workspace(folder / "home")
    task = replace(colours, centre={SECRET: 1.0}, nodes=((SECRET,),))
    workspace.save_tasks([task], {})
    base = replace(load_base(to_gguf(write_folder(folder / "tiny", "llama"), folder / "tiny.gguf")), licence="MIT")
    for number, (method, serve_as) in enumerate((("lora", "lora"), ("head", "head"), ("lora", "merged")), 1):
        made_from = tuner_named(method).base or base
        one = Specialist(f"sp-{number}", f"colours-v{number}", "colours", number, made_from, "slots")
        settings = replace(SETTINGS, method=method, embedder="none")
        if number == 3:  # the same files as the first
            shutil.copytree(workspace.home / "specialists" / "sp-1", workspace.specialist_folder(one))
        tuned = tune(curated, task, made_from, workspace.specialist_folder(one), settings)
        report = {
            "evaluation": {"agreement": 0.97, "n": 120, "wrong": [SECRET]},
            "certificate": {"epsilon": 0.05, "threshold": 0.5, "calls": {SECRET: 1}},
            "tuning": {**tuned.figures, "doubted_calls": [SECRET]},
        }
        facts = {"files": tuned.files, "digests": tuned.digests, "settings": tuned.settings, "lineage": tuned.lineage}
        engine = "head" if serve_as == "head" else "embedded"
        one = replace(one, **facts, report=report, serve_as=serve_as, max_tokens=8, engine=engine, state="live")
        one = engine_kind(engine).place(workspace, one, keep_alive="5m")
        if number == 3:
            one = advised(workspace, one, workspace.specialists()[1])
        workspace.save_specialist(one)
        workspace.save_route(Route("colours", one.id, 0.5, "F", 0.05, 0.05, 200, 180, 1))
    return workspace, base


@pytest.fixture
def there(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "there")


def answers(workspace: Workspace, specialist: Specialist, curated: Curated) -> list[tuple[str, tuple[float, ...]]]:
    task = workspace.task_of(specialist)
    assert task is not None
    with contextlib.closing(open_engine(workspace, specialist)) as engine:
        prompts = [
            render(specialist.base, messages_for(task, example.request, specialist.form))
            for example in curated.examples("test")[:3]
        ]
        given = [engine.complete(specialist, prompt, timeout_s=60) for prompt in prompts]
    return [(answer.text, answer.token_logprobs) for answer in given]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_it_answers_alike_and_nobody_asks_it_until_it_was_shown_there(
    number: int, here: tuple[Workspace, Base], there: Workspace, curated: Curated, tmp_path: Path
) -> None:
    workspace, base = here
    one = workspace.specialists()[number]
    file = export(workspace, one, tmp_path / "one.protege")
    arrived = arrive(there, file, [base])
    assert answers(there, arrived, curated) == answers(workspace, one, curated)
    assert arrived.second_opinion == one.second_opinion
    assert (arrived.state, arrived.name, arrived.report, there.routes()) == ("candidate", "colours-v1", None, {})
    with pytest.raises(BadInput, match="certified"):
        promote(there, arrived)
    with pytest.raises(BadInput, match="here already"):
        arrive(there, file, [base])
    assert there.tasks()[0].templates == workspace.tasks()[0].templates


@pytest.mark.parametrize("error", [BaseModelError("Another.", "x"), EngineError("Not reached.")])
def test_it_arrives_without_its_second_opinion_where_that_ones_embedder_is_not_the_same_or_not_reached(
    error: ProtegeError,
    here: tuple[Workspace, Base],
    there: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workspace, base = here
    file = export(workspace, workspace.specialists()[2], tmp_path / "one.protege")

    def failing(_: Path) -> None:
        raise error

    monkeypatch.setattr("protege.serve.head.kind._embedder_named_in", failing)
    arrived = arrive(there, file, [base])
    assert arrived.second_opinion is None and there.specialists() == [arrived]


@pytest.mark.parametrize("number", [0, 1])
def test_no_call_is_in_the_file_and_no_path_of_the_home_it_left(
    number: int, here: tuple[Workspace, Base], curated: Curated, tmp_path: Path
) -> None:
    workspace, base = here
    file = export(workspace, workspace.specialists()[number], tmp_path / "one.protege")
    body = file.read_bytes()
    assert SECRET.encode() not in body
    assert str(workspace.home).encode() not in body and str(Path(base.path).parent).encode() not in body
    rows = [row for part in ("train", "test") for row in curated.examples(part)]
    texts = [str(row.request.messages[-1]["content"]).removeprefix("Text: ") for row in rows]
    assert rows and not any(text.encode() in body for text in texts)
    with zipfile.ZipFile(file) as archive:
        card = archive.read("README.md").decode()
        manifest = orjson.loads(archive.read(MANIFEST))
    assert card.startswith("---\n") and "evaluation.agreement: 0.97" in card and "license" in card
    assert ("guesses a word" in card) is (number == 1)
    assert manifest["report"]["certificate"] == {"epsilon": 0.05, "threshold": 0.5}
    again = export(workspace, workspace.specialists()[number], tmp_path / "again.protege")
    assert again.read_bytes() == body, "the same specialist gives the same bytes"


def test_lora_weights_without_their_base_are_refused_and_merged_ones_are_not(
    here: tuple[Workspace, Base], there: Workspace, tmp_path: Path
) -> None:
    workspace, _ = here
    lora, _, merged = workspace.specialists()
    with pytest.raises(BadInput, match="not on this machine"):
        arrive(there, export(workspace, lora, tmp_path / "lora.protege"))
    assert not list((there.home / "specialists").glob("*")) and not there.specialists()
    assert arrive(there, export(workspace, merged, tmp_path / "merged.protege")).base.path == ""


def test_a_task_that_is_here_takes_it_as_its_next_version(
    here: tuple[Workspace, Base], there: Workspace, tmp_path: Path
) -> None:
    workspace, base = here
    own = replace(workspace.tasks()[0], id="own", name="paints", centre=None, nodes=())
    there.save_tasks([own, Task("other", "colours", "text")], {})
    there.save_specialist(Specialist("sp-0", "paints-v3", "own", 3, base, "slots"))
    arrived = arrive(there, export(workspace, workspace.specialists()[1], tmp_path / "one.protege"))
    assert (arrived.task_id, arrived.name, len(there.tasks())) == ("own", "paints-v4", 2)


def test_the_specialist_of_a_step_goes_to_that_step_alone_and_copies_as_it_did(
    here: tuple[Workspace, Base], there: Workspace, tmp_path: Path
) -> None:
    workspace, _ = here
    [task], head = workspace.tasks(), workspace.specialists()[1]
    with contextlib.closing(Workspace(tmp_path / "steps")) as stepped:
        stepped.save_tasks([replace(task, id="step", split_from="colours", state="after find")], {})
        folder = stepped.specialist_folder(head)
        shutil.copytree(workspace.specialist_folder(head), folder)
        file = export(stepped, replace(head, task_id="step", copied=("find.id",)), tmp_path / "step.protege")
    whole = replace(task, id="whole")
    there.save_tasks([whole], {})
    with pytest.raises(BadInput, match="is a step of a conversation"):
        arrive(there, file)
    assert not there.specialists() and not list((there.home / "specialists").glob("*"))
    steps = [
        replace(whole, id=f"s{n}", split_from="whole", state=f"after {tool}") for n, tool in enumerate(("ask", "find"))
    ]
    there.save_tasks([whole, *steps], {})
    arrived = arrive(there, file)
    assert (arrived.task_id, arrived.copied) == ("s1", ("find.id",))


Harm = Callable[[dict[str, Any], dict[str, bytes]], None]


def rewritten(source: Path, target: Path, harm: Harm, compression: int = zipfile.ZIP_STORED) -> Path:
    """The archive, with its manifest and members changed. `harm` may give members of any name."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = orjson.loads(members.pop(MANIFEST))
    harm(manifest, members)
    with zipfile.ZipFile(target, "w", compression) as archive:
        archive.writestr(MANIFEST, orjson.dumps(manifest))
        for name, body in members.items():
            archive.writestr(name, body)
    return target


def put(name: str, body: bytes = b"x") -> Harm:
    """Adds a file that the manifest names rightly."""
    import hashlib

    def harm(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
        manifest["files"][name] = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        members[FILES + name] = body

    return harm


def told(*path: str, value: Any) -> Harm:
    """Sets a value of the manifest."""

    def harm(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
        for key in path[:-1]:
            manifest = manifest[key]
        manifest[path[-1]] = value

    return harm


def cut(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
    members["files/head.bin"] = members["files/head.bin"][:-1]


def swapped(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
    members["files/head.bin"] = bytes(len(members["files/head.bin"]))


def unnamed(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
    members["files/more.json"] = b"{}"


HARMS: dict[str, Harm] = {
    "path": put("../../evil.json"),
    "absolute": put("/tmp/evil.json"),
    "deep": put("a/b/c.json"),
    "hidden": put(".bashrc.json"),
    "backslash": put("..\\evil.json"),
    "pickle": put("lora/adapter_model.bin"),
    "script": put("evil.py"),
    "gguf": put("model.gguf", b"GGUF no model"),
    "json": put("more.json", b"{"),
    "cut": cut,
    "swapped": swapped,
    "unnamed": unnamed,
    "negative": told("files", "head.bin", "bytes", value=-1),
    "huge": told("files", "head.bin", "bytes", value=1 << 60),
    "digest": told("files", "head.bin", "sha256", value="../x"),
    "newer": told("format", value=99),
    "no format": told("format", value=None),
    "no files": told("files", value=[]),
    "other path": told("specialist", "files", value={"head": "../../home/workspace.json"}),
    "none": told("specialist", "files", value={}),
    "form": told("specialist", "form", value="code"),
    "long": told("specialist", "max_tokens", value="many"),
    "base": told("specialist", "base", value={"name": 1}),
    "base's licence": told("specialist", "base", "licence", value=True),
    "base's context": told("specialist", "base", "context", value=1e308),
    "base's parameters": told("specialist", "base", "parameters", value=-1),
    "base's type": told("specialist", "base", "chat_template", value=["x"]),
    "task": told(
        "task", "templates", value=[{"signature": "s", "parts": [{"position": 0, "role": "user", "prefix": 5}]}]
    ),
    "task's id": told("task", "id", value="../x"),
    "labels": told("task", "labels", value=[1]),
    "kind": told("task", "kind", value="shell"),
    "copied": told("specialist", "copied", value="find.id"),
    "state": told("task", "state", value=["after"]),
}


@pytest.mark.parametrize("name", HARMS)
def test_what_comes_from_outside_is_not_believed(
    name: str, here: tuple[Workspace, Base], there: Workspace, tmp_path: Path
) -> None:
    workspace, _ = here
    good = export(workspace, workspace.specialists()[1], tmp_path / "good.protege")
    before = set(tmp_path.rglob("*"))
    with pytest.raises(ProtegeError) as refused:
        arrive(there, rewritten(good, tmp_path / "bad.protege", HARMS[name]))
    assert refused.value.remedy
    left = {path for path in tmp_path.rglob("*") if path.is_file()} - before - {tmp_path / "bad.protege"}
    assert not [path for path in left if "specialists" in path.parts or path.name.startswith("evil")]
    assert not there.specialists() and not there.tasks()


def test_bombs_doubles_and_files_that_are_no_archive_are_refused(
    here: tuple[Workspace, Base], there: Workspace, tmp_path: Path
) -> None:
    workspace, _ = here
    good = export(workspace, workspace.specialists()[1], tmp_path / "good.protege")
    bomb = rewritten(good, tmp_path / "bomb", put("zeros.json", bytes(1 << 20)), zipfile.ZIP_DEFLATED)
    double = tmp_path / "double"
    shutil.copyfile(good, double)
    with pytest.warns(UserWarning), zipfile.ZipFile(double, "a") as archive:
        archive.writestr(MANIFEST, "{}")
    cut_off, other = tmp_path / "cut", tmp_path / "other"
    cut_off.write_bytes(good.read_bytes()[:-100])
    other.write_bytes(b"PK")
    for path in (bomb, double, cut_off, other, tmp_path / "none", tmp_path):
        with pytest.raises(BadInput):
            arrive(there, path)


def test_a_name_of_a_member_that_is_no_text_is_refused(
    here: tuple[Workspace, Base], there: Workspace, tmp_path: Path
) -> None:
    workspace, _ = here
    body = bytearray(export(workspace, workspace.specialists()[1], tmp_path / "good.protege").read_bytes())
    at = body.index(b"PK\x01\x02")  # the directory's first entry: its flags, and its name
    body[at + 8 : at + 10] = (0x800).to_bytes(2, "little")
    body[at + 46] = 0xFF
    (tmp_path / "odd").write_bytes(body)
    with pytest.raises(BadInput, match="damaged"):
        arrive(there, tmp_path / "odd")


def test_a_disk_that_cannot_be_written_is_no_fault_of_the_archive(
    here: tuple[Workspace, Base], there: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, _ = here
    good = export(workspace, workspace.specialists()[1], tmp_path / "good.protege")

    def full(self: Path, *arguments: Any, **named: Any) -> Any:
        if self.name == "head.bin":
            raise OSError(28, "No space left on device")
        return opens(self, *arguments, **named)

    opens = Path.open
    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(ResourceError, match="No space left"):
        arrive(there, good)
    monkeypatch.undo()
    assert not there.specialists() and arrive(there, good).state == "candidate"


def test_an_export_names_a_file_and_leaves_nothing_where_it_fails(here: tuple[Workspace, Base], tmp_path: Path) -> None:
    workspace, _ = here
    one = workspace.specialists()[1]
    for target in (tmp_path, Path(), Path("/")):
        with pytest.raises(BadInput, match="folder"):
            export(workspace, one, target)
    with pytest.raises(ResourceError):
        export(workspace, one, tmp_path / "none" / "x.protege")
    with pytest.raises(ResourceError):
        export(workspace, one, tmp_path / ("x" * 250 + ".protege"))
    assert not list(tmp_path.iterdir())


def test_an_arrival_changes_nothing_about_who_answers_the_calls_that_are_here(
    here: tuple[Workspace, Base], there: Workspace, tmp_path: Path
) -> None:
    workspace, _ = here
    own = Task("own", "paints", "label", templates=(Template("mine", (TemplatePart(0, "user", prefix="Paint: "),)),))
    there.save_tasks([own], {})
    for number in range(3):
        message = {"role": "user", "content": f"Paint: {number}"}
        there.add_calls(
            [
                Call.from_record(
                    {"id": f"c{number}", "messages": [message], "response": {"role": "assistant", "content": "red"}}
                )
            ]
        )
    part = {"position": 0, "role": "user", "prefix": "Paint: "}
    wider = {"parts": [{**part, "prefix": "P"}]}
    narrower = {"parts": [{**part, "prefix": "Paint: 2"}]}
    all_calls = {"parts": []}
    good = export(workspace, workspace.specialists()[1], tmp_path / "good.protege")
    for place, template, to in ((1, narrower, "own"), (2, wider, "new-2"), (3, all_calls, "new-3")):

        def harm(
            manifest: dict[str, Any], members: dict[str, bytes], template: Any = template, place: int = place
        ) -> None:
            manifest["task"] |= {
                "id": f"new-{place}",
                "name": f"new-{place}",
                "templates": [{**template, "signature": f"s{place}"}],
            }

        before = [Assigner(there.tasks()).assign(call.request) for call in there.calls()]
        arrived = arrive(there, rewritten(good, tmp_path / f"{place}.protege", harm))
        after = [Assigner(there.tasks()).assign(call.request) for call in there.calls()]
        assert [task and task.id for task in before] == [task and task.id for task in after]
        assert arrived.task_id == to


def test_what_a_base_that_is_here_says_of_itself_is_believed_and_not_the_archive(
    here: tuple[Workspace, Base], there: Workspace, tmp_path: Path
) -> None:
    workspace, base = here

    def harm(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
        manifest["specialist"]["base"] |= {"context": 1, "licence": "CC0-1.0", "parameters": 7}

    good = export(workspace, workspace.specialists()[0], tmp_path / "good.protege")
    arrived = arrive(there, rewritten(good, tmp_path / "lies", harm), [base])
    known = (base.context, base.licence, base.parameters)
    assert (arrived.base.context, arrived.base.licence, arrived.base.parameters) == known


def test_settings_of_lora_weights_that_name_code_or_places_are_left_out(
    here: tuple[Workspace, Base], there: Workspace, tmp_path: Path
) -> None:
    workspace, base = here

    def harm(manifest: dict[str, Any], members: dict[str, bytes]) -> None:
        name = "lora/adapter_config.json"
        config = orjson.loads(members[FILES + name])
        config |= {"auto_mapping": {"parent_library": "os"}, "base_model_name_or_path": "/etc", "revision": "x"}
        put(name, orjson.dumps(config))(manifest, members)

    good = export(workspace, workspace.specialists()[0], tmp_path / "good.protege")
    arrived = arrive(there, rewritten(good, tmp_path / "odd", harm), [base])
    config = orjson.loads((there.specialist_folder(arrived) / "lora" / "adapter_config.json").read_bytes())
    assert config["r"] == 16 and not {"auto_mapping", "base_model_name_or_path", "revision"} & config.keys()


def test_files_of_other_packages_travel_if_they_are_only_ever_read(
    tmp_path: Path, there: Workspace, tiny: Base
) -> None:
    workspace = Workspace(tmp_path / "toy")
    workspace.save_tasks([Task("t", "toys", "text")], {})
    one = Specialist(
        "sp-t", "toys-v1", "t", 1, tiny, "slots", files={"answers": "answers.json"}, settings={"method": "toy"}
    )
    folder = workspace.specialist_folder(one)
    folder.mkdir(parents=True)
    (folder / "answers.json").write_text('{"red": 3}')
    arrived = arrive(there, export(workspace, one, tmp_path / "toy.protege"))
    assert (there.specialist_folder(arrived) / "answers.json").read_text() == '{"red": 3}'
    (folder / "answers.pkl").write_bytes(b"x")
    with pytest.raises(BadInput, match="cannot travel"):
        export(workspace, replace(one, files={"answers": "answers.pkl"}), tmp_path / "no.protege")


def test_names_of_files_are_plain() -> None:
    assert all(map(is_plain, ("head.bin", "model.gguf", "lora/adapter_model.safetensors", "tokenizer_config.json")))
    wrong = (
        "",
        "..",
        "../a.json",
        "/a.json",
        "a/b/c.json",
        "a.json/..",
        "a//b.json",
        ".a.json",
        "a.json\n",
        "a.bin",
        "é.json",
    )
    assert not any(map(is_plain, wrong))
