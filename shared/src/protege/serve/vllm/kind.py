"""vLLM as a kind of engine: LoRA weights over the one base of a server that its user runs.

    VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 VLLM_PLUGINS=lora_filesystem_resolver \\
    VLLM_LORA_RESOLVER_CACHE_DIR=DIR vllm serve FOLDER --enable-lora --max-lora-rank 16

PROTEGE_VLLM_LORAS names the same DIR here. A specialist is placed by a folder in it, which vLLM loads at its first
question; vLLM's administration, by which anybody could load anything, is not used.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from ...common.digest import sha256_of
from ...common.finding import Finding
from ...common.progress import Progress
from ...common.variables import VLLM as ADDRESS
from ...errors import BadInput, BaseModelError, EngineError, NotServed, ProtegeError, ResourceError
from ...specialist import ServeAs, Specialist
from ..engine import Completion
from ..kind import EngineKind
from .client import Client, address

if TYPE_CHECKING:
    from ...workspace import Workspace

NAME = "vllm"
LORAS = "PROTEGE_VLLM_LORAS"
"""Environment variable: the folder that vLLM's filesystem resolver looks into."""
FILES = ("adapter_config.json", "adapter_model.safetensors")
LOAD_S = 120.0
_PART = re.compile(r"[A-Za-z0-9._-]{1,200}")


class VllmEngine:
    """Asks each specialist where it was placed. Makes no connection before the first question."""

    name = NAME
    tells_end = True

    def __init__(self) -> None:
        self._clients: dict[str, Client] = {}

    def fingerprint(self, specialist: Specialist) -> str:
        """Over engine, version, base, context and weights, as they are now. Raises NotServed, EngineError."""
        where = placed(specialist)
        client = self._client(where["address"])
        base, root, context = client.base()
        if (base, root) != (where["base"], where["root"]):
            raise NotServed(f"The vLLM at {client.url} serves another base now.", "`protege improve` again.")
        made_of = [NAME, client.version(), base, root, context, specialist.base.sha256, where["weights"]]
        return hashlib.sha256(orjson.dumps(made_of)).hexdigest()

    def complete(self, specialist: Specialist, prompt: str, *, timeout_s: float) -> Completion:
        """As `Engine.complete`."""
        where = placed(specialist)
        bos, ends = specialist.base.bos, specialist.base.eos
        prompt = prompt.removeprefix(bos) if where["adds_tokens"] and bos else prompt
        client = self._client(where["address"])
        return client.complete(where["model"], prompt, ends, max_tokens=specialist.max_tokens, timeout_s=timeout_s)

    def answers(self, url: str) -> bool:
        """Whether the server is there."""
        try:
            self._client(url).version(1.0)
        except EngineError:
            return False
        return True

    def close(self) -> None:
        """Give the connections back."""
        for client in self._clients.values():
            client.close()

    def _client(self, url: str) -> Client:
        return self._clients.setdefault(url, Client(url))


class VllmKind(EngineKind):
    """A vLLM server: only where it is asked for, since nobody's GPU is taken unasked."""

    name = NAME
    title = "vLLM"

    def check(self, serve_as: ServeAs) -> None:
        """It must answer, and be asked for LoRA weights."""
        if serve_as != "lora":
            raise BadInput("vLLM serves LoRA weights over its base.", "Add --serve-as lora.")
        _folder()
        with contextlib.closing(Client(address())) as client:
            client.version()

    def place(
        self, workspace: Workspace, specialist: Specialist, *, keep_alive: str, progress: Progress | None = None
    ) -> Specialist:
        """A folder of its weights where vLLM looks for them, and one question, at which it loads them."""
        model = f"protege-{workspace.id}-{specialist.id}"
        weights, target = _weights(workspace, specialist), _folder() / model
        with contextlib.closing(Client(address())) as client:
            base, root, context = client.base()
            _check_base(specialist, root)
            adds_tokens = client.adds_tokens(base)
            _copy(weights, target, base)
            where = {
                "address": client.url,
                "model": model,
                "base": base,
                "root": root,
                "context": context,
                "weights": sha256_of(weights / FILES[1]),
                "adds_tokens": adds_tokens,
            }
            try:
                client.complete(model, "x", specialist.base.eos, max_tokens=1, timeout_s=LOAD_S)
            except EngineError:
                shutil.rmtree(target, ignore_errors=True)
                raise
        return specialist.placed_in(NAME, where)

    def open(self, workspace: Workspace, specialist: Specialist) -> VllmEngine:
        """Connections to where it was placed."""
        engine = VllmEngine()
        try:
            engine.fingerprint(specialist)
        except EngineError:
            engine.close()
            raise
        return engine

    def bring_back(
        self, workspace: Workspace, specialist: Specialist, calibrated: str, *, load: bool = True
    ) -> Specialist:
        """Its folder copied anew where someone removed it. Raises EngineError where the server is another."""
        if not (_folder() / placed(specialist)["model"] / FILES[1]).is_file():
            specialist = self.place(workspace, specialist, keep_alive="")
        with contextlib.closing(VllmEngine()) as engine:
            if engine.fingerprint(specialist) != calibrated:
                raise EngineError(
                    f"The threshold of {specialist.name} was calibrated on another vLLM.",
                    "`protege improve` calibrates it again.",
                )
        return specialist

    def remove(self, workspace: Workspace, specialist: Specialist) -> bool:
        """Its folder deleted. vLLM keeps the weights in memory until others take their place."""
        model = placed(specialist)["model"]
        try:
            if _PART.fullmatch(model) and model.startswith(f"protege-{workspace.id}-"):
                shutil.rmtree(_folder() / model, ignore_errors=True)
        except ProtegeError:
            return False
        return True

    def access(self, home: Path, address: str) -> VllmAccess:
        """Straight to the server."""
        return VllmAccess(address)

    def findings(self, home: Path) -> Iterator[Finding]:
        """The server that would be used; nothing where nobody named one."""
        if ADDRESS not in os.environ:
            return
        try:
            with contextlib.closing(Client(address())) as client:
                base, root, context = client.base(1.0)
                yield Finding(NAME, True, f"{client.version(1.0)} at {client.url}: {base} ({root}), {context} tokens")
        except ProtegeError as error:
            yield Finding(NAME, False, error.fact, error.remedy)


class VllmAccess:
    """An agent's way to a vLLM, which only its user starts."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._engines: dict[int, VllmEngine] = {}

    def connect(self) -> VllmEngine | None:
        """The same engine each time, one a process."""
        engine = self._engines.setdefault(os.getpid(), VllmEngine())
        return engine if engine.answers(self._address) else None

    def start(self) -> None:
        """Nothing: it is the user's to start."""


def placed(specialist: Specialist) -> dict[str, Any]:
    """Where vLLM has the specialist. Raises NotServed if it was never brought there."""
    if NAME not in specialist.placed:
        raise NotServed(f"{specialist.name} is not in vLLM.", "`protege improve --engine vllm` brings it there.")
    return dict(specialist.placed[NAME])


def _folder() -> Path:
    named = os.environ.get(LORAS, "")
    if not named or not Path(named).is_dir():
        raise BadInput(
            f"{LORAS} names no folder.", "Name the one that vLLM was started with as VLLM_LORA_RESOLVER_CACHE_DIR."
        )
    return Path(named)


def _weights(workspace: Workspace, specialist: Specialist) -> Path:
    folder = workspace.specialist_folder(specialist) / specialist.files.get("lora", "lora")
    if "lora" not in specialist.files or not all((folder / name).is_file() for name in FILES):
        raise BaseModelError(f"{specialist.name} has no LoRA weights in peft's form.", "`protege improve` again.")
    return folder


def _check_base(specialist: Specialist, root: str) -> None:
    if specialist.base.format != "huggingface":
        raise BaseModelError(
            f"{specialist.base.name} is a GGUF file; vLLM serves folders.", "Tune from its Hugging Face folder."
        )
    if Path(root).absolute() != Path(specialist.base.path):
        raise EngineError(
            f"That vLLM serves {root}, not {specialist.base.path}.", f"vllm serve {specialist.base.path} --enable-lora"
        )


def _copy(weights: Path, target: Path, base: str) -> None:
    """The weights, whole or not at all, their settings naming the base as the server does: it looks at that."""
    partial = target.with_name(f".{target.name}.part")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o755)
        shutil.copyfile(weights / FILES[1], partial / FILES[1])
        config = orjson.loads((weights / FILES[0]).read_bytes())
        (partial / FILES[0]).write_bytes(orjson.dumps({**config, "base_model_name_or_path": base}))
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise ResourceError(f"{target} cannot be written: {error.strerror}.", f"Let this user write {LORAS}.") from None
