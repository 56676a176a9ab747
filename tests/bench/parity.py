"""Whether what is served is what was tuned: `python tests/bench/parity.py HOME SPECIALIST [--calls 100]`.

The greedy answers of a tuned specialist on calls that it never learnt from: by the model in this process (transformers
and peft), by llama.cpp from the merged GGUF, by llama.cpp from the LoRA weights over the base, and by the Ollama at
OLLAMA_HOST where one answers; and what an answer takes in each. The workspace is one in which `protege improve` tuned
the specialist; its test calls are asked, and calibration calls where those are too few.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from protege import Workspace
from protege.chat.prompt import messages_for, render
from protege.measure.specialists import held_out_examples
from protege.serve import Engine, OllamaEngine, find_ollama, serve
from protege.serve.ollama.models import bring
from protege.specialist import Specialist
from protege.tune.inprocess import Generator
from protege.tune.model import compute_dtype


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("specialist", help="its name, such as sort-v1")
    parser.add_argument("--calls", type=int, default=100)
    options = parser.parse_args()
    workspace = Workspace(options.home)
    specialist = next(s for s in workspace.specialists() if s.name == options.specialist)
    prompts, teacher = asked(workspace, specialist, options.calls)
    folder = workspace.specialist_folder(specialist)
    generator = Generator(specialist.base, folder / specialist.files["lora"], compute_dtype())
    reference, took_ms = [], []
    for prompt in prompts:
        began = time.perf_counter()
        reference.append(generator.answers([prompt], specialist.max_tokens)[0].text.strip())
        took_ms.append((time.perf_counter() - began) * 1000)
    print(f"{specialist.name}, {len(prompts)} unseen calls; equal: to the model in process ({compute_dtype()})\n")
    print(f"{'':14} {'equal':>9} {'as teacher':>11} {'median ms':>10} {'mean ms':>8}")
    show("in process", reference, reference, teacher, took_ms)
    for form in ("merged", "lora"):
        with serve(workspace, [specialist], as_=form) as engine:
            compare(form, engine, specialist, prompts, reference, teacher)
    if server := find_ollama():
        placed = bring(workspace, specialist, server)
        with OllamaEngine() as engine:
            compare(f"Ollama {server.version()}", engine, placed, prompts, reference, teacher)


def compare(
    name: str, engine: Engine, specialist: Specialist, prompts: list[str], reference: list[str], teacher: list[str]
) -> None:
    answers = [engine.complete(specialist, prompt, timeout_s=60) for prompt in prompts]
    show(name, [a.text.strip() for a in answers], reference, teacher, [a.latency_ms for a in answers])


def asked(workspace: Workspace, specialist: Specialist, calls: int) -> tuple[list[str], list[str]]:
    """The prompts of test calls as the specialist is shown them, and the teacher's answers."""
    task = next(t for t in workspace.tasks() if t.id == specialist.task_id)
    examples = held_out_examples(workspace, specialist, ("test", "calibration"))[:calls]
    prompts = [render(specialist.base, messages_for(task, example.request, specialist.form)) for example in examples]
    return prompts, [example.answer for example in examples]


def show(name: str, answers: list[str], reference: list[str], teacher: list[str], took_ms: list[float]) -> None:
    def equal(others: list[str]) -> str:
        return f"{sum(a == b for a, b in zip(answers, others, strict=True))}/{len(answers)}"

    median, mean = statistics.median(took_ms), statistics.fmean(took_ms)
    print(f"{name:14} {equal(reference):>9} {equal(teacher):>11} {median:10.0f} {mean:8.0f}", flush=True)


if __name__ == "__main__":
    main()
