"""A tiny random BERT as a GGUF file, which a real Ollama embeds with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
from protege.common.digest import sha256_of

HIDDEN, FEED_FORWARD, LAYERS, HEADS, CONTEXT = 64, 128, 2, 2, 128
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def write_tiny_bert(path: Path, seed: int = 0) -> Path:
    """A model that takes letters and a few words."""
    random = np.random.default_rng(seed)
    letters = [chr(code) for code in range(33, 127)]
    tokens = [*SPECIAL, *(f"\u2581{word}" for word in (*letters, "where", "parcel", "word")), *letters]
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name("tiny-bert")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(tokens) - len(SPECIAL)))
    writer.add_token_type_count(2)
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(3)
    writer.add_sep_token_id(3)
    writer.add_mask_token_id(4)
    for name, shape in _shapes(len(tokens)).items():
        norm = "norm" in name and name.endswith("weight")
        value = np.ones(shape) if norm else random.standard_normal(shape) / np.sqrt(shape[-1])
        writer.add_tensor(name, value.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (vocabulary, HIDDEN),
        "token_types.weight": (2, HIDDEN),
        "position_embd.weight": (CONTEXT, HIDDEN),
        "token_embd_norm.weight": (HIDDEN,),
        "token_embd_norm.bias": (HIDDEN,),
    }
    square = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (HIDDEN, HIDDEN))
    block = {**square, "ffn_up": (FEED_FORWARD, HIDDEN), "ffn_down": (HIDDEN, FEED_FORWARD)}
    for layer in range(LAYERS):
        for name, shape in block.items():
            shapes |= {f"blk.{layer}.{name}.weight": shape, f"blk.{layer}.{name}.bias": shape[:1]}
        for name in ("attn_output_norm", "layer_output_norm"):
            shapes |= {f"blk.{layer}.{name}.weight": (HIDDEN,), f"blk.{layer}.{name}.bias": (HIDDEN,)}
    return shapes


def give_bert(server: Any, folder: Path, model: str, seed: int = 0) -> None:
    """Give an Ollama the model under a name. folder: for its file. seed: of its weights."""
    path = write_tiny_bert(folder / f"tiny-{seed}.gguf", seed)
    client, digest = server.client(), sha256_of(path)
    client.send_blob(path, digest)
    client.create(model, digest, parameters={})
    client.close()
