"""Read a base model in Hugging Face form: config.json, the tokenizer's files, and weights as safetensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from ..common.digest import sha256_of_all
from ..errors import BaseModelError
from ..gguf.safetensors import stored_tensors
from ..specialist import Base
from .models import model_of
from .tokens import chat_template, control_tokens, ends, licence_of

_MOST_JSON = 128 << 20
"""Bytes. The largest known is a tokenizer.json of 33 MB."""
_AGAIN = "Fetch the whole snapshot again: hf download ORGANISATION/MODEL"


def load_folder(folder: Path) -> Base:
    """Read what the folder holds.

    Raises BaseModelError if there are no weights or no chat template, or if a file is cut off, damaged, or holds
    values that no model has.
    """
    try:
        return _read(folder)
    except (AttributeError, LookupError, OSError, OverflowError, TypeError, ValueError) as error:
        # A folder may come from anywhere: each value in its files may be of any type.
        raise BaseModelError(f"The folder {folder} is damaged, or no model ({type(error).__name__}).", _AGAIN) from None


def _read(folder: Path) -> Base:
    config = _json(folder / "config.json")
    text = config.get("text_config") or config
    tokenizer = _json(folder / "tokenizer_config.json")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise BaseModelError(f"The folder {folder} holds no weights (*.safetensors).", _AGAIN)
    if (folder / "adapter_config.json").exists():
        raise BaseModelError(f"{folder} holds LoRA weights, not a model.", "Give the model that they were trained on.")
    names = (_published_name(folder), str(config.get("_name_or_path", "")))
    model = model_of(*names)
    template = chat_template(folder, _template(folder, tokenizer), model)
    added = list(_added_tokens(folder, tokenizer))
    control = control_tokens((content, special, 4) for _, content, special in added)
    by_id = {position: content for position, content, _ in added}
    eos = [by_id.get(position, "") for position in _eos_ids(folder, config)]
    return Base(
        name=model.name if model else names[0],
        path=str(folder),
        sha256=sha256_of_all(weights),
        format="huggingface",
        architecture=str(config.get("model_type", "")),
        licence=licence_of(_card_licence(folder), model),
        context=int(text.get("max_position_embeddings") or (model.context if model else 2048)),
        chat_template=template,
        bos=_content(tokenizer.get("bos_token")),
        eos=ends(template, control, [_content(tokenizer.get("eos_token")), *eos]),
        control_tokens=control,
        parameters=sum(tensor.numbers for file in weights for tensor in stored_tensors(file)),
    )


def _published_name(folder: Path) -> str:
    """The repository's name if the folder is a snapshot in the Hub's cache, else the folder's own name."""
    repository = folder.parent.parent.name
    return repository.rsplit("--", 1)[-1] if repository.startswith("models--") else folder.name


def _json(file: Path) -> dict[str, Any]:
    """The JSON object in a file; empty if there is no such file."""
    if not file.exists():
        return {}
    if file.stat().st_size > _MOST_JSON:
        raise BaseModelError(f"{file} is larger than {_MOST_JSON >> 20} MB.", _AGAIN)
    try:
        document = orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        raise BaseModelError(f"{file} is damaged.", _AGAIN) from None
    return document if isinstance(document, dict) else {}


def _template(folder: Path, tokenizer: Mapping[str, Any]) -> str:
    file = folder / "chat_template.jinja"
    if file.exists():
        return file.read_text(encoding="utf-8")
    own = tokenizer.get("chat_template") or ""
    if isinstance(own, list):  # several templates, each with a name
        own = {entry.get("name"): entry.get("template") for entry in own}.get("default", "")
    return str(own)


def _content(token: Any) -> str:
    return str(token.get("content", "")) if isinstance(token, Mapping) else str(token or "")


def _added_tokens(folder: Path, tokenizer: Mapping[str, Any]) -> Iterator[tuple[int, str, bool]]:
    """The tokens that were added to the vocabulary: id, text, and whether each is special."""
    for position, token in (tokenizer.get("added_tokens_decoder") or {}).items():
        yield int(position), str(token.get("content", "")), bool(token.get("special"))
    if not tokenizer.get("added_tokens_decoder"):
        for token in _json(folder / "tokenizer.json").get("added_tokens") or ():
            yield int(token["id"]), str(token["content"]), bool(token.get("special"))


def _eos_ids(folder: Path, config: Mapping[str, Any]) -> list[int]:
    ids = _json(folder / "generation_config.json").get("eos_token_id", config.get("eos_token_id"))
    return ids if isinstance(ids, list) else [] if ids is None else [ids]


def _card_licence(folder: Path) -> str:
    """The licence in the front matter of the model card."""
    try:
        lines = (folder / "README.md").read_text(encoding="utf-8", errors="replace").splitlines()[:80]
    except OSError:
        return ""
    stated = {key.strip(): value.strip(" \"'") for key, _, value in (line.partition(":") for line in lines)}
    licence = stated.get("license", "")
    return stated.get("license_name", "") if licence == "other" else licence
