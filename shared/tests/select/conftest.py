"""Tiny GGUF files and folders, and a machine with nothing on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No base of the person who runs the tests is seen, and nothing is written into that person's cache."""
    empty = tmp_path / "nobody"
    monkeypatch.setenv("HOME", str(empty))
    monkeypatch.setenv("XDG_CACHE_HOME", str(empty / "cache"))
    for name in ("PROTEGE_BASE", "OLLAMA_MODELS", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("protege.select.find._package", lambda: iter(()))
    return empty


@pytest.fixture
def write_gguf(tmp_path: Path) -> Callable[..., Path]:
    """Writes a GGUF file of one tensor; keywords overrule its metadata, None leaves a key out."""

    def write(file: str = "model.gguf", architecture: str = "llama", tensors: int = 1, **metadata: object) -> Path:
        from gguf import GGUFWriter

        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        given = {
            "name": "Tiny",
            "licence": "apache-2.0",
            "template": CHATML,
            "tokens": ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "<table>", "<unused7>", "a"],
            "types": [3, 3, 3, 4, 4, 3, 1],
            "bos": 1,
            "eos": 2,
            "context": 512,
            "shape": (8, 32),
            **metadata,
        }
        writer = GGUFWriter(path, architecture)
        if given["name"]:
            writer.add_name(str(given["name"]))
        if given["licence"]:
            writer.add_license(str(given["licence"]))
        if given["template"]:
            writer.add_chat_template(str(given["template"]))
        writer.add_context_length(given["context"])
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list(given["tokens"])
        writer.add_token_types(given["types"])
        if given["bos"] is not None:
            writer.add_bos_token_id(given["bos"])
        writer.add_eos_token_id(given["eos"])
        for key, value in dict(given.get("extra") or {}).items():
            writer.add_string(key, value) if isinstance(value, str) else writer.add_uint16(key, value)
        for i in range(tensors):
            writer.add_tensor(f"blk.{i}.attn_q.weight", np.zeros(given["shape"], dtype=np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return write


@pytest.fixture
def write_model(tmp_path: Path) -> Callable[..., Path]:
    """Writes a whole Llama of one layer with a vocabulary of bytes, random weights by `seed`."""

    def write(file: str = "whole.gguf", width: int = 32, seed: int = 0) -> Path:
        from gguf import GGUFWriter

        weights = np.random.default_rng(seed)
        tokens = [*_byte_texts(), "<|endoftext|>", "<|im_start|>", "<|im_end|>", "th"]
        path = tmp_path / file
        writer = GGUFWriter(path, "llama")
        writer.add_name(path.stem)
        writer.add_license("mit")
        writer.add_context_length(512)
        writer.add_embedding_length(width)
        writer.add_block_count(1)
        writer.add_feed_forward_length(2 * width)
        writer.add_head_count(2)
        writer.add_head_count_kv(1)
        writer.add_rope_dimension_count(width // 2)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_vocab_size(len(tokens))
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("smollm")
        writer.add_token_list(tokens)
        writer.add_token_types([1] * 256 + [3] * 3 + [1])
        writer.add_token_merges(["t h"])
        writer.add_bos_token_id(257)
        writer.add_eos_token_id(258)
        writer.add_unk_token_id(256)
        writer.add_chat_template(CHATML)
        shapes = {
            "token_embd": (len(tokens), width),
            "output_norm": (width,),
            "blk.0.attn_norm": (width,),
            "blk.0.attn_q": (width, width),
            "blk.0.attn_k": (width // 2, width),
            "blk.0.attn_v": (width // 2, width),
            "blk.0.attn_output": (width, width),
            "blk.0.ffn_norm": (width,),
            "blk.0.ffn_gate": (2 * width, width),
            "blk.0.ffn_up": (2 * width, width),
            "blk.0.ffn_down": (width, 2 * width),
        }
        for name, shape in shapes.items():
            values = np.ones(shape) if "norm" in name else weights.normal(0, 0.1, shape)
            writer.add_tensor(f"{name}.weight", values.astype(np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return write


def _byte_texts() -> list[str]:
    """The printable characters that stand for bytes in a byte-level vocabulary (as GPT-2's does)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    stand_in = {byte: chr(byte) for byte in plain} | {byte: chr(256 + i) for i, byte in enumerate(others)}
    return [stand_in[byte] for byte in range(256)]
