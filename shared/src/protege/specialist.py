"""Specialist: a small model taught one task; Route: the terms on which it may answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeAlias

from .common.hashing import hash_of

State: TypeAlias = Literal["candidate", "shadow", "canary", "live", "retired"]
PromptForm: TypeAlias = Literal["slots", "whole"]


@dataclass(frozen=True, slots=True)
class Base:
    """The model that a specialist is tuned from.

    path: a GGUF file, or a folder in Hugging Face form. sha256: of the file, or over the folder's weight files.
    chat_template: Jinja source, the base's own or the catalogue's. control_tokens: texts that the tokenizer reads as
    special tokens; input that holds one never reaches a specialist. eos: texts that end an answer. parameters: how many
    weights it has, 0 where unknown.
    """

    name: str
    path: str
    sha256: str
    format: Literal["gguf", "huggingface"]
    architecture: str
    licence: str
    context: int
    chat_template: str
    bos: str = ""
    eos: tuple[str, ...] = ()
    control_tokens: tuple[str, ...] = ()
    parameters: int = 0


@dataclass(frozen=True, slots=True)
class Specialist:
    """A small model taught one task.

    name: `<task name>-v<version>`. form: whether it is shown the task's slots or the whole prompt.
    files: what stands in its folder, by what it is ("lora" peft folder, "lora_gguf", "gguf" merged), relative to it.
    digests: SHA-256 of those that are files. settings: of its tuning. lineage: the data set's hashes and counts.
    report: the evaluation's figures, None until it was evaluated. max_tokens: the longest answer it may give.
    serve_as: as LoRA weights over the base, or merged with it; engine: the one that Protégé brings along, or Ollama. A
    threshold holds for what it was certified on. imported: where Ollama has it (`serve.ollama_models.Imported`).
    """

    id: str
    name: str
    task_id: str
    version: int
    base: Base
    form: PromptForm
    state: State = "candidate"
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    digests: Mapping[str, str] = field(default_factory=dict[str, str])
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    lineage: Mapping[str, Any] = field(default_factory=dict[str, Any])
    report: Mapping[str, Any] | None = None
    max_tokens: int = 256
    serve_as: Literal["lora", "merged"] = "merged"
    engine: Literal["embedded", "ollama"] = "embedded"
    imported: Mapping[str, Any] = field(default_factory=dict[str, Any])
    created: float = 0.0

    @property
    def answers(self) -> bool:
        """Whether it answers agents, all of its task's calls or a share."""
        return self.state in ("canary", "live")

    def to_record(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Specialist:
        plain = dict(record)
        base = dict(record["base"])
        for name in ("eos", "control_tokens"):
            base[name] = tuple(base[name])
        plain["base"] = Base(**base)
        return cls(**plain)


@dataclass(frozen=True, slots=True)
class Route:
    """A task's specialist, its threshold, what that was calibrated on, and its share of the traffic.

    threshold: an answer is kept when its confidence is at least this. fingerprint: engine, version, files and options
    whose log-probabilities the threshold was calibrated on; any other is refused.
    epsilon, delta: P(disagreement among kept > epsilon) ≤ delta. calibration_calls, kept, errors: the counts behind it.
    signatures: the wordings of the prompt that calibration saw. share: 0 to 1, by hash of run. audit: the share of its
    calls, drawn at random, that the teacher answers as well, so that they can be compared.
    scorer: how its confidence is made of an answer's features (`evaluate.Scorer`); None: the probability of
    the whole answer. teachers: the models whose answers calibration compared with. labels: the shares of a label task's
    answers there. grader: what its policy said that the same answer means.

    Of the second in a cascade: after: the id of the specialist that is asked before it. below: asked where the answer
    of that one cannot be kept, or its confidence is less than this. rests_on: the identity of that one's route, on
    which all this was certified. takes_s: an answer takes so long at the 95th percentile; with less time left it is not
    asked. delta: of both together, P(disagreement among all that both keep > epsilon) ≤ delta.
    """

    task_id: str
    specialist_id: str
    threshold: float
    fingerprint: str
    epsilon: float
    delta: float
    calibration_calls: int
    kept: int
    errors: int
    signatures: tuple[str, ...] = ()
    share: float = 1.0
    timeout_s: float = 10.0
    audit: float = 0.0
    scorer: Mapping[str, Any] | None = None
    teachers: tuple[str, ...] = ()
    labels: Mapping[str, float] = field(default_factory=dict[str, float])
    grader: str = ""
    after: str = ""
    below: float = 0.0
    rests_on: str = ""
    takes_s: float = 0.0

    @property
    def identity(self) -> str:
        """A hash of what was certified: the same whatever its share, audits and time-out are."""
        return hash_of(replace(self, share=1.0, audit=0.0, timeout_s=0.0))

    def to_record(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Route:
        plain = dict(record)
        for name in ("signatures", "teachers"):
            plain[name] = tuple(record.get(name, ()))
        return cls(**plain)
