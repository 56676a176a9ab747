"""A base as a model and tokenizer of transformers, and as the text that both sides tokenise alike."""

from __future__ import annotations

import contextlib
import functools
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from ..common.digest import sha256_of
from ..errors import BaseModelError
from ..gguf.names import field, open_gguf
from ..gguf.reading import read_once
from ..select.ways import own_code, way_of
from ..specialist import Base


def check_base(base: Base) -> None:
    """Raise BaseModelError if the base is missing, is not what it says, or cannot be tuned."""
    path = Path(base.path)
    if not path.exists():
        raise BaseModelError(f"The base model {path} does not exist.", "Choose another, or fetch it again.")
    if base.format == "huggingface":
        check_folder(base)
        return
    if not path.is_file() or _magic(path) != b"GGUF":
        raise BaseModelError(f"{path} is not a GGUF file.", "Give a .gguf file, or a folder in Hugging Face form.")
    way_of(base)


def check_folder(base: Base) -> None:
    """Raise BaseModelError if a folder is none, needs code of its own, or its GGUF file is another than it was."""
    path = Path(base.path)
    if not (path / "config.json").is_file():
        raise BaseModelError(f"{path} holds no config.json.", "Give a model folder in Hugging Face form.")
    if reason := own_code(base):
        raise BaseModelError(f"{base.name} cannot be tuned: {reason}.", "Choose another base.")
    if base.gguf and not (Path(base.gguf).is_file() and sha256_of(Path(base.gguf)) == base.gguf_sha256):
        raise BaseModelError(
            f"{base.gguf}, by which {base.name} is written as GGUF, is gone or another file.", "Fetch it again."
        )


def load_model(base: Base, dtype: torch.dtype, **options: Any) -> PreTrainedModel:
    """The base with its weights in `dtype`. Raises BaseModelError if the file does not hold the whole model."""
    if base.format == "gguf":
        options["quantization_config"] = GgufConfig(dequantize=True)
    else:
        options["use_safetensors"] = True  # other files of weights are pickles, which can run code
    loaded: Any
    # One of the bars that loading draws has no switch.
    with quiet(), contextlib.redirect_stderr(io.StringIO()), reading(base):
        check_base(base)
        try:
            loaded = AutoModelForCausalLM.from_pretrained(
                **_where(base), dtype=dtype, output_loading_info=True, **NO_CODE, **options
            )
        except Exception as error:  # of a damaged file the libraries raise whatever
            raise BaseModelError(f"{base.path} cannot be loaded ({type(error).__name__}).", _AGAIN) from error
    model, loading = loaded
    if loading["missing_keys"] or loading["mismatched_keys"]:
        raise BaseModelError(f"{base.path} does not hold all of the model's weights.", _AGAIN)
    model.config.use_cache = False
    return model


def reading(base: Base) -> contextlib.AbstractContextManager[None]:
    """Within this, the base's file is read once."""
    return read_once() if base.format == "gguf" else contextlib.nullcontext()


def load_tokenizer(base: Base) -> PreTrainedTokenizerBase:
    """The base's own tokenizer. Raises BaseModelError if the file holds none that is known."""
    with quiet(), reading(base):
        try:
            return AutoTokenizer.from_pretrained(**_where(base), **NO_CODE)
        except Exception as error:  # as above; tokenizers raises bare exceptions
            raise BaseModelError(f"{base.path} holds no tokenizer that is known here.", _AGAIN) from error


NO_CODE: Mapping[str, Any] = {"trust_remote_code": False, "local_files_only": True}
"""No code of a model's is run, and nothing is downloaded."""

_AGAIN = "Fetch the file again, or choose another base."


class Encoder:
    """Text as the tokens that llama.cpp's server makes of it.

    Prompt and answer are tokenised apart: the server is sent the prompt alone and generates from there.
    """

    def __init__(self, base: Base) -> None:
        self.tokenizer = load_tokenizer(base)
        self._bos = _first_tokens(base, self.tokenizer)
        ends = [self._one(text) for text in base.eos]
        if not ends or None in ends:
            raise BaseModelError(f"The end of turn of {base.name} is not one token.", "Choose another base.")
        self.end_ids: list[int] = [end for end in ends if end is not None]

    @property
    def pad_id(self) -> int:
        return self.end_ids[0]

    def prompt(self, text: str) -> list[int]:
        """Special tokens in the text are read as such: it comes from `chat.prompt.render`.

        The begin token stands there once, whether the template wrote it or the tokenizer puts it there, or both.
        """
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids if ids[: len(self._bos)] == self._bos else [*self._bos, *ids]

    def answer(self, text: str) -> list[int]:
        """The answer and the token that ends the turn."""
        return [*self.tokenizer(text, add_special_tokens=False)["input_ids"], self.end_ids[0]]

    def ids_of(self, tokens: Sequence[str]) -> list[int] | None:
        """The ids of tokens by their texts; None if one of them is none, such as a part of a character."""
        ids = [self._id_of(token) for token in tokens]
        return None if None in ids else [i for i in ids if i is not None]

    def _id_of(self, token: str) -> int | None:
        vocabulary = self._vocabulary
        spelt = _byte_level(token) if "\u0120" in vocabulary else token.replace(" ", "\u2581")
        return vocabulary.get(spelt)

    @functools.cached_property
    def _vocabulary(self) -> Mapping[str, int]:
        return self.tokenizer.get_vocab()

    def text(self, ids: list[int]) -> str:
        """The text of generated tokens, without those that end a turn."""
        return str(self.tokenizer.decode([i for i in ids if i not in self.end_ids], skip_special_tokens=False))

    def _one(self, text: str) -> int | None:
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids[0] if len(ids) == 1 else None


def _byte_level(text: str) -> str:
    """A text as byte-level vocabularies spell it: each byte a character that can be printed (Radford et al., 2019)."""
    return "".join(_SPELT[byte] for byte in text.encode("utf-8", "surrogatepass"))


_PRINTED = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_OTHERS = [byte for byte in range(256) if byte not in _PRINTED]
_SPELT = {**{byte: chr(byte) for byte in _PRINTED}, **{byte: chr(256 + i) for i, byte in enumerate(_OTHERS)}}


def compute_dtype() -> torch.dtype:
    """bf16 where the processor computes in it natively (elsewhere it is emulated, and slower), else float32."""
    if torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capability = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        native = bool(capability.get("avx512_bf16") or capability.get("amx_bf16") or capability.get("bf16"))
    return torch.bfloat16 if native else torch.float32


def _where(base: Base) -> dict[str, str]:
    if base.format == "huggingface":
        return {"pretrained_model_name_or_path": base.path}
    path = Path(base.path)
    return {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}


def _first_tokens(base: Base, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """What llama.cpp puts before every prompt: the begin token, if the file says so.

    Without the key its default holds: yes for SentencePiece vocabularies ("llama"), no for byte-level ones.
    """
    if base.format == "huggingface":
        ids = tokenizer("")["input_ids"]
        return list(ids) if ids and ids[0] == tokenizer.bos_token_id else []
    reader = open_gguf(Path(base.path))
    sentencepiece = field(reader, "tokenizer.ggml.model") == "llama"
    bos = field(reader, "tokenizer.ggml.bos_token_id")
    return [int(bos)] if field(reader, "tokenizer.ggml.add_bos_token", sentencepiece) and bos is not None else []


def _magic(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The libraries' warnings and bars kept off stdout and stderr, which are the command's."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
