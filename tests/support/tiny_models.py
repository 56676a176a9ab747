"""Tiny random models of many architectures: a folder in Hugging Face form, and the GGUF file of the same model.

Folders are made by each architecture's own config class. `to_gguf` is a converter of its own, after llama.cpp's
`convert_hf_to_gguf.py`: what it writes is compared with transformers through llama.cpp, so that a wrong map is found.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np

SPECIAL = ("<|end|>", "<|start|>")
CHAT_TEMPLATE = (
    "{% for m in messages %}<|start|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
MERGES = ("t h", "i n", "r e")

COMMON: dict[str, Any] = {
    "vocab_size": 264,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
    "bos_token_id": 1,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
"""Of every config; the vocabulary is padded to a whole number of 8."""

CONFIGS: Mapping[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {},
    "qwen2": {},
    "qwen3": {"head_dim": 16},
    "gemma2": {"head_dim": 32, "query_pre_attn_scalar": 32, "sliding_window": 64},
    "gemma3_text": {"head_dim": 32, "query_pre_attn_scalar": 32, "num_hidden_layers": 6, "sliding_window": 64},
    "phi": {"num_key_value_heads": 4, "tie_word_embeddings": False},
    "phi3": {},
    "smollm3": {"num_hidden_layers": 4},
    "granite": {
        "embedding_multiplier": 12.0,
        "attention_multiplier": 0.1,
        "residual_multiplier": 0.5,
        "logits_scaling": 4.0,
    },
    "nemotron_h": {
        "layers_block_type": ["linear_attention", "full_attention", "mlp"],
        "num_hidden_layers": 3,
        "mamba_num_heads": 8,
        "mamba_head_dim": 16,
        "ssm_state_size": 16,
        "n_groups": 2,
        "head_dim": 16,
        "expand": 2,
        "tie_word_embeddings": False,
    },
}
"""What each architecture needs beside, by its model_type."""
GGUF_NAMES = {"gemma3_text": "gemma3", "mistral": "llama", "phi": "phi2"}
"""Architectures that GGUF names otherwise."""


def write_folder(folder: Path, model_type: str, seed: int = 0, **changes: Any) -> Path:
    """A random model as a folder in Hugging Face form, with a byte-level tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(seed)
    config = AutoConfig.for_model(model_type, **{**COMMON, **CONFIGS[model_type], **changes})
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 2:  # as wide as trained ones are, so that logits are far apart
                parameter.normal_(0, parameter.shape[-1] ** -0.5)
            elif name.endswith("norm.weight") or ("layernorm" in name and name.endswith("weight")):
                parameter.add_(0.1 * torch.randn_like(parameter))
            elif name.endswith("bias") and "dt" not in name:
                parameter.normal_(0, 0.05)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def tokenizer() -> Any:
    """Byte-level BPE of a few merges."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(
        models.BPE({t: i for i, t in enumerate(vocabulary())}, [(a, b) for a, b in map(str.split, MERGES)])
    )
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL])
    fast = PreTrainedTokenizerFast(tokenizer_object=made, bos_token=SPECIAL[1], eos_token=SPECIAL[0])
    fast.chat_template = CHAT_TEMPLATE
    return fast


def vocabulary() -> list[str]:
    """The tokens by their ids."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return [*SPECIAL, *bytes_to_unicode().values(), *(merge.replace(" ", "") for merge in MERGES)]


def to_gguf(folder: Path, path: Path, kind: Any = gguf.GGMLQuantizationType.F32) -> Path:
    """The folder's model as a GGUF file. kind: of its matrices."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    architecture = GGUF_NAMES.get(config.model_type, config.model_type)
    writer = gguf.GGUFWriter(path, architecture)
    _describe(writer, architecture, config)
    names = gguf.get_tensor_name_map(_known(architecture), config.num_hidden_layers)
    for parameter, value in model.named_parameters():
        for name, array in _tensors(architecture, config, names, parameter, value.detach().float().numpy()):
            matrix = (
                array.ndim == 2 and array.shape[-1] % 32 == 0 and not name.startswith("ssm", name.rfind(".", 0, -7) + 1)
            )
            data = np.ascontiguousarray(array, dtype=np.float32)
            if matrix and kind != gguf.GGMLQuantizationType.F32:
                writer.add_tensor(name, gguf.quantize(data, kind), raw_dtype=kind)
            else:
                writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _known(architecture: str) -> Any:
    return {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}[architecture]


def _describe(writer: Any, architecture: str, config: Any) -> None:
    heads, key_values = config.num_attention_heads, config.num_key_value_heads
    head = getattr(config, "head_dim", None) or config.hidden_size // heads
    rope = getattr(config, "rope_parameters", None) or {}
    rope = rope.get("full_attention") or rope
    writer.add_name("tiny")  # llama.cpp reads the vocabularies of models of some names in ways of their own
    writer.add_license("apache-2.0")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_vocab_size(config.vocab_size)
    if architecture == "nemotron_h":
        blocks = config.layers_block_type
        writer.add_head_count_kv([key_values if block == "full_attention" else 0 for block in blocks])
        writer.add_feed_forward_length([config.intermediate_size if block == "mlp" else 0 for block in blocks])
        writer.add_ssm_conv_kernel(config.conv_kernel)
        writer.add_ssm_inner_size(config.mamba_num_heads * config.mamba_head_dim)
        writer.add_ssm_state_size(config.ssm_state_size)
        writer.add_ssm_time_step_rank(config.mamba_num_heads)
        writer.add_ssm_group_count(config.n_groups)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        writer.add_layer_norm_rms_eps(config.layer_norm_epsilon)
    else:
        writer.add_head_count_kv(key_values)
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_rope_freq_base(float(rope.get("rope_theta", 1e4)))
        writer.add_rope_dimension_count(int(head * rope.get("partial_rotary_factor", 1.0)))
    if architecture == "phi2":
        writer.add_layer_norm_eps(config.layer_norm_eps)
    elif architecture != "nemotron_h":
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if architecture in ("gemma2", "gemma3"):
        writer.add_sliding_window(config.sliding_window)
    if architecture == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if architecture == "phi3":
        writer.add_rope_scaling_orig_ctx_len(config.original_max_position_embeddings)
    if architecture == "granite":
        writer.add_embedding_scale(config.embedding_multiplier)
        writer.add_attention_scale(config.attention_multiplier)
        writer.add_residual_scale(config.residual_multiplier)
        writer.add_logit_scale(config.logits_scaling)
    tokens = vocabulary()
    padded = [*tokens, *(f"[PAD{i}]" for i in range(len(tokens), config.vocab_size))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(padded)
    writer.add_token_types(
        [*[3] * len(SPECIAL), *[1] * (len(tokens) - len(SPECIAL)), *[5] * (config.vocab_size - len(tokens))]
    )
    writer.add_token_merges(list(MERGES))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(0)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _tensors(
    architecture: str, config: Any, names: Any, parameter: str, value: np.ndarray
) -> list[tuple[str, np.ndarray]]:
    module, _, ending = parameter.rpartition(".")
    if architecture == "nemotron_h":
        return [_nemotron(config, names, parameter.replace("model.", "backbone.", 1), value)]
    name = f"{names.get_name(module)}.{ending}"
    part = name.split(".")[-2]
    if architecture in ("llama", "granite", "smollm3") and part in ("attn_q", "attn_k"):
        heads = config.num_attention_heads if part == "attn_q" else config.num_key_value_heads
        half = value.shape[0] // heads // 2
        value = value.reshape(heads, 2, half, *value.shape[1:]).swapaxes(1, 2).reshape(value.shape)
    if architecture.startswith("gemma") and part.endswith("norm"):
        value = value + 1
    return [(name, value)]


_MAMBA: Mapping[str, tuple[str, Callable[[Any, np.ndarray], np.ndarray]]] = {
    "A_log": ("ssm_a", lambda config, value: -np.exp(value).reshape(-1, 1)),
    "D": ("ssm_d", lambda config, value: value.reshape(-1, 1)),
    "dt_bias": ("ssm_dt.bias", lambda config, value: value),
    "conv1d.weight": ("ssm_conv1d.weight", lambda config, value: value.squeeze(1)),
    "norm.weight": ("ssm_norm.weight", lambda config, value: value.reshape(config.n_groups, -1)),
}


def _nemotron(config: Any, names: Any, parameter: str, value: np.ndarray) -> tuple[str, np.ndarray]:
    _, _, after = parameter.partition(".mixer.")
    if after in _MAMBA:
        name, change = _MAMBA[after]
        return f"blk.{parameter.split('.')[2]}.{name}", change(config, value)
    module, _, ending = parameter.rpartition(".")
    return f"{names.get_name(module)}.{ending}", value


_reader = functools.lru_cache(maxsize=2)(gguf.GGUFReader)
"""Reading the vocabulary of a real model takes seconds."""


def write_lora(base: Path, path: Path, seed: int, rank: int = 4, scale: float = 0.3) -> Path:
    """Random LoRA weights in llama.cpp's form, as float16, on all matrices of the layers of a GGUF file."""
    reader, random = _reader(base), np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, str(reader.fields["general.architecture"].contents()))
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(rank))
    for tensor in reader.tensors:
        if tensor.name.startswith("blk.") and len(tensor.shape) == 2:
            columns, rows = (int(n) for n in tensor.shape)
            a, b = random.normal(0, columns**-0.5, (rank, columns)), random.normal(0, scale, (rows, rank))
            writer.add_tensor(f"{tensor.name}.lora_a", a.astype(np.float16))
            writer.add_tensor(f"{tensor.name}.lora_b", b.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
