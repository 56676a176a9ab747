"""Every error that Protégé raises on purpose.

    ProtegeError                 exit code 1
    ├── BadInput                 a file, a line, an option that cannot be used; exit code 2
    │   └── BadCall              one recorded call that cannot be read
    ├── NotEnoughCalls           a step needs more calls than there are
    ├── WorkspaceError           the home folder: not writable, newer, busy
    │   └── WorkspaceBusy
    ├── BaseModelError           missing, not GGUF, unsupported architecture
    ├── ResourceError            too little memory or disk, a port taken
    ├── MissingDependency        an extra that is not installed
    └── EngineError              the server of specialists failed or did not answer
        ├── EngineUnreachable    no server there, or it went away while answering
        ├── EngineBusy           more is asked of it than it takes at once; it is well
        ├── EngineTimeout        no answer within the caller's time
        ├── NotServed            it does not have this specialist, or not any more; it is well
        └── DoesNotFit           a prompt, or a prompt with its answer, that is too long for it; it is well

A message states the fact; `remedy` says what to do about it. Neither holds the content of a call.
"""

from __future__ import annotations


class ProtegeError(Exception):
    """A fact and its remedy. `str(error)` gives both; `exit_code` is the command's."""

    exit_code = 1

    def __init__(self, fact: str, remedy: str = "") -> None:
        super().__init__(fact, remedy)
        self.fact = fact
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.fact} {self.remedy}".rstrip()


class BadInput(ProtegeError):
    """A file, line or option that cannot be used."""

    exit_code = 2


class BadCall(BadInput):
    """One recorded call that cannot be read."""


class NotEnoughCalls(ProtegeError):
    """A step needs `missing` more calls than there are."""

    def __init__(self, fact: str, remedy: str = "", *, missing: int = 0) -> None:
        super().__init__(fact, remedy)
        self.missing = missing


class WorkspaceError(ProtegeError):
    """The home folder cannot be used as it is."""


class WorkspaceBusy(WorkspaceError):
    """Another process is improving the same workspace."""


class BaseModelError(ProtegeError):
    """A base model is missing, is not GGUF, or has an architecture that cannot be tuned here."""


class ResourceError(ProtegeError):
    """Too little memory or disk, or a port that is taken."""


class MissingDependency(ProtegeError):
    """A library is not installed."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed.", f"Install it: pip install 'protege[{extra}]'")


class EngineError(ProtegeError):
    """The engine that serves specialists failed, or did not answer in time."""


class EngineUnreachable(EngineError):
    """No server there, or it went away while answering."""


class EngineBusy(EngineError):
    """More is asked of the engine than it takes at once. The engine itself is well."""


class EngineTimeout(EngineError):
    """The engine did not answer within the caller's time."""


class NotServed(EngineError):
    """The engine does not have this specialist, or not any more. The engine itself is well."""


class DoesNotFit(EngineError):
    """A prompt, or a prompt with its answer, that is longer than the engine's context. The engine itself is well."""


class CannotRender(ProtegeError):
    """A request that a specialist must not be shown: the prompt's wording is another, or it holds control tokens."""


class TeacherError(ProtegeError):
    """The teacher's endpoint failed, or did not answer in time."""


class Refused(TeacherError):
    """The teacher's endpoint does not take this one request."""


class NoModel(ProtegeError):
    """The model that reads names is not installed."""


class TooLong(ProtegeError):
    """A text is longer than can be looked through."""


class NoSandbox(ProtegeError):
    """The isolation that a model's program is run in cannot be had here; nothing was run."""


class InvalidAnswer(ValueError):
    """An answer whose structure is not what the task's answers have. The message holds no content."""
