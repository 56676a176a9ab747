"""Specialist: a small model taught one task; Route: the conditions on which it may answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, TypeAlias

from .common.hashing import hash_of

State: TypeAlias = Literal["candidate", "shadow", "canary", "live", "retired"]
PromptForm: TypeAlias = Literal["slots", "whole"]
ServeAs: TypeAlias = Literal["lora", "merged", "head"]
Proof: TypeAlias = Literal["held-out", "owed", "shadow"]
"""What shows a route's promise: the held-out calls; nothing yet ("owed": its shadow is to); or its shadow's calls."""

TIMEOUT_S = 10.0
"""An agent waits so long for a specialist, unless a policy says otherwise."""
EMBEDDED = "embedded"
"""The engine that Protégé brings along, to which a specialist belongs until it is placed elsewhere."""


@dataclass(frozen=True, slots=True)
class Base:
    """The model that a specialist is tuned from."""

    name: str
    """As its file, or the catalogue, names it."""
    path: str
    """A GGUF file, or a folder in Hugging Face form; "" where it is no model."""
    sha256: str
    """Hex; of the file, or over the folder's weight files."""
    format: Literal["gguf", "huggingface", "features"]
    """What `path` is. "features": there is no model, and a head learns from n-grams of the prompt."""
    architecture: str
    """As GGUF names it: "llama", "qwen2", …"""
    licence: str
    """Of its weights."""
    context: int
    """Tokens of a prompt and its answer at most; 0 if unknown."""
    chat_template: str
    """Jinja source, the base's own or the catalogue's."""
    bos: str = ""
    """The text of the token that begins a prompt."""
    eos: tuple[str, ...] = ()
    """Texts that end an answer."""
    control_tokens: tuple[str, ...] = ()
    """Texts that the tokenizer reads as special tokens. Input that holds one never reaches a specialist."""
    parameters: int = 0
    """Number of weights; 0 if unknown."""
    gguf: str = ""
    """Of a folder: the GGUF file of the same model on this machine, which its tuned model is written by; "" if there is
    none."""
    gguf_sha256: str = ""
    """Hex; of that file."""

    @property
    def served_from(self) -> tuple[str, str]:
        """The file that LoRA weights in GGUF form go over, and its SHA-256."""
        return (self.gguf, self.gguf_sha256) if self.gguf else (self.path, self.sha256)


@dataclass(frozen=True, slots=True)
class Specialist:
    """A small model taught one task."""

    id: str
    """A hash of what it was made from."""
    name: str
    """`<task name>-v<version>`."""
    task_id: str
    """The task that it was taught."""
    version: int
    """Counts the task's specialists, from 1."""
    base: Base
    """The model that it was tuned from."""
    form: PromptForm
    """Whether it is shown the task's slots or the whole prompt."""
    state: State = "candidate"
    """How far it has come on its way to answering agents."""
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """Paths relative to its folder, by what they are: "lora" (peft's folder), "lora_gguf", "gguf" (merged), …"""
    digests: Mapping[str, str] = field(default_factory=dict[str, str])
    """SHA-256 (hex) of those of `files` that are files and not folders."""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Of its tuning: the fields of `tune.TuneSettings`."""
    lineage: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Hashes and counts of its data set and base, and versions of libraries."""
    report: Mapping[str, Any] | None = None
    """The figures of its evaluation; None until it was evaluated."""
    max_tokens: int = 256
    """Tokens that an answer may have at most."""
    serve_as: ServeAs = "merged"
    """As LoRA weights over the base, merged with it, or as a head, which needs no model. A threshold holds for the one
    that it was certified on."""
    engine: str = EMBEDDED
    """The kind of engine that serves it (`serve.engine_names`). A threshold holds for the one it was certified on."""
    placed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """Where engines have it, by kind of engine; what stands there is the kind's own. See `address`."""
    created: float = 0.0
    """Seconds since 1970."""
    copied: tuple[str, ...] = ()
    """Arguments ("tool.argument") and fields of its answers whose values must stand in the conversation: the teacher
    copied them in every answer that it was taught by (`chat.copied`)."""
    second_opinion: Mapping[str, Any] | None = None
    """Where the head is whose opinion of its answers may enter its confidence (`serve.opinion`); None without one."""

    @property
    def answers(self) -> bool:
        """Whether it answers agents, all of its task's calls or a share."""
        return self.state in ("canary", "live")

    @property
    def address(self) -> str:
        """Where its engine is, as that wrote it down under "address"; "" for one that the home folder leads to."""
        return str(self.placed.get(self.engine, {}).get("address", ""))

    def placed_in(self, engine: str, where: Mapping[str, Any] | None = None) -> Specialist:
        """It, belonging to this kind of engine, which has it `where`; None: where it has been, if it was there."""
        placed = self.placed if where is None else {**self.placed, engine: dict(where)}
        return replace(self, engine=engine, placed=placed)

    def taken_from(self, engine: str) -> Specialist:
        """It, where this kind of engine has it no more."""
        return replace(self, placed={name: where for name, where in self.placed.items() if name != engine})

    def to_record(self) -> dict[str, Any]:
        """The fields, as JSON can hold them."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Specialist:
        """From what `to_record` gave, in this version or an earlier one. Raises KeyError and TypeError."""
        plain = dict(record)
        base = dict(record["base"])
        for name in ("eos", "control_tokens"):
            base[name] = tuple(base[name])
        in_base = {known.name for known in fields(Base)}  # a newer version may have written more
        plain["base"] = Base(**{name: value for name, value in base.items() if name in in_base})
        plain["copied"] = tuple(record.get("copied", ()))
        in_ollama = plain.pop("imported", None)  # as it was written until `placed` took its place
        if in_ollama:
            plain["placed"] = {"ollama": in_ollama, **plain.get("placed", {})}
        known = {known.name for known in fields(cls)}  # a newer version may have written more
        return cls(**{name: value for name, value in plain.items() if name in known})


@dataclass(frozen=True, slots=True)
class Route:
    """A task's specialist, its threshold, what that was calibrated on, and its share of the traffic.

    The four fields from `after` on are of the second specialist in a cascade, which is asked what the first hands back.
    """

    task_id: str
    """The task whose calls it is asked."""
    specialist_id: str
    """The specialist that is asked."""
    threshold: float
    """An answer is kept when its confidence is at least this."""
    fingerprint: str
    """The engine, version, files and options whose log-probabilities the threshold was calibrated on; any other is
    refused."""
    epsilon: float
    """The promise: P(disagreement among kept answers > epsilon) ≤ delta."""
    delta: float
    """See `epsilon`. In a cascade the second's is of both together, over all answers that either keeps."""
    calibration_calls: int
    """Calls that the threshold was calibrated on."""
    kept: int
    """Of those, the calls whose answer the threshold keeps."""
    errors: int
    """Of the kept, the answers that disagree with the teacher's."""
    signatures: tuple[str, ...] = ()
    """The wordings of the prompt that calibration saw."""
    share: float = 1.0
    """Of the runs, 0 to 1, by a hash of the run."""
    timeout_s: float = TIMEOUT_S
    """Seconds that an agent waits at most."""
    audit: float = 0.0
    """The share of its calls, drawn at random, that the teacher answers too, so that they can be compared."""
    scorer: Mapping[str, Any] | None = None
    """How confidence is made of an answer's features (`asking.confidence.Scorer`); None: the whole answer's
    probability."""
    teachers: tuple[str, ...] = ()
    """The models whose answers calibration compared with."""
    labels: Mapping[str, float] = field(default_factory=dict[str, float])
    """The shares of a label task's answers in calibration."""
    grader: str = ""
    """The grader that the task's policy named; "" for that of its kind of output."""
    after: str = ""
    """The id of the specialist that is asked before it; "" for the first."""
    below: float = 0.0
    """It is asked where the first one's answer cannot be kept, or its confidence is less than this."""
    rests_on: str = ""
    """The `identity` of the first one's route, on which all this was certified."""
    takes_s: float = 0.0
    """Seconds that an answer takes at the 95th percentile. With less time left, the second of a cascade is not asked;
    and before an engine has shown its pace, this tells how many calls may wait for it (`route.pace`)."""
    epsilon_all: float | None = None
    """Of all calls at most this share is kept and wrong, at the same δ; None if nothing is promised of all calls."""
    proof: Proof = "held-out"
    """What shows the promise. Where the shadow showed it, the three counts are of the calls asked there."""

    @property
    def identity(self) -> str:
        """A hash of what was certified: the same whatever its share, audits and times are."""
        return hash_of(replace(self, share=1.0, audit=0.0, timeout_s=0.0, takes_s=0.0))

    def covers(self, wording: str) -> bool:
        """Whether calibration saw this wording (`chat.prompt.wording_of`).

        A route that an earlier version certified names templates alone, and covers whatever fits them.
        """
        return wording in self.signatures or wording.partition("/")[0] in self.signatures

    @property
    def terms(self) -> str:
        """As `identity`, whatever shows the promise, and by how many calls."""
        return replace(self, proof="held-out", calibration_calls=0, kept=0, errors=0).identity

    def to_record(self) -> dict[str, Any]:
        """The fields, as JSON can hold them."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Route:
        """From what `to_record` gave. Raises TypeError."""
        plain = dict(record)
        for name in ("signatures", "teachers"):
            plain[name] = tuple(record.get(name, ()))
        return cls(**plain)


def promised(epsilon: float, epsilon_all: float | None, delta: float) -> str:
    """What a route promises of disagreement, in words: of the answers kept, and where that is promised of all calls."""
    also = "" if epsilon_all is None else f", and at most {epsilon_all:.1%} of all calls are kept and disagree"
    return f"at most {epsilon:.1%}{also}, with {100 * (1 - delta):.4g}% confidence"
