"""The catalogue's claims, recomputed."""

from __future__ import annotations

import re
from importlib import resources

import pytest
from protege.chat.prompt import render
from protege.select import Model, catalogue
from protege.select.models import gguf_tunable, gguf_writable, model_of, serving_of, template_of, tuning_of
from protege.specialist import Base

pytest.importorskip("transformers", reason="the catalogue's claims are checked against transformers")
pytest.importorskip("gguf", reason="the catalogue's claims are checked against gguf")

every = pytest.mark.parametrize("model", catalogue(), ids=lambda model: model.name)


def test_it_holds_those_of_the_paper_and_the_families_asked_for() -> None:
    names = " ".join(model.name for model in catalogue())
    assert len(catalogue()) >= 15
    for wanted in ("phi-2", "Phi-3-small", "Nemotron", "xLAM-2-8b", "DeepSeek-R1-Distill-Qwen-7B"):
        assert wanted in names
    for family in ("SmolLM2", "Qwen3", "gemma-3", "Llama-3.2", "granite"):
        assert family in names


def test_it_is_shipped_with_the_package() -> None:
    assert resources.files("protege.select").joinpath("catalogue.toml").is_file()


@every
def test_how_it_can_be_tuned_is_what_the_installed_libraries_say(model: Model) -> None:
    assert model.tuning == tuning_of(model.architecture, model.model_type)


@every
def test_what_serves_it_is_what_the_installed_libraries_say(model: Model) -> None:
    assert model.serving == serving_of(model.architecture, model.tuning)


@every
def test_memory_is_computed_as_the_files_head_says(model: Model) -> None:
    assert model.memory_q4_gb == pytest.approx(model.parameters * 4.84 / 8e9, abs=0.005)
    assert model.memory_q8_gb == pytest.approx(model.parameters * 8.5 / 8e9, abs=0.005)


@every
def test_its_facts_are_whole_and_have_a_source(model: Model) -> None:
    assert 1e8 < model.parameters < 1e10
    assert 1024 <= model.context <= 2**20
    assert re.fullmatch(r"(LicenseRef-)?[A-Za-z0-9][A-Za-z0-9.-]*", model.licence)
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", model.huggingface)
    assert model.ollama == "" or re.fullmatch(r"[a-z0-9.-]+:[a-z0-9.-]+", model.ollama)
    assert model.languages
    assert model.source


@every
def test_its_pattern_finds_it_and_no_other(model: Model) -> None:
    repository = model.huggingface.rsplit("/", 1)[-1]
    for name in (model.name, repository, f"{repository}-Q4_K_M.gguf", repository.replace("-", " ").lower()):
        assert model_of(name) is model
        assert [other.name for other in catalogue() if re.search(other.pattern, name, re.I)] == [model.name]


def test_names_are_unique() -> None:
    assert len({model.name for model in catalogue()}) == len(catalogue())


@pytest.mark.parametrize("name", ["Qwen3-30B-A3B", "Qwen3-14B", "gemma-3-12b-it", "Phi-3-mini-4k-instruct", "phi-2.5"])
def test_other_models_are_not_taken_for_one_of_these(name: str) -> None:
    assert model_of(name) is None


def test_the_templates_kept_for_families_render() -> None:
    for model in catalogue():
        if template := template_of(model):
            base = Base(model.name, "", "", "gguf", model.architecture, model.licence, model.context, template)
            messages = [{"role": "system", "content": ""}, {"role": "user", "content": "Hello"}]
            assert "Hello" in render(base, messages)
        else:
            assert not model.chat_template, f"{model.name} names a template that is not there"


def test_the_gguf_architectures_are_those_that_tune_can_write() -> None:
    from gguf.constants import MODEL_ARCH_NAMES
    from protege.gguf.names import SUPPORTED

    assert {architecture for architecture in MODEL_ARCH_NAMES.values() if gguf_writable(architecture)} == SUPPORTED
    assert {name for name in SUPPORTED if not gguf_tunable(name)} == {"granite", "nemotron_h", "phi2", "smollm3"}
