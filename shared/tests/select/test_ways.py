"""Every way from a base to an answer: the table, and what can go none is refused by name, with the way that can."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from protege.errors import BadInput, BaseModelError
from protege.select import Means, catalogue, families, family_of, find_bases, load_base, table, way_of, ways_of
from protege.select.ways import WAYS, converter, own_code
from protege.specialist import Base
from tiny_models import CONFIGS, GGUF_NAMES

pytest.importorskip("transformers", reason="the ways are asked of transformers")

NOTHING = Means(vllm=False, ollama="", converter="")
EVERYTHING = Means(vllm=True, ollama="0.24.0", converter="/opt/convert_hf_to_gguf.py")


def folder(model_type: str, name: str = "some-model", **changes: Any) -> Base:
    base = Base(name, "/nowhere", "d", "huggingface", model_type, "Apache-2.0", 512, "{{ x }}")
    return replace(base, **changes)


def test_the_five_models_of_the_paper_have_a_row_each_and_the_families_asked_for_too() -> None:
    rows = {model.name: family_of(folder(model.model_type, model.name)) for model in catalogue()}
    assert {name: row.name for name, row in rows.items() if row is not None} | {} == {
        **{name: row.name for name, row in rows.items() if row},
        "phi-2": "Phi-2",
        "Phi-3-small-8k-instruct": "Phi-3 small",
        "NVIDIA-Nemotron-Nano-9B-v2": "Nemotron-H",
        "Llama-xLAM-2-8b-fc-r": "xLAM-2 (Llama)",
        "DeepSeek-R1-Distill-Qwen-7B": "DeepSeek-R1 distills (Qwen)",
    }
    assert all(rows.values()), "every model of the catalogue is of a family"


def test_on_a_machine_with_everything_each_family_goes_a_way_but_that_which_needs_code() -> None:
    for family, cells in table(EVERYTHING):
        assert [cell.way for cell in cells] == list(WAYS)
        assert any(cell.open for cell in cells) is not family.code, family.name
        assert all(cell.fact for cell in cells)
        assert all(not cell.remedy for cell in cells if cell.open or family.code)


def test_a_cell_that_says_it_is_tested_is_one_that_the_tests_go() -> None:
    in_gguf = {GGUF_NAMES.get(model_type, model_type) for model_type in CONFIGS}
    for family, cells in table(EVERYTHING):
        for cell in cells:
            if cell.tested:
                assert cell.open and cell.way in ("gguf", "counterpart", "ollama"), (family.name, cell)
                assert family.model_type in CONFIGS and family.gguf in in_gguf


@pytest.mark.parametrize(
    ("here", "base", "way"),
    [
        (NOTHING, folder("llama", gguf="/a.gguf"), "counterpart"),
        (EVERYTHING, folder("llama", gguf="/a.gguf"), "counterpart"),
        (EVERYTHING, folder("llama"), "ollama"),
        (EVERYTHING, folder("granite"), "converter"),
        (replace(NOTHING, vllm=True), folder("phi"), "vllm"),
        (replace(NOTHING, ollama="0.24.0"), folder("nemotron_h"), "ollama"),
    ],
)
def test_a_folder_goes_the_first_way_that_is_open(here: Means, base: Base, way: str) -> None:
    assert way_of(base, here).way == way


@pytest.mark.parametrize("version", ["", "0.34.1", "0.40.2", "0.0.0", "1.0.0", "strange"])
def test_only_an_ollama_that_is_known_to_convert_is_taken_for_one(version: str) -> None:
    assert not replace(NOTHING, ollama=version).ollama_converts
    with pytest.raises(BaseModelError, match="cannot be tuned and served here") as refused:
        way_of(folder("llama"), replace(NOTHING, ollama=version))
    for opener in ("GGUF file", "vLLM", "convert_hf_to_gguf.py", "0.34"):
        assert opener in refused.value.remedy


def made(path: Path, config: dict[str, object]) -> Base:
    path.mkdir()
    (path / "config.json").write_bytes(orjson.dumps(config))
    return folder(str(config["model_type"]), path.name, path=str(path))


@pytest.mark.parametrize("model_type", ["phi3small", "plamo3", "my_own"])
def test_a_folder_that_needs_code_of_its_own_is_refused_by_name_wherever_it_would_go(
    model_type: str, tmp_path: Path
) -> None:
    places = {"AutoConfig": "configuration_own.Config", "AutoModelForCausalLM": "modeling_own.Model"}
    base = made(tmp_path / "own-code", {"model_type": model_type, "auto_map": places})
    with pytest.raises(BaseModelError, match=r"own-code.*code of its own.*modeling_own.*never run"):
        way_of(base, EVERYTHING)
    assert not any(cell.open for cell in ways_of(base, EVERYTHING))


def test_code_beside_an_architecture_that_transformers_knows_is_not_needed(tmp_path: Path) -> None:
    base = made(tmp_path / "known", {"model_type": "nemotron_h", "auto_map": {"AutoConfig": "configuration.Config"}})
    assert way_of(base, EVERYTHING).open


def test_phi_3_small_is_refused_by_name_without_a_config_too() -> None:
    with pytest.raises(BaseModelError, match=r"Phi-3-small.*code of its own"):
        way_of(folder("phi3small", "Phi-3-small-8k-instruct"), EVERYTHING)


@pytest.mark.parametrize(
    ("architecture", "extra", "reason"),
    [
        ("llama", {"llama.rope.scaling.type": "linear"}, "rotary embedding is scaled"),
        ("gemma2", {"gemma2.attention.key_length": 128}, "128 wide"),
        ("phi2", {}, "transformers does not read its GGUF"),
        ("mamba", {}, "not proven"),
    ],
)
def test_a_gguf_file_that_would_be_misread_is_refused_and_its_folder_named(
    architecture: str, extra: dict[str, object], reason: str, write_gguf: Callable[..., Path]
) -> None:
    base = load_base(write_gguf(architecture=architecture, extra=extra))
    with pytest.raises(BaseModelError, match=reason) as refused:
        way_of(base)
    assert "folder" in refused.value.remedy


def test_a_folder_finds_the_gguf_file_of_its_model_among_the_bases_and_beside_it(tmp_path: Path) -> None:
    from tiny_models import to_gguf, write_folder

    models = tmp_path / "home" / "models"
    one = write_folder(models / "one", "qwen2", seed=1)
    to_gguf(one, models / "one.gguf")
    other = write_folder(models / "other", "qwen2", seed=2)
    to_gguf(other, other / "inside.gguf")
    alone = write_folder(models / "alone", "qwen2", seed=3)
    found = {Path(base.path).name: Path(base.gguf).name for base in find_bases(tmp_path / "home")}
    assert found == {"one.gguf": "", "one": "one.gguf", "other": "inside.gguf", alone.name: ""}


def test_a_converter_that_is_named_and_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROTEGE_CONVERT", "/nowhere/convert_hf_to_gguf.py")
    with pytest.raises(BadInput, match="PROTEGE_CONVERT"):
        converter()


def test_families_are_told_apart_by_name_first() -> None:
    assert len({family.name for family in families()}) == len(families())
    for name, model_type, family in (
        ("SmolLM2-1.7B", "llama", "SmolLM2"),
        ("Llama-3.2-1B", "llama", "Llama 2, 3"),
        ("DeepSeek-R1-Distill-Llama-8B", "llama", "DeepSeek-R1 distills (Llama)"),
        ("xLAM-2-3b-fc-r", "qwen2", "xLAM-2 (Qwen)"),
        ("Qwen2.5-7B-Instruct", "qwen2", "Qwen2, 2.5"),
    ):
        found = family_of(folder(model_type, name))
        assert found is not None and found.name == family


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({"auto_map": {"AutoModel": "own.Own", "AutoTokenizer": ["other.Tok", None]}}, "(other.py, own.py)"),
        ({"auto_map": "x"}, "(auto_map)"),
        ({"auto_map": [1]}, "(auto_map)"),
        ([], None),
        ({"auto_map": {}}, None),
    ],
)
def test_the_files_of_code_that_a_folder_needs_are_named(config: object, names: str | None, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(orjson.dumps(config))
    told = own_code(folder("my-own", path=str(tmp_path)))
    assert (told is None) if names is None else (told is not None and names in told)
