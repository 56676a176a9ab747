"""What a gateway serves, and the addresses that it forwards to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from ..common.files import home_path
from ..common.loopback import is_loopback
from ..errors import BadInput
from .address import FRONTS

FILE = "gateway.json"
"""Where a home tells that a gateway runs on it, and at which address."""
PORT = 8484
"""The port that the gateway listens on."""
DEFAULTS: Mapping[str, str] = MappingProxyType(
    {
        "openai": "https://api.openai.com",
        "anthropic": "https://api.anthropic.com",
        "gemini": "https://generativelanguage.googleapis.com",
        "ollama": "http://127.0.0.1:11434",
    }
)
"""Where each front forwards to if nothing else is said. Azure's address is each customer's own."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """A server that a front may forward to."""

    front: str
    """The front whose dialects it speaks."""
    name: str
    """What a client's header picks it by; empty for the front's own."""
    url: str
    """Its address, up to the version: `https://api.openai.com`."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a gateway serves. All of it can be written as JSON, for its workers."""

    home: Path
    """The workspace's folder."""
    upstreams: tuple[Upstream, ...]
    """All that may be forwarded to."""
    host: str = "127.0.0.1"
    """The address that it listens on."""
    port: int = PORT
    """The port that it listens on; 0 for any."""
    private: bool = False
    """Whether names of upstreams may lead to private and link-local addresses."""
    origins: tuple[str, ...] = ()
    """Web pages that may ask, by their origin. A browser names it; agents do not."""
    credentials: tuple[tuple[str, str], ...] = ()
    """FRONT or FRONT/NAME, and the environment variable that holds that upstream's key, for clients that have only a
    key of ours."""
    text_suffices: tuple[str, ...] = ()
    """Nodes, by the beginning of their path, whose images specialists need not see."""
    wait_s: float = 600.0
    """The longest wait for the next byte of an upstream."""
    connect_s: float = 10.0
    """The longest wait for a connection to an upstream."""
    most_bytes: int = 64 << 20
    """The largest request that is read. A larger one passes through, and is not recorded."""

    def upstream(self, front: str, name: str = "") -> Upstream | None:
        """The upstream of a front by its name; None if there is none."""
        return next((each for each in self.upstreams if (each.front, each.name) == (front, name)), None)

    def to_record(self) -> dict[str, Any]:
        """The settings as a JSON object."""
        return {**asdict(self), "home": str(self.home)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Settings:
        """Read what `to_record` wrote."""
        upstreams = tuple(Upstream(**each) for each in record["upstreams"])
        credentials = tuple((front, variable) for front, variable in record["credentials"])
        fields: dict[str, Any] = {**record, "upstreams": upstreams, "credentials": credentials}
        fields |= {"home": Path(record["home"]), "origins": tuple(record["origins"])}
        fields["text_suffices"] = tuple(record["text_suffices"])
        return cls(**fields)


def settings(
    home: Path | None = None,
    upstreams: Iterable[str] = (),
    *,
    credentials: Iterable[str] = (),
    **others: Any,
) -> Settings:
    """Settings from what a user writes.

    upstreams: `FRONT=URL` for a front's own upstream, `FRONT/NAME=URL` for one that a client may pick. credentials:
    `FRONT=VARIABLE` or `FRONT/NAME=VARIABLE`. others: fields of `Settings`. Raises BadInput.
    """
    named = [_upstream(each) for each in upstreams]
    taken = {(each.front, each.name) for each in named}
    if len(taken) < len(named):
        raise BadInput("Two upstreams have one name.", "Name each once: --upstream openai/mirror=https://…")
    defaults = [Upstream(front, "", url) for front, url in DEFAULTS.items() if (front, "") not in taken]
    keys = tuple(_credential(each) for each in credentials)
    return Settings(home_path(home), (*named, *defaults), credentials=keys, **others)


def _upstream(written: str) -> Upstream:
    target, _, url = written.partition("=")
    front, _, name = target.partition("/")
    remedy = "Write --upstream openai=https://host, or --upstream openai/NAME=https://host."
    if front not in FRONTS:
        raise BadInput(f"An upstream is for one of {', '.join(FRONTS)}.", remedy)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise BadInput(f"The address of the upstream for {front} is not valid.", remedy)
    if parts.scheme == "http" and not is_near(parts.hostname):
        raise BadInput(
            f"The upstream for {front} is asked without encryption.", "Use https, or an address of this network."
        )
    return Upstream(front, name, url.rstrip("/"))


def _credential(written: str) -> tuple[str, str]:
    target, _, variable = written.partition("=")
    if target.partition("/")[0] not in FRONTS or not variable:
        raise BadInput("A key of an upstream is not valid.", "Write --credentials openai=OPENAI_API_KEY.")
    return target, variable


def is_near(host: str) -> bool:
    """Whether a host is named as an address of this machine or of a private network, or has no dot in its name."""
    if is_loopback(host) or "." not in host.rstrip("."):
        return True
    try:
        return not ip_address(host.strip("[]")).is_global
    except ValueError:
        return False
