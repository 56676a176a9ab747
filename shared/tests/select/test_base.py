"""What a base on the disk says of itself, and what is refused."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from protege.chat.prompt import render
from protege.errors import BaseModelError
from protege.select import catalogue, load_base
from protege.select.models import spdx, template_of

Write = Callable[..., Path]


def test_a_gguf_file_says_what_it_is(write_gguf: Write) -> None:
    base = load_base(write_gguf())
    assert (base.name, base.format, base.architecture, base.licence) == ("Tiny", "gguf", "llama", "Apache-2.0")
    assert (base.context, base.parameters, base.bos, base.eos) == (512, 256, "<|im_start|>", ("<|im_end|>",))
    assert len(base.sha256) == 64


def test_control_tokens_are_those_that_structure_a_chat(write_gguf: Write) -> None:
    assert load_base(write_gguf()).control_tokens == ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>")


def test_an_answer_ends_with_what_the_template_ends_turns_with(write_gguf: Write) -> None:
    """Files of pre-trained models name the end of a document only."""
    assert load_base(write_gguf(eos=0)).eos == ("<|im_end|>", "<|endoftext|>")


def test_the_same_content_has_the_same_hash_and_a_change_is_seen(write_gguf: Write) -> None:
    first = load_base(write_gguf("a.gguf"))
    assert load_base(write_gguf("b.gguf")).sha256 == first.sha256
    changed = write_gguf("a.gguf", name="Other")
    assert load_base(changed).name == "Other"
    assert load_base(changed).sha256 != first.sha256


def test_a_cache_that_cannot_be_written_or_read_is_no_fault(write_gguf: Write, bare_machine: Path) -> None:
    cache = bare_machine / "cache" / "protege"
    cache.mkdir(parents=True)
    (cache / "sha256.json").write_text("{broken")
    assert load_base(write_gguf()).sha256
    assert json.loads((cache / "sha256.json").read_text())


def test_a_model_of_the_catalogue_is_known_by_its_file(write_gguf: Write) -> None:
    base = load_base(write_gguf("SmolLM2-360M-Instruct.Q8_0.gguf", name="", licence=""))
    assert (base.name, base.licence) == ("SmolLM2-360M-Instruct", "Apache-2.0")


def test_a_file_without_licence_of_an_unknown_model_has_an_unknown_one(write_gguf: Write) -> None:
    assert load_base(write_gguf(licence="")).licence == "unknown"


def test_a_gemma_without_template_gets_the_catalogues(write_gguf: Write) -> None:
    tokens = ["<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"]
    path = write_gguf(
        "gemma-3-270m-q4_k_m.gguf", "gemma3", template="", licence="gemma", tokens=tokens, types=[3] * 4, bos=0, eos=1
    )
    base = load_base(path)
    assert (base.licence, base.eos) == ("LicenseRef-Gemma", ("<end_of_turn>", "<eos>"))
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert render(base, messages) == ("<bos><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\n")
    messages = [
        {"role": "system", "content": ""},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes"},
        {"role": "user", "content": "Why"},
    ]
    assert render(base, messages) == (
        "<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nYes<end_of_turn>\n"
        "<start_of_turn>user\nWhy<end_of_turn>\n<start_of_turn>model\n"
    )


def test_phi_2s_template_is_its_cards() -> None:
    model = next(m for m in catalogue() if m.name == "phi-2")
    assert template_of(model).count("Instruct: ") == 1


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("apache-2.0", "Apache-2.0"),
        ("mit", "MIT"),
        ("gemma", "LicenseRef-Gemma"),
        ("llama3.2", "LicenseRef-Llama-3.2"),
        ("cc-by-nc-4.0", "CC-BY-NC-4.0"),
        ("my own terms", "LicenseRef-my-own-terms"),
        ("other", ""),
        ("", ""),
    ],
)
def test_licences_are_read_as_model_cards_write_them(written: str, meant: str) -> None:
    assert spdx(written) == meant


# What is refused


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match=r"There is no base model at .*gone"):
        load_base(tmp_path / "gone.gguf")


@pytest.mark.parametrize("content", [b"", b"GG", b"PK\x03\x04 a zip file"])
def test_what_is_not_gguf_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(BaseModelError, match="is not a GGUF file"):
        load_base(path)


@pytest.mark.parametrize("version", [1, 4, 50331648])
def test_other_versions_are_refused(tmp_path: Path, version: int) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(struct.pack("<4sIQQ", b"GGUF", version, 0, 0))
    with pytest.raises(BaseModelError, match=f"GGUF version {version}"):
        load_base(path)


def test_a_file_cut_off_anywhere_is_refused(write_gguf: Write, tmp_path: Path) -> None:
    whole = write_gguf().read_bytes()
    for length in range(5, len(whole) - 1, 37):
        path = tmp_path / f"{length}.gguf"
        path.write_bytes(whole[:length])
        with pytest.raises(BaseModelError, match="cut off"):
            load_base(path)


def test_noise_in_the_head_is_refused_and_never_crashes(write_gguf: Write, tmp_path: Path) -> None:
    whole = write_gguf().read_bytes()
    for at in range(8, 120, 4):
        path = tmp_path / f"{at}.gguf"
        path.write_bytes(whole[:at] + b"\xff\xff\xff\x7f" + whole[at + 4 :])
        try:
            load_base(path)
        except BaseModelError as error:
            assert error.remedy


@pytest.mark.parametrize("count", [1_001, 65_535, "many"])
def test_more_blocks_than_any_model_has_are_refused(write_gguf: Write, count: object) -> None:
    with pytest.raises(BaseModelError, match="no number of blocks"):
        load_base(write_gguf(extra={"other.block_count": count}))


def test_lora_weights_are_no_base(write_gguf: Write) -> None:
    with pytest.raises(BaseModelError, match="holds LoRA weights"):
        load_base(write_gguf(extra={"general.type": "adapter", "adapter.type": "lora"}))


def test_an_image_encoder_is_no_base(write_gguf: Write) -> None:
    with pytest.raises(BaseModelError, match="image encoder"):
        load_base(write_gguf("mmproj.gguf", "clip"))


def test_a_part_of_a_split_file_says_how_to_join_them(write_gguf: Write) -> None:
    with pytest.raises(BaseModelError, match=r"is part 2 of 3.*llama-gguf-split --merge"):
        load_base(write_gguf(extra={"split.count": 3, "split.no": 1}))


def test_a_file_of_a_vocabulary_alone_is_no_base(write_gguf: Write) -> None:
    with pytest.raises(BaseModelError, match="only metadata"):
        load_base(write_gguf(tensors=0))


def test_no_chat_template_anywhere_is_refused_with_the_remedy(write_gguf: Write) -> None:
    with pytest.raises(BaseModelError, match=r"no chat template.*gguf-new-metadata"):
        load_base(write_gguf(template=""))


# Folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models--org--Tiny" / "snapshots" / "abc"
    folder.mkdir(parents=True)
    files = {
        "config.json": {"model_type": "llama", "max_position_embeddings": 256, "eos_token_id": 2},
        "generation_config.json": {"eos_token_id": [2, 3]},
        "tokenizer_config.json": {
            "bos_token": {"content": "<s>"},
            "eos_token": "</s>",
            "chat_template": "{% for m in messages %}{{ m['content'] }}{{ eos_token }}{% endfor %}",
            "added_tokens_decoder": {
                "1": {"content": "<s>", "special": True},
                "2": {"content": "</s>", "special": True},
                "3": {"content": "<|end|>", "special": True},
                "4": {"content": "<td>", "special": False},
            },
        },
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "README.md").write_text("---\nlicense: mit\nlanguage: en\n---\n# Tiny\n")
    write_safetensors(folder / "model.safetensors", 4)
    return folder


def write_safetensors(path: Path, rows: int) -> None:
    head = json.dumps({"w": {"dtype": "F32", "shape": [rows, 8], "data_offsets": [0, rows * 32]}}).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + bytes(rows * 32))


def test_a_hugging_face_folder_says_what_it_is(folder: Path) -> None:
    base = load_base(folder)
    assert (base.name, base.format, base.architecture, base.licence) == ("Tiny", "huggingface", "llama", "MIT")
    assert (base.context, base.parameters, base.bos, base.eos) == (256, 32, "<s>", ("</s>", "<|end|>"))
    assert base.control_tokens == ("<s>", "</s>", "<|end|>")


def test_a_folders_template_may_be_a_file_or_one_of_several(folder: Path) -> None:
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["chat_template"] = [{"name": "tool_use", "template": "x"}, {"name": "default", "template": "{{ 1 }}"}]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    assert load_base(folder).chat_template == "{{ 1 }}"


def test_a_folders_hash_follows_its_weights(folder: Path, tmp_path: Path) -> None:
    before = load_base(folder).sha256
    write_safetensors(folder / "model.safetensors", 5)
    assert load_base(folder).sha256 != before


def test_a_folder_without_config_or_with_several_files_is_refused(tmp_path: Path, write_gguf: Write) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BaseModelError, match=r"neither config\.json nor a GGUF file"):
        load_base(tmp_path / "empty")
    assert load_base(write_gguf("one/model.gguf").parent).name == "Tiny"
    write_gguf("one/other.gguf")
    with pytest.raises(BaseModelError, match="2 GGUF files"):
        load_base(tmp_path / "one")


def test_a_folder_without_whole_weights_is_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(BaseModelError, match="is cut off"):
        load_base(folder)
    weights.unlink()
    with pytest.raises(BaseModelError, match="holds no weights"):
        load_base(folder)


def test_a_damaged_config_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    with pytest.raises(BaseModelError, match=r"config.json is damaged"):
        load_base(folder)


ODD: dict[str, tuple[object, ...]] = {
    "config.json": (
        {"text_config": "x"},
        {"text_config": [1]},
        {"model_type": "own", "max_position_embeddings": "x"},
        {"eos_token_id": [[]]},
    ),
    "tokenizer_config.json": (
        {"chat_template": "x", "added_tokens_decoder": 5},
        {"chat_template": "x", "added_tokens_decoder": {"a": {}}},
        {"chat_template": "x", "added_tokens_decoder": {"1": 1}},
        {"chat_template": [1]},
    ),
    "generation_config.json": ({"eos_token_id": {}},),
    "tokenizer.json": ({"added_tokens": True}, {"added_tokens": [{}]}, {"added_tokens": [{"id": None, "content": 1}]}),
    "model.safetensors": (
        [],
        "x",
        {"w": 1},
        {"w": {"shape": None, "data_offsets": [0, 0]}},
        {"w": {"shape": [-1], "data_offsets": [0, 0]}},
        {"w": {"shape": [1], "data_offsets": "x"}},
        {"w": {"shape": ["x"], "data_offsets": [0, 0]}},
    ),
}


@pytest.mark.parametrize(("file", "content"), [(file, content) for file, odd in ODD.items() for content in odd])
def test_values_that_no_model_has_are_refused_and_never_crash(folder: Path, file: str, content: object) -> None:
    if file == "tokenizer.json":  # it is looked into where the other has no tokens
        (folder / "tokenizer_config.json").write_text('{"chat_template": "x"}')
    if file == "config.json":
        (folder / "generation_config.json").unlink()
    body = json.dumps(content).encode()
    if file == "model.safetensors":
        body = struct.pack("<Q", len(body)) + body
    (folder / file).write_bytes(body)
    with pytest.raises(BaseModelError) as refused:
        load_base(folder)
    assert refused.value.remedy


def test_a_template_that_is_no_text_is_refused(folder: Path) -> None:
    (folder / "chat_template.jinja").write_bytes(b"\xff\xfe")
    with pytest.raises(BaseModelError, match="UnicodeDecodeError"):
        load_base(folder)


def test_a_link_whose_file_is_gone_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "merges.txt").symlink_to(tmp_path / "gone")
    with pytest.raises(BaseModelError, match=r"merges\.txt cannot be read"):
        load_base(folder)
