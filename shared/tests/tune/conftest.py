"""Tiny random models as GGUF files, and a task that they can learn in seconds."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import orjson
import pytest
from protege.call import Call
from protege.curate import Curated, curate
from protege.specialist import Base
from protege.task import Task, Template, TemplatePart

SPECIAL = ("<|end|>", "<|start|>")
CHAT_TEMPLATE = (
    "{% for m in messages %}<|start|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
HIDDEN, FEED_FORWARD = 64, 96
HEADS = {"llama": (4, 2), "qwen2": (4, 2), "qwen3": (4, 2), "gemma3": (2, 1)}
"""Of queries, and of keys and values."""

LAYERS = {"llama": 2, "qwen2": 2, "qwen3": 2, "gemma3": 6}
"""Of Gemma 3 every sixth layer attends to everything, with another rotary base."""

HEAD_DIM = {"llama": 16, "qwen2": 16, "qwen3": 128, "gemma3": 256}
"""Of Qwen3 and Gemma 3 the real ones: transformers' loader, or llama.cpp, knows no other."""


def bytes_as_text() -> list[str]:
    """The 256 characters that stand for bytes in a byte-level vocabulary (GPT-2's own order)."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return list(bytes_to_unicode().values())


def write_tiny_gguf(path: Path, architecture: str = "llama", seed: int = 0) -> Path:
    """A random model of one architecture, with a byte-level vocabulary and a few merges."""
    random = np.random.default_rng(seed)
    tokens = [*SPECIAL, *bytes_as_text(), "th", "in", "re"]
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("tiny")
    writer.add_context_length(512)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS[architecture])
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS[architecture][0])
    writer.add_head_count_kv(HEADS[architecture][1])
    writer.add_key_length(HEAD_DIM[architecture])
    writer.add_value_length(HEAD_DIM[architecture])
    writer.add_rope_dimension_count(HEAD_DIM[architecture])
    writer.add_rope_freq_base(1e6 if architecture == "gemma3" else 1e4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    if architecture == "gemma3":
        writer.add_sliding_window(256)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2" if architecture.startswith("qwen") else "smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(tokens) - len(SPECIAL)))
    writer.add_token_merges(["t h", "i n", "r e"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(0)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)
    for name, shape in tensor_shapes(architecture, len(tokens)).items():
        norm = name.endswith("norm.weight")
        value = 1 + 0.1 * random.standard_normal(shape) if norm else random.standard_normal(shape) / np.sqrt(shape[-1])
        writer.add_tensor(name, value.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def tensor_shapes(architecture: str, vocabulary: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes (rows, columns) of all tensors; the output layer is tied to the embedding."""
    head = HEAD_DIM[architecture]
    q, kv = (heads * head for heads in HEADS[architecture])
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (vocabulary, HIDDEN), "output_norm.weight": (HIDDEN,)}
    for layer in range(LAYERS[architecture]):
        block: dict[str, tuple[int, ...]] = {
            "attn_norm.weight": (HIDDEN,),
            "attn_q.weight": (q, HIDDEN),
            "attn_k.weight": (kv, HIDDEN),
            "attn_v.weight": (kv, HIDDEN),
            "attn_output.weight": (HIDDEN, q),
            "ffn_norm.weight": (HIDDEN,),
            "ffn_gate.weight": (FEED_FORWARD, HIDDEN),
            "ffn_up.weight": (FEED_FORWARD, HIDDEN),
            "ffn_down.weight": (HIDDEN, FEED_FORWARD),
        }
        if architecture == "qwen2":
            block |= {"attn_q.bias": (q,), "attn_k.bias": (kv,), "attn_v.bias": (kv,)}
        if architecture in ("qwen3", "gemma3"):
            block |= {"attn_q_norm.weight": (head,), "attn_k_norm.weight": (head,)}
        if architecture == "gemma3":
            block |= {"post_attention_norm.weight": (HIDDEN,), "post_ffw_norm.weight": (HIDDEN,)}
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in block.items()}
    return shapes


def base_at(path: Path, architecture: str = "llama", **changes: Any) -> Base:
    fields: dict[str, Any] = {
        "name": f"tiny-{architecture}",
        "path": str(path),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        "format": "gguf",
        "architecture": architecture,
        "licence": "Apache-2.0",
        "context": 512,
        "chat_template": CHAT_TEMPLATE,
        "bos": "<|start|>",
        "eos": ("<|end|>",),
        "control_tokens": SPECIAL,
    }
    return Base(**fields | changes)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """A tiny model is slower on two threads than on one, and much slower on a busy machine."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_base(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Base]:
    """A new random base of an architecture; other fields of `Base` may be given."""

    def make(architecture: str = "llama", **changes: Any) -> Base:
        return base_at(
            write_tiny_gguf(tmp_path_factory.mktemp("base") / "tiny.gguf", architecture), architecture, **changes
        )

    return make


@pytest.fixture(scope="session")
def tiny(make_base: Callable[..., Base]) -> Base:
    return make_base()


@pytest.fixture(scope="session")
def colours() -> Task:
    """Which colour is named: three labels."""
    parts = (TemplatePart(0, "system", prefix="Name the colour."), TemplatePart(1, "user", prefix="Text: "))
    labels = ("red", "green", "blue")
    return Task(id="colours", name="colours", kind="label", labels=labels, templates=(Template("s", parts),))


@pytest.fixture(scope="session")
def coloured(colours: Task) -> Curated:
    """The data set; under this name for classes of tests that have a fixture `curated` of their own."""
    return curate(colours, colour_calls(360))


@pytest.fixture(scope="session")
def curated(coloured: Curated) -> Curated:
    return coloured


def colour_calls(count: int) -> list[Call]:
    """Calls of the colours task, apart enough to be no near-duplicates."""
    made: list[Call] = []
    for i in range(count):
        answer = ("red", "green", "blue")[i % 3]
        noise = hashlib.sha256(str(i).encode()).hexdigest()
        user = {"role": "user", "content": f"Text: {noise[:7]} {answer} {noise[7:14]}"}
        messages = [{"role": "system", "content": "Name the colour."}, user]
        response = {"role": "assistant", "content": answer}
        made.append(Call.from_record({"id": f"c{i}", "messages": messages, "response": response}))
    return made


Answers = Callable[..., list[str]]
NextToken = Callable[..., dict[int, float]]


@pytest.fixture(scope="session")
def llama_cpp() -> Answers:
    """Greedy answers of llama.cpp from a GGUF file, with LoRA weights where they are given."""

    def answers(model: Path, prompts: Sequence[str], lora: Path | None = None) -> list[str]:
        ask = llama_server(model, lora)
        given = [ask({"prompt": prompt, "n_predict": 16}) for prompt in prompts]
        return [one["content"] if "content" in one else one["choices"][0]["text"] for one in given]

    return answers


@pytest.fixture(scope="session")
def next_token() -> NextToken:
    """llama.cpp's log-probabilities of the first token of an answer, by the token's id."""

    def told(model: Path, prompt: str, lora: Path | None = None) -> dict[int, float]:
        record = llama_server(model, lora)({"prompt": prompt, "n_predict": 1, "n_probs": 1000})
        choice = record["choices"][0] if "choices" in record else record
        (first,) = choice.get("completion_probabilities") or choice["logprobs"]["content"]
        return {top["id"]: top["logprob"] for top in first["top_logprobs"]}

    return told


def llama_server(model: Path, lora: Path | None) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Asks llama.cpp in this process for the likeliest completion; nothing is cached between two."""
    xllamacpp: Any = importlib.import_module("xllamacpp")  # it has no types
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_ctx, params.n_parallel, params.warmup, params.verbosity = 512, 1, False, -1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    if lora:
        info = xllamacpp.CommonAdapterLoraInfo()
        info.path, info.scale = str(lora), 1.0
        params.lora_adapters = [info]
    server = xllamacpp.Server(params)

    def ask(question: dict[str, Any]) -> dict[str, Any]:
        answer = server.handle_completions({**question, "temperature": 0, "cache_prompt": False})
        return orjson.loads(answer) if isinstance(answer, str | bytes) else answer

    return ask
