"""From a base to a certified specialist in each engine: `python tests/bench/end_to_end.py [--base GGUF] [--steps 30]`.

A GGUF file (SmolLM2-135M by default) is made a folder in Hugging Face form by transformers, which stands in for the
folder that the Hub has; beside it the file is the GGUF file of the same model. From the folder (from the file with
`--from-file`) a task of three labels is tuned, written, brought into the embedded engine and Ollama (OLLAMA_BIN, or
what shared/ollama.sh built), compared with the tuned model in this process, and certified on the calls held out. Then
the engine is closed, and the first answer of a newly opened one is timed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import protege
import torch
from protege import Call, Workspace
from protege.curate import CurateSettings
from protege.loop.settings import Settings
from protege.select import load_base
from protege.serve import open_engine
from protege.testing.engines import asked
from protege.tune import TuneSettings
from protege.tune.model import load_model, load_tokenizer
from safetensors.torch import save_file
from specialists import smollm2

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
COLOURS = ("red", "green", "blue")
SYSTEM = "Name the colour that the text ends with.\nAnswer with one word."


def calls(count: int) -> Iterator[Call]:
    for number in range(count):
        noise, colour = hashlib.sha256(str(number).encode()).hexdigest(), COLOURS[number % 3]
        user = {"role": "user", "content": f"Text: {noise[:7]} {noise[7:14]} {colour}"}
        messages = [{"role": "system", "content": SYSTEM}, user]
        response = {"role": "assistant", "content": colour}
        yield Call.from_record({"id": f"c{number}", "messages": messages, "response": response})


def as_folder(file: Path, folder: Path) -> Path:
    """The model of a GGUF file as a folder in Hugging Face form, and the file beside it."""
    base = load_base(file)
    model = load_model(base, torch.float16)
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        del weights["lm_head.weight"]
    folder.mkdir()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = {k: v for k, v in json.loads(model.config.to_json_string()).items() if k != "quantization_config"}
    (folder / "config.json").write_text(json.dumps({**config, "dtype": "float16"}))
    tokenizer = load_tokenizer(base)
    tokenizer.chat_template = base.chat_template
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(f"---\nlicense: {base.licence.lower()}\n---\n")
    shutil.copyfile(file, folder / file.name)
    return folder


def go(home: Path, base: Path, engine: str, steps: int) -> str:
    """One way from a base to a certified specialist, in words."""
    workspace = Workspace(home)
    workspace.add_calls(calls(480))
    began = time.perf_counter()
    settings = Settings(
        base=str(base),
        engine=engine,
        compete=False,
        curate=CurateSettings(calibration=0.35),
        tune=TuneSettings(steps=steps, evaluations=2, validation_rows=16, warmup_steps=5),
    )
    (improved,) = protege.improve(workspace, (), settings)
    took_s = time.perf_counter() - began
    one = workspace.specialist(improved.specialist_id or "")
    if one is None or improved.figures is None:
        return f"{engine}: {improved.reason}"
    first_s = time.perf_counter()
    opened = open_engine(workspace, one)
    opened.complete(one, asked(one, "Text: 0 0 red"), timeout_s=120)
    first_s = time.perf_counter() - first_s
    opened.close()
    parity, evaluation = (one.report or {})["parity"], improved.figures.evaluation
    return (
        f"{engine}: parity {'holds' if parity['holds'] else 'fails'} ({parity['reason']}); agrees on "
        f"{evaluation.agreement:.1%} of {evaluation.n} calls; certified coverage "
        f"{improved.figures.to_record()['certified_coverage']:.2f}; {improved.decision}: {improved.reason}; "
        f"{took_s:.0f} s in all, first answer of a new engine {first_s:.1f} s, a median answer "
        f"{evaluation.latency_p50_ms or 0:.0f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--from-file", action="store_true")
    given = parser.parse_args()
    file = given.base or Path(smollm2().path)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = file if given.from_file else as_folder(file, folder / file.stem)
        print(f"{file.name}, as {'a file' if given.from_file else 'a folder'}", flush=True)
        print(go(folder / "home", base, "embedded", given.steps), flush=True)
        from real_ollama import OllamaProcess  # it changes OLLAMA_HOST

        server = OllamaProcess(folder / "ollama").start()
        os.environ["OLLAMA_HOST"] = server.url
        try:
            print(go(folder / "home", base, "ollama", given.steps), flush=True)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
