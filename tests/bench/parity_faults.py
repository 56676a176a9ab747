"""Whether parity lets what was tuned serve, and nothing else: `python tests/bench/parity_faults.py HOME`.

Short tunings of SmolLM2-135M on made-up tasks, each with its own task, rows, seed and number of steps. What the
embedded engine serves is compared as it is (a refusal is a false one) and with faults planted in the file or in the
prompts (of every `--faults`-th tuning; 0: of none). Each result is a line in HOME/parity.jsonl; a run that was ended
goes on there.
"""

from __future__ import annotations

import argparse
import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import orjson
from protege import Call, Workspace
from protege.curate import Curated, CurateSettings, curate
from protege.evaluate import Parity
from protege.gguf.names import open_gguf
from protege.gguf.writer import write_merged
from protege.measure import check_parity
from protege.select import find_bases
from protege.serve import Completion, Engine, serve
from protege.specialist import Base, Specialist
from protege.task import Kind, Task, Template, TemplatePart
from protege.tune import TuneSettings, tune

GIVEN = [
    "Anna",
    "Wojciech",
    "Priya",
    "Tomas",
    "Ingrid",
    "Kwame",
    "Mei",
    "Luca",
    "Fatima",
    "Oskar",
    "Yuki",
    "Diego",
    "Nadia",
    "Sven",
    "Amara",
    "Pavel",
]
SURNAMES = [
    "Kowalski",
    "Nakamura",
    "Okafor",
    "Lindqvist",
    "Fernandez",
    "Haddad",
    "Novak",
    "Petrov",
    "Oyelaran",
    "Dubois",
    "Rossi",
    "Byrne",
]
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
THINGS = ["lamp", "radio", "chair", "kettle", "clock", "mixer", "printer", "drill", "shelf", "fan", "toaster", "scale"]
CAUSES = {
    "hardware": ("is broken", "does not switch on", "has a crack", "makes a noise", "overheats"),
    "delivery": ("came late", "is lost in the post", "went to the wrong door", "has not arrived", "came damp"),
    "billing": ("was charged twice", "has a wrong invoice", "cost more than said", "is not refunded"),
}


def complaint(chance: random.Random) -> tuple[str, str]:
    label = chance.choice(list(CAUSES))
    return f"my {chance.choice(THINGS)} number {chance.randint(10, 999)} {chance.choice(CAUSES[label])}.", label


def name(chance: random.Random) -> tuple[str, str]:
    given, surname = chance.choice(GIVEN), chance.choice(SURNAMES)
    middle = chance.choice((None, "J.", "von", "de la", "Maria"))
    written = f"{surname}, {given} {middle or ''}" if chance.random() < 0.4 else f"{given} {middle or ''} {surname}"
    return " ".join(written.split()), orjson.dumps({"given": given, "middle": middle, "surname": surname}).decode()


def date(chance: random.Random) -> tuple[str, str]:
    day, month, year = chance.randint(1, 28), chance.randint(1, 12), chance.randint(1950, 2029)
    return f"the {day}th of {MONTHS[month - 1]} {year}", f"{year}-{month:02}-{day:02}"


def reply(chance: random.Random) -> tuple[str, str]:
    text, label = complaint(chance)
    return text, f"We are sorry about your {text.split()[1]}. Our {label} team will write to you."


TASKS: Mapping[str, tuple[Callable[[random.Random], tuple[str, str]], Kind, str]] = {
    "complaint": (complaint, "label", "You sort the complaints of a shop. Answer with one word."),
    "name": (name, "json", "Take the name apart. Answer with JSON: given, middle, surname."),
    "date": (date, "text", "Write the date as YYYY-MM-DD."),
    "reply": (reply, "text", "Answer the customer in one or two polite sentences."),
}


@dataclass(frozen=True)
class Plan:
    """One tuning."""

    number: int
    task: str
    rows: int
    steps: int
    form: Any
    seed: int


def plan(number: int) -> Plan:
    chance = random.Random(number)
    form = chance.choice(("slots", "slots", "slots", "whole"))
    return Plan(number, list(TASKS)[number % len(TASKS)], 110, chance.choice((6, 8, 12, 24)), form, number)


def curated_of(planned: Plan) -> tuple[Task, Curated]:
    make, kind, instruction = TASKS[planned.task]
    chance, rows = random.Random(planned.seed), dict[str, str]()
    while len(rows) < planned.rows:
        rows.update([make(chance)])
    system = {"role": "system", "content": instruction}
    calls = [
        Call.from_record(
            {
                "id": f"{planned.number}-{i}",
                "messages": [system, {"role": "user", "content": f"Text: {text}"}],
                "response": {"role": "assistant", "content": answer},
            }
        )
        for i, (text, answer) in enumerate(rows.items())
    ]
    parts = (TemplatePart(0, "system", prefix=instruction), TemplatePart(1, "user", prefix="Text: "))
    labels = tuple(CAUSES) if kind == "label" else ()
    task = Task(planned.task, planned.task, kind, labels=labels, templates=(Template("s", parts),))
    return task, curate(task, calls, CurateSettings(min_calibration=1, min_train=16, calibration=0.05))


def tuned(workspace: Workspace, planned: Plan, base: Base) -> tuple[Task, Curated, Specialist]:
    task, curated = curated_of(planned)
    settings = TuneSettings(
        steps=planned.steps, batch=4, evaluations=1, validation_rows=4, form=planned.form, seed=planned.seed
    )
    folder = workspace.home / "specialists" / f"sp-{planned.number}"
    made = tune(curated, task, base, folder, settings)
    specialist = Specialist(folder.name, f"{task.name}-v1", task.id, 1, base, planned.form)
    return task, curated, replace(specialist, files=made.files, settings=made.settings, max_tokens=made.max_tokens)


def swapped(source: Path, out: Path, one: str, other: str) -> Path:
    """The file with two tensors of one shape and type in each other's place."""
    shutil.copyfile(source, out)
    tensors = {tensor.name: tensor for tensor in open_gguf(source).tensors}
    with out.open("r+b") as file:
        for place, taken in ((one, other), (other, one)):
            file.seek(tensors[place].data_offset)
            file.write(tensors[taken].data.tobytes())
    return out


def scaled(folder: Path, base: Base, out: Path, factor: float) -> Path:
    """The merged file with the LoRA weights at another scale."""
    lora = out.with_suffix(".lora")
    shutil.copytree(folder / "lora", lora, dirs_exist_ok=True)
    config = orjson.loads((lora / "adapter_config.json").read_bytes())
    (lora / "adapter_config.json").write_bytes(orjson.dumps({**config, "lora_alpha": config["lora_alpha"] * factor}))
    write_merged(Path(base.path), lora, out, {"general.name": "scaled"}, "q8_0")
    shutil.rmtree(lora)
    return out


def coarser(source: Path, out: Path, bits: int) -> Path:
    """The tuned matrices rounded to 2^bits values between the least and the greatest of each 16, as K-quants round."""
    shutil.copyfile(source, out)
    with out.open("r+b") as file:
        for tensor in open_gguf(source).tensors:
            if tensor.tensor_type != gguf.GGMLQuantizationType.Q8_0:
                continue
            value = gguf.dequantize(tensor.data, tensor.tensor_type)
            sixteen = value.reshape(-1, 16)
            least = sixteen.min(1, keepdims=True)
            step = np.maximum((sixteen.max(1, keepdims=True) - least) / (2**bits - 1), 1e-12)
            rounded = (np.round((sixteen - least) / step) * step + least).reshape(value.shape)
            file.seek(tensor.data_offset)
            file.write(gguf.quantize(rounded.astype(np.float32), tensor.tensor_type).tobytes())
    return out


def files(workspace: Workspace, planned: Plan, specialist: Specialist, out: Path) -> Iterator[tuple[str, Path]]:
    """Other files than the one that was tuned, each made when it is asked for."""
    base, folder = specialist.base, workspace.specialist_folder(specialist)
    source = folder / specialist.files["gguf"]
    yield "the base", Path(base.path)
    for before in range(planned.number - 1, -1, -1):
        other = workspace.home / "specialists" / f"sp-{before}" / "model.gguf"
        if before in (planned.number - 1, planned.number - len(TASKS)) and other.exists():
            yield ("the same task, tuned again" if plan(before).task == planned.task else "another task"), other
    for factor in (0.5, 0.8, 2.0):
        yield f"LoRA at scale {factor}", scaled(folder, base, out, factor)
    for what in ("attn_q", "attn_v", "attn_output", "ffn_gate", "ffn_down"):
        for one, other in ((0, 1), (14, 15), (28, 29)):
            yield (
                f"{what} {one} and {other}",
                swapped(source, out, f"blk.{one}.{what}.weight", f"blk.{other}.{what}.weight"),
            )
    for bits in (4, 3, 2):
        yield f"{bits} bits", coarser(source, out, bits)


USER = "<|im_start|>user\n"
PROMPTS: Mapping[str, Callable[[str], str]] = {
    "no begin token": lambda prompt: prompt.removeprefix("<|im_start|>"),
    "two begin tokens": lambda prompt: "<|im_start|>" + prompt,
    "no last line break": lambda prompt: prompt.removesuffix("\n"),
    "no system turn": lambda prompt: prompt[prompt.index(USER) :],
    "user as system": lambda prompt: prompt.replace(USER, "<|im_start|>system\n"),
    "another template": lambda prompt: "[INST] " + prompt.split(USER)[1].split("<|im_end|>")[0] + " [/INST]",
}


class Asked:
    """An engine that is asked otherwise than with our prompts."""

    def __init__(self, engine: Engine, change: Callable[[str], str]) -> None:
        self._engine, self._change = engine, change
        self.name, self.tells_end = engine.name, engine.tells_end

    def fingerprint(self, specialist: Specialist) -> str:
        return self._engine.fingerprint(specialist)

    def complete(self, specialist: Specialist, prompt: str, *, timeout_s: float) -> Completion:
        return self._engine.complete(specialist, self._change(prompt), timeout_s=timeout_s)

    def close(self) -> None:
        self._engine.close()


def compared(workspace: Workspace, planned: Plan, base: Base, faults: bool) -> Iterator[tuple[str, Parity]]:
    """Each thing that is served, and what parity says of it."""
    task, curated, specialist = tuned(workspace, planned, base)
    rows = curated.examples("validation")
    for form in ("merged", "lora") if faults else ("merged",):
        with serve(workspace, [specialist], as_=form) as engine:
            yield f"as tuned, {form}", check_parity(workspace, task, specialist, engine, rows)
            for what, change in PROMPTS.items() if faults and form == "merged" else ():
                yield what, check_parity(workspace, task, specialist, Asked(engine, change), rows)
    out = workspace.home / "fault.gguf"
    for what, path in files(workspace, planned, specialist, out) if faults else ():
        given = replace(specialist, files={**specialist.files, "gguf": str(path)}, digests={})
        with serve(workspace, [given]) as engine:
            yield what, check_parity(workspace, task, specialist, engine, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("--tunings", type=int, default=50)
    parser.add_argument("--faults", type=int, default=10)
    parser.add_argument("--until", default="24", help="the time of day, HH:MM, after which no tuning begins")
    options = parser.parse_args()
    workspace = Workspace(options.home.resolve())
    results = workspace.home / "parity.jsonl"
    known = [orjson.loads(line) for line in results.read_bytes().splitlines()] if results.exists() else []
    through = {record["number"] for record in known if record["served"] == "end"}
    base = next(base for base in find_bases() if "smol" in base.name.lower())
    for number in range(options.tunings):
        if number in through or time.strftime("%H:%M") >= options.until:
            continue
        planned = plan(number)
        with results.open("ab") as file:
            faults = bool(options.faults) and number % options.faults == options.faults - 1
            for served, parity in compared(workspace, planned, base, faults):
                print(f"{number:3} {planned.task:9} {served:26} {parity.holds!s:5} {parity.reason}", flush=True)
                file.write(orjson.dumps({**asdict(planned), "served": served, **parity.to_record()}) + b"\n")
            file.write(orjson.dumps({"number": number, "served": "end"}) + b"\n")
    summed([orjson.loads(line) for line in results.read_bytes().splitlines()])


def summed(records: list[dict[str, Any]]) -> None:
    sound = [r for r in records if r["served"].startswith("as tuned")]
    refused = sum(not r["holds"] for r in sound)
    print(f"\nas tuned: {refused} of {len(sound)} refused; the greatest shift {max(r['shift'] for r in sound):.3f}")
    others = [r for r in records if r["served"] != "end" and r not in sound]
    for served in dict.fromkeys(r["served"] for r in others):
        these = [r for r in others if r["served"] == served]
        shifts = sorted(r["shift"] for r in these)
        print(f"{served:26} {sum(not r['holds'] for r in these)} of {len(these)} refused, shifts {shifts}")


if __name__ == "__main__":
    main()
