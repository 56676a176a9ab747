"""A folder in Hugging Face form is tuned and written by the GGUF file of the same model: llama.cpp answers alike."""

from __future__ import annotations

import math
import shutil
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import orjson
import pytest
import tiny_models
import torch
from protege.chat.prompt import messages_for, render
from protege.curate import Curated
from protege.errors import BaseModelError
from protege.gguf.header import read_header
from protege.gguf.same import difference
from protege.gguf.writer import write_lora
from protege.select import untrained
from protege.select.base import load_base
from protege.select.pairing import paired
from protege.specialist import Base
from protege.task import Task
from protege.tune import TuneSettings, tune
from protege.tune.merging import merge
from protege.tune.model import load_model, load_tokenizer
from protege.tune.settings import Variant
from tiny_models import CONFIGS, to_gguf, write_folder

TEN = TuneSettings(
    steps=10, batch=8, learning_rate=5e-3, warmup_steps=2, evaluations=1, validation_rows=8, output="f16"
)
MakePair = Callable[[str], Base]


@pytest.fixture(scope="session")
def make_pair(tmp_path_factory: pytest.TempPathFactory) -> MakePair:
    """A folder of an architecture, and the GGUF file of the same model; each made once."""
    made: dict[str, Base] = {}

    def make(model_type: str) -> Base:
        if model_type not in made:
            folder = write_folder(tmp_path_factory.mktemp(model_type) / "tiny", model_type)
            file = to_gguf(folder, folder.parent / "tiny.gguf")
            made[model_type] = paired(replace(load_base(folder), licence="Apache-2.0"), [load_base(file)])
        return made[model_type]

    return make


def here(base: Base, lora: Path | None, prompt: str) -> Sequence[float]:
    """transformers' log-probabilities of that token."""
    from protege.tune.inprocess import Generator

    generator = Generator(base, lora)
    with torch.inference_mode():
        logits = generator.model(torch.tensor([generator.encoder.prompt(prompt)])).logits[0, -1]
    return logits.float().log_softmax(-1).tolist()


def apart(told: dict[int, float], known: Sequence[float]) -> float:
    """By how much the two differ at most, in nats, where either is above one in a thousand."""
    return max(abs(value - known[i]) for i, value in told.items() if max(value, known[i]) > math.log(1e-3))


@pytest.mark.parametrize("model_type", CONFIGS)
def test_llama_cpp_answers_as_the_tuned_folder(
    model_type: str,
    make_pair: MakePair,
    curated: Curated,
    colours: Task,
    tmp_path: Path,
    next_token: Callable[..., dict[int, float]],
) -> None:
    base = make_pair(model_type)
    assert base.gguf.endswith("tiny.gguf")
    tuned = tune(curated, colours, base, tmp_path, TEN)
    assert dict(tuned.files) == {"lora": "lora", "lora_gguf": "lora.gguf", "gguf": "model.gguf"}
    prompt = render(base, messages_for(colours, curated.examples("validation")[0].request, "slots"))
    known, untuned = here(base, tmp_path / "lora", prompt), here(base, None, prompt)
    assert max(abs(a - b) for a, b in zip(known, untuned, strict=True)) > 0.5, "ten steps changed it"
    assert apart(next_token(tmp_path / "model.gguf", prompt), known) < 0.05
    assert apart(next_token(Path(base.gguf), prompt, tmp_path / "lora.gguf"), known) < 0.05


@pytest.mark.parametrize("variant", ["rslora", "dora"])
def test_variants_of_lora_are_merged_into_files_and_folders_as_they_were_tuned(
    variant: Variant,
    make_pair: MakePair,
    curated: Curated,
    colours: Task,
    tmp_path: Path,
    next_token: Callable[..., dict[int, float]],
) -> None:
    """Llama's rows are in another order in GGUF files, DoRA's lengths with them."""
    base, settings = make_pair("llama"), replace(TEN, variant=variant, rank=4)
    prompt = render(base, messages_for(colours, curated.examples("validation")[0].request, "slots"))
    from_file = replace(load_base(Path(base.gguf)), licence="Apache-2.0")
    for number, one in enumerate((base, from_file)):
        out = tmp_path / str(number)
        files = tune(curated, colours, one, out, settings).files
        known = here(one, out / "lora", prompt)
        assert apart(next_token(out / "model.gguf", prompt), known) < 0.05
        assert ("lora_gguf" in files) == (variant == "rslora")
        if variant == "rslora":
            assert apart(next_token(Path(base.gguf), prompt, out / "lora.gguf"), known) < 0.05
    merged = replace(base, path=str(merge(base, tmp_path / "0" / "lora", tmp_path / "merged")))
    known, merged_here = here(base, tmp_path / "0" / "lora", prompt), here(merged, None, prompt)
    assert max(abs(a - b) for a, b in zip(known, merged_here, strict=True)) < 0.05
    if variant == "dora":
        with pytest.raises(ValueError, match="DoRA"):
            write_lora(Path(base.gguf), tmp_path / "0" / "lora", tmp_path / "lora.gguf", {})


@pytest.mark.parametrize(
    ("model_type", "changes"), [("phi3", {}), ("gemma2", {"head_dim": 256, "query_pre_attn_scalar": 256})]
)
def test_llama_cpp_answers_as_the_tuned_gguf_file(
    model_type: str,
    changes: dict[str, Any],
    curated: Curated,
    colours: Task,
    tmp_path: Path,
    next_token: Callable[..., dict[int, float]],
) -> None:
    """What transformers' own loader reads; tests of four more architectures stand in test_tune."""
    folder = write_folder(tmp_path / "tiny", model_type, **changes)
    base = load_base(to_gguf(folder, tmp_path / "tiny.gguf"))
    tune(curated, colours, base, tmp_path / "out", TEN)
    prompt = render(base, messages_for(colours, curated.examples("validation")[0].request, "slots"))
    known = here(base, tmp_path / "out" / "lora", prompt)
    assert apart(next_token(tmp_path / "out" / "model.gguf", prompt), known) < 0.05
    assert apart(next_token(Path(base.path), prompt, tmp_path / "out" / "lora.gguf"), known) < 0.05


def test_every_weight_of_a_folder_can_be_tuned_and_written(
    make_pair: MakePair, curated: Curated, colours: Task, tmp_path: Path, next_token: Callable[..., dict[int, float]]
) -> None:
    for model_type in ("nemotron_h", "phi"):
        base, out = make_pair(model_type), tmp_path / model_type
        tuned = tune(curated, colours, base, out, replace(TEN, method="full", learning_rate=2e-3))
        assert dict(tuned.files) == {"model": "model", "gguf": "model.gguf"}
        prompt = render(base, messages_for(colours, curated.examples("validation")[0].request, "slots"))
        known = here(replace(base, path=str(out / "model")), None, prompt)
        assert apart(next_token(out / "model.gguf", prompt), known) < 0.05


def changed(
    folder: Path, file: Path, change: Callable[[str, Any], Any], kind: Any = gguf.GGMLQuantizationType.F32
) -> Path:
    """The GGUF file of a model that differs from the folder's."""
    import safetensors.numpy

    other = folder.parent / f"other-{file.stem}"
    other.mkdir()
    for path in folder.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    weights = safetensors.numpy.load_file(other / "model.safetensors")
    safetensors.numpy.save_file(
        {name: change(name, value) for name, value in weights.items()}, other / "model.safetensors", {"format": "pt"}
    )
    return to_gguf(other, file, kind)


def test_a_gguf_file_of_another_model_is_told_from_the_same_one_quantised(make_pair: MakePair, tmp_path: Path) -> None:
    base = make_pair("qwen2")
    folder = Path(base.path)
    kinds = gguf.GGMLQuantizationType
    for kind in (kinds.F16, kinds.BF16, kinds.Q8_0, kinds.Q5_0, kinds.Q4_0):
        assert difference(to_gguf(folder, tmp_path / f"{kind.name}.gguf", kind), folder) is None
    others = {
        "tuned-norm": lambda name, value: value + 0.01 if name.endswith("layers.1.input_layernorm.weight") else value,
        "tuned-embedding": lambda name, value: value + 0.1 if "embed_tokens" in name else value,
        "nan-norm": lambda name, value: value * math.nan if name.endswith("model.norm.weight") else value,
        "nan-embedding": lambda name, value: value * math.nan if "embed_tokens" in name else value,
    }
    for name, change in others.items():
        file = changed(folder, tmp_path / f"{name}.gguf", change)
        assert difference(file, folder)
        assert not paired(replace(base, gguf="", gguf_sha256=""), [load_base(file)]).gguf
    wider = write_folder(tmp_path / "wider", "qwen2", intermediate_size=128)
    assert "ffn" in str(difference(to_gguf(wider, tmp_path / "wider.gguf"), folder))
    deeper = write_folder(tmp_path / "deeper", "qwen2", num_hidden_layers=3)
    assert "blk.2" in str(difference(to_gguf(deeper, tmp_path / "deeper.gguf"), folder))


def test_a_file_that_announces_what_no_model_has_is_told_and_never_crashes(make_pair: MakePair, tmp_path: Path) -> None:
    base = make_pair("llama")
    good = Path(base.gguf).read_bytes()
    for key in (b"llama.block_count", b"llama.attention.head_count"):
        file = tmp_path / "odd.gguf"
        file.write_bytes(good.replace(struct.pack("<Q", len(key)) + key, struct.pack("<Q", len(key)) + key[:-1] + b"X"))
        with pytest.raises(BaseModelError, match="tells no"):
            difference(file, Path(base.path))
    empty = tmp_path / "empty"
    shutil.copytree(base.path, empty)
    weights = (empty / "model.safetensors").read_bytes()
    (length,) = struct.unpack_from("<Q", weights)
    head = orjson.loads(weights[8 : 8 + length])
    head["model.norm.weight"] |= {"shape": [0], "data_offsets": [0, 0]}
    body = orjson.dumps(head)
    (empty / "model.safetensors").write_bytes(struct.pack("<Q", len(body)) + body + weights[8 + length :])
    at = good.index(b"output_norm.weight") + len("output_norm.weight") + 4
    (tmp_path / "empty.gguf").write_bytes(good[:at] + bytes(8) + good[at + 8 :])
    assert difference(tmp_path / "empty.gguf", empty) == "output_norm.weight is empty"


def test_weights_that_are_pickled_are_not_read(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "pickled", "llama")
    (folder / "model.safetensors").rename(folder / "weights.safetensors")
    torch.save({}, folder / "pytorch_model.bin")
    base = load_base(folder)
    for load in (lambda: untrained.load(base), lambda: load_model(base, torch.float32)):
        with pytest.raises(BaseModelError, match="cannot"):
            load()


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("config.json", {"tie_word_embeddings": []}),
        ("tokenizer.json", {"model": 5}),
        ("tokenizer_config.json", {"tokenizer_class": []}),
        ("generation_config.json", {"pad_token_id": "x"}),
    ],
)
def test_a_folder_that_the_libraries_cannot_load_is_refused(file: str, changes: dict[str, Any], tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "odd", "llama")
    document = orjson.loads((folder / file).read_bytes())
    (folder / file).write_bytes(orjson.dumps({**document, **changes}))
    with pytest.raises(BaseModelError):
        untrained.load(load_base(folder))
    with pytest.raises(BaseModelError):
        load_tokenizer(load_base(folder)) if "tokenizer" in file else load_model(load_base(folder), torch.float32)


def test_a_gguf_file_that_changed_since_is_refused_before_any_work(
    make_pair: MakePair, curated: Curated, colours: Task, tmp_path: Path
) -> None:
    base = replace(make_pair("llama"), gguf_sha256="0" * 64)
    with pytest.raises(BaseModelError, match="another file"):
        tune(curated, colours, base, tmp_path / "out", TEN)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("file", "model_type"), [("config.json", "my_own"), ("tokenizer_config.json", "llama")])
def test_code_that_comes_with_a_folder_is_never_run(
    file: str, model_type: str, curated: Curated, colours: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_TRUST_REMOTE_CODE", "1")
    folder, ran = write_folder(tmp_path / "code", "llama"), tmp_path / "ran"
    for name in ("own.py", "modeling_own.py"):
        (folder / name).write_text(f"open({str(ran)!r}, 'w').close()\nclass Own: ...\n")
    document = orjson.loads((folder / file).read_bytes())
    document["auto_map"] = {
        "AutoConfig": "own.Own",
        "AutoModelForCausalLM": "own.Own",
        "AutoTokenizer": ["own.Own", None],
    }
    if file == "config.json":
        document["model_type"] = model_type
    else:
        document["tokenizer_class"] = "Own"
    (folder / file).write_bytes(orjson.dumps(document))
    base = replace(load_base(folder), licence="Apache-2.0")
    with pytest.raises(BaseModelError, match=r"code of its own|no tokenizer"):
        tune(curated, colours, base, tmp_path / "out", TEN)
    assert not ran.exists() and not (tmp_path / "out").exists()


IN_OLLAMA = ("llama", "qwen2", "gemma2", "gemma3_text", "phi3", "nemotron_h")


@pytest.fixture
def own_ollama(ollama_server: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("OLLAMA_HOST", ollama_server.url)
    monkeypatch.setenv("OLLAMA_MODELS", str(ollama_server.models))
    return ollama_server


@pytest.mark.parametrize("model_type", IN_OLLAMA)
def test_an_ollama_that_converts_makes_a_file_by_which_llama_cpp_answers_as_the_tuned_folder(
    model_type: str,
    make_pair: MakePair,
    curated: Curated,
    colours: Task,
    tmp_path: Path,
    own_ollama: Any,
    next_token: Callable[..., dict[int, float]],
) -> None:
    base = replace(make_pair(model_type), gguf="", gguf_sha256="")
    tuned = tune(curated, colours, base, tmp_path, TEN)
    assert dict(tuned.files) == {"lora": "lora", "gguf": "model.gguf"} and not (tmp_path / "merged").exists()
    prompt = render(base, messages_for(colours, curated.examples("validation")[0].request, "slots"))
    assert apart(next_token(tmp_path / "model.gguf", prompt), here(base, tmp_path / "lora", prompt)) < 0.05
    assert own_ollama.client().models() == {}
    metadata = read_header(tmp_path / "model.gguf").metadata
    assert metadata["protege.task"] == "colours" and metadata["general.file_type"] == gguf.LlamaFileType.MOSTLY_F16


def test_a_converter_on_the_path_makes_the_file_too_and_of_a_model_tuned_whole(
    make_pair: MakePair,
    curated: Curated,
    colours: Task,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    next_token: Callable[..., dict[int, float]],
) -> None:
    """The script stands in for llama.cpp's, with its arguments; what it writes is proven above."""
    base = replace(make_pair("granite"), gguf="", gguf_sha256="")
    script = tmp_path / "convert_hf_to_gguf.py"
    support = str(Path(tiny_models.__file__).parent)
    script.write_text(
        f"import sys; sys.path.insert(0, {support!r})\nfrom pathlib import Path\nfrom tiny_models import to_gguf\n"
        "assert sys.argv[2] == '--outfile' and sys.argv[4:] == ['--outtype', 'f16']\n"
        "to_gguf(Path(sys.argv[1]), Path(sys.argv[3]))\n"
    )
    monkeypatch.setenv("PROTEGE_CONVERT", str(script))
    tuned = tune(curated, colours, base, tmp_path / "out", replace(TEN, method="full", learning_rate=2e-3))
    assert dict(tuned.files) == {"model": "model", "gguf": "model.gguf"}
    prompt = render(base, messages_for(colours, curated.examples("validation")[0].request, "slots"))
    known = here(replace(base, path=str(tmp_path / "out" / "model")), None, prompt)
    assert apart(next_token(tmp_path / "out" / "model.gguf", prompt), known) < 0.05
    script.write_text("raise SystemExit('no such architecture')")
    with pytest.raises(BaseModelError, match="no such architecture"):
        tune(curated, colours, base, tmp_path / "again", TEN)
    assert not (tmp_path / "again" / "merged").exists()
