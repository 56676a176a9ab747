"""Every error that Protégé raises on purpose.

    ProtegeError                 exit code 1
    ├── BadInput                 a file, a line or an option that cannot be used; exit code 2
    │   └── BadCall              one recorded call that cannot be read
    ├── NotEnoughCalls           a step needs more calls than there are
    ├── NotClosed                a task whose answers come out of no finite set
    ├── WorkspaceError           the home folder: not writable, newer, damaged
    │   └── WorkspaceBusy        another process is changing it
    ├── DamagedRow               a row of the store that cannot be read; it costs itself alone
    ├── BaseModelError           a base model: missing, not GGUF, unsupported architecture
    ├── ResourceError            too little memory or disk, or a port that is taken
    ├── MissingDependency        an extra that is not installed
    ├── NoModel                  the model that reads names and places is not installed
    ├── NoSandbox                the isolation for a model's program is not available here
    ├── TooLong                  a text that is too long to be searched
    ├── CannotRender             a request that must not be shown to a specialist
    ├── TeacherError             the teacher's server failed or did not answer
    │   └── Refused              the teacher's server does not accept this one request
    └── EngineError              the server of specialists failed or did not answer
        ├── EngineUnreachable    there is no server, or it went away while it answered
        ├── EngineBusy           the engine gets more requests than it takes at once; it is well
        ├── EngineTimeout        no answer within the caller's time
        ├── NotServed            the engine does not have this specialist, or no longer; it is well
        ├── NoOpinion            the head whose opinion a confidence needs gives none; the engine is well
        └── DoesNotFit           a prompt, or a prompt and its answer, is too long for the engine; it is well

    ValueError
    └── InvalidAnswer            an answer whose structure is wrong for its task; always handled, never shown to people

A message states the fact; `remedy` says what to do about it. Neither holds the content of a call.
"""

from __future__ import annotations


class ProtegeError(Exception):
    """A fact and its remedy. `str(error)` gives both; `exit_code` is the command's exit code."""

    exit_code = 1

    def __init__(self, fact: str, remedy: str = "") -> None:
        super().__init__(fact, remedy)
        self.fact = fact
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.fact} {self.remedy}".rstrip()


class BadInput(ProtegeError):
    """A file, a line or an option cannot be used."""

    exit_code = 2


class BadCall(BadInput):
    """One recorded call cannot be read."""


class NotEnoughCalls(ProtegeError):
    """A step needs `missing` more calls than there are."""

    def __init__(self, fact: str, remedy: str = "", *, missing: int = 0) -> None:
        super().__init__(fact, remedy)
        self.missing = missing


class NotClosed(ProtegeError):
    """A task's answers come out of no finite set, so they cannot be chosen."""


class WorkspaceError(ProtegeError):
    """The home folder cannot be used as it is."""


class WorkspaceBusy(WorkspaceError):
    """Another process is changing the same workspace."""


class DamagedRow(ProtegeError):
    """A row of the store cannot be read. Whoever reads the table goes on without it."""


class BaseModelError(ProtegeError):
    """A base model is missing, is not GGUF, or has an architecture that cannot be tuned here."""


class ResourceError(ProtegeError):
    """There is too little memory or disk, or a port is taken."""


class MissingDependency(ProtegeError):
    """A library is not installed. Takes the library and the extra of Protégé that brings it."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed.", f"Install it: pip install 'protege[{extra}]'")


class NoModel(ProtegeError):
    """The model that reads names and places, so that they can be redacted, is not installed."""


class NoSandbox(ProtegeError):
    """The isolation in which a model's program is run is not available here. Nothing was run."""


class TooLong(ProtegeError):
    """A text is too long to be searched for personal data."""


class CannotRender(ProtegeError):
    """A specialist must not be shown this request: its prompt is worded otherwise, or it holds control tokens."""


class TeacherError(ProtegeError):
    """The teacher's server failed, or did not answer in time."""


class Refused(TeacherError):
    """The teacher's server does not accept this one request."""


class EngineError(ProtegeError):
    """The engine that serves specialists failed, or did not answer in time."""


class EngineUnreachable(EngineError):
    """There is no server, or it went away while it answered."""


class EngineBusy(EngineError):
    """The engine gets more requests than it takes at once. The engine itself is well."""


class EngineTimeout(EngineError):
    """The engine did not answer within the caller's time."""


class NotServed(EngineError):
    """The engine does not have this specialist, or no longer has it. The engine itself is well."""


class DoesNotFit(EngineError):
    """A prompt, or a prompt and its answer, is longer than the engine's context. The engine itself is well."""


class NoOpinion(EngineError):
    """The head whose opinion a confidence needs gave none, or is another. The engine itself is well."""


class InvalidAnswer(ValueError):
    """An answer's structure is not that of its task's answers. The message holds no content."""
