"""Which base is chosen, and why the others are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from protege.call import Call, Request
from protege.errors import BaseModelError
from protege.select import Machine, ProbeResult, Selection, SelectionPolicy, catalogue, load_base, select
from protege.specialist import Base
from protege.task import Example, Task, Template

pytest.importorskip("transformers", reason="what can be tuned is asked of transformers")
pytest.importorskip("gguf", reason="what can be tuned is asked of gguf")

ROOMY = Machine(memory_bytes=64_000_000_000, cores=2, disk_free_bytes=500_000_000_000)
TASK = Task("t", "kind", "label", templates=(Template("s"),))
TOOLS = replace(TASK, kind="tool_calls")


def examples(length: int = 40) -> list[Example]:
    messages = ({"role": "user", "content": "a" * length},)
    return [Example(str(i), Call(id=str(i), request=Request(messages)), "b") for i in range(5)]


def base(name: str = "SmolLM2-135M-Instruct", parameters: int = 135_000_000, **changes: object) -> Base:
    template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    made = Base(name, f"/{name}", name, "gguf", "llama", "Apache-2.0", 8192, template, parameters=parameters)
    return replace(made, **changes)


def prober(**bits_per_byte: float) -> Callable[[Base, Task, Sequence[object]], ProbeResult]:
    """Stands in for the probe: these losses by name, with `_` for what a name cannot hold."""

    def measure(base: Base, task: Task, rows: Sequence[object]) -> ProbeResult:
        bits = bits_per_byte[base.name]
        if bits < 0:
            raise BaseModelError("It cannot be loaded.", "Choose another.")
        losses = tuple(bits + wobble for wobble in (-0.02, 0.01, 0.0, 0.01))
        return ProbeResult(base.name, base.path, 4, bits, bits, 0.1, losses)

    return measure


def reasons(selection: Selection) -> dict[str, str]:
    return dict(selection.passed_over)


def test_the_only_one_that_qualifies_is_taken_without_a_probe() -> None:
    def never(*_: object) -> ProbeResult:
        raise AssertionError("probed")

    chosen = select(TASK, examples(), ROOMY, bases=[base()], prober=never)
    assert chosen.base == base()
    assert chosen.reason == "SmolLM2-135M-Instruct is the only base here that qualifies."
    assert chosen.probes == ()


def test_the_only_one_is_probed_where_that_is_asked_for() -> None:
    chosen = select(TASK, examples(), ROOMY, bases=[base("a")], prober=prober(a=2.0), probe_always=True)
    assert [probe.bits_per_byte for probe in chosen.probes] == [2.0]


def test_every_model_of_the_catalogue_that_is_not_here_has_its_reason() -> None:
    chosen = select(TASK, examples(), ROOMY, bases=[base()])
    absent = {model.name for model in catalogue()} - {"SmolLM2-135M-Instruct"}
    assert set(reasons(chosen)) == absent
    assert reasons(chosen)["SmolLM2-360M-Instruct"] == "not on this machine: ollama pull smollm2:360m"
    assert reasons(chosen)["gemma-3-270m"] == "licence LicenseRef-Gemma is not among those allowed"
    assert "catalogue only" in reasons(chosen)["Phi-3-small-8k-instruct"]
    assert all(reasons(chosen).values())


def test_no_base_here_names_one_to_get() -> None:
    chosen = select(TASK, examples(), ROOMY)
    assert chosen.base is None
    assert chosen.reason == "No base is on this machine. SmolLM2-135M-Instruct would: ollama pull smollm2:135m"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"licence": "LicenseRef-Gemma"}, "licence LicenseRef-Gemma is not among those allowed"),
        ({"licence": "unknown"}, "licence unknown is not among those allowed"),
        ({"context": 8}, "reads 8 tokens; the longest call has about 12"),
        ({"parameters": 20_000_000_000}, "tuning needs about 1"),
        ({"architecture": "phi2"}, "GGUF files of architecture phi2 cannot be tuned here"),
        ({"format": "huggingface"}, "vLLM is not installed"),
        (
            {"chat_template": "{{ raise_exception('no') }}"},
            "template cannot be used: The base's chat template refused the messages: no",
        ),
        (
            {"chat_template": "{% broken"},
            "cannot be used: The base's chat template failed (TemplateSyntaxError)",
        ),
    ],
)
def test_what_speaks_against_a_base_that_is_here_is_said(changes: dict[str, object], reason: str) -> None:
    chosen = select(TASK, examples(), ROOMY, bases=[base("mine", **changes)])  # type: ignore[arg-type]
    assert chosen.base is None
    assert reason in reasons(chosen)["mine"]
    assert chosen.reason.startswith("None of the 1 bases on this machine qualifies.")


def test_little_memory_or_disk_is_said_in_figures() -> None:
    small = replace(ROOMY, memory_bytes=900_000_000)
    assert "GB of memory; 0.9 GB are free" in reasons(select(TASK, examples(), small, bases=[base()]))[base().name]
    full = replace(ROOMY, disk_free_bytes=100_000_000)
    assert "GB of disk; 0.1 GB are free" in reasons(select(TASK, examples(), full, bases=[base()]))[base().name]


def test_a_gpu_with_room_stands_in_for_memory() -> None:
    gpu = replace(ROOMY, memory_bytes=900_000_000, gpu_memory_bytes=16_000_000_000)
    assert select(TASK, examples(), gpu, bases=[base()]).base == base()


def test_the_policy_can_allow_a_licence_and_bound_the_size() -> None:
    gemma = base("gemma-3-270m", 268_000_000, licence="LicenseRef-Gemma")
    allowed = SelectionPolicy(licences=("LicenseRef-Gemma",))
    assert select(TASK, examples(), ROOMY, allowed, [gemma]).base == gemma
    bounded = replace(allowed, max_parameters=200_000_000)
    assert (
        "at most 200,000,000 are allowed" in reasons(select(TASK, examples(), ROOMY, bounded, [gemma]))["gemma-3-270m"]
    )


def test_a_base_asked_for_is_taken_in_place_of_choosing() -> None:
    found = [base("a"), base("b", 300_000_000)]
    for asked in ("b", "/b"):
        chosen = select(TASK, examples(), ROOMY, SelectionPolicy(base=asked), found)
        assert chosen.base == found[1]
        assert reasons(chosen)["a"] == f"{asked} was asked for"


def test_the_smaller_is_kept_unless_the_larger_is_clearly_better() -> None:
    found = [base("large", 360_000_000), base("small", 135_000_000)]
    chosen = select(TASK, examples(), ROOMY, bases=found, prober=prober(small=2.0, large=1.9))
    assert chosen.base is found[1]
    assert reasons(chosen)["large"].startswith("not clearly better than a smaller one: 1.90 bits a byte")
    assert [probe.base for probe in chosen.probes] == ["small", "large"]
    chosen = select(TASK, examples(), ROOMY, bases=found, prober=prober(small=2.0, large=1.5))
    assert chosen.base is found[0]
    assert "clearly better than the smaller small (2.00)" in chosen.reason
    assert reasons(chosen)["small"].startswith("clearly worse: 2.00 bits a byte")


def test_a_difference_within_the_noise_of_the_calls_is_none() -> None:
    def noisy(base: Base, task: Task, rows: Sequence[object]) -> ProbeResult:
        losses = (0.1, 3.9, 0.2, 3.8) if base.name == "small" else (3.0, 0.2, 3.0, 0.2)
        return ProbeResult(base.name, base.path, 4, 1, sum(losses) / 4, 0.1, losses)

    chosen = select(TASK, examples(), ROOMY, bases=[base("small"), base("large", 360_000_000)], prober=noisy)
    assert chosen.base and chosen.base.name == "small"


def test_tool_calling_is_a_preference_and_no_condition() -> None:
    found = [base(), base("Qwen3-0.6B", 596_000_000)]
    measured = prober(**{"SmolLM2-135M-Instruct": 2.0, "Qwen3-0.6B": 1.8})
    assert select(TASK, examples(), ROOMY, bases=found, prober=measured).base is found[0]
    assert select(TOOLS, examples(), ROOMY, bases=found, prober=measured).base is found[1]
    assert select(TOOLS, examples(), ROOMY, bases=found[:1]).base is found[0]


def test_one_that_cannot_be_probed_is_passed_over() -> None:
    found = [base("broken"), base("sound", 300_000_000)]
    chosen = select(TASK, examples(), ROOMY, bases=found, prober=prober(broken=-1, sound=2.0))
    assert chosen.base is found[1]
    assert reasons(chosen)["broken"] == "It cannot be loaded."


def test_two_real_files_are_probed_and_one_is_chosen(write_model: Callable[..., Path]) -> None:
    pytest.importorskip("torch", reason="the probe needs protege[tune]")
    found = [load_base(write_model("a.gguf")), load_base(write_model("b.gguf", width=64))]
    chosen = select(TASK, examples(), ROOMY, bases=found)
    assert chosen.base is found[0]
    assert [probe.base for probe in chosen.probes] == ["a", "b"]
