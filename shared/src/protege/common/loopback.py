"""Whether an address is this machine's own. Prompts, weights and tokens go to no other unless the user names it."""

from __future__ import annotations

import re
from ipaddress import ip_address

_URL = re.compile(r"https?://(?P<host>\[[0-9a-f:.]+\]|[^\s/?#@\\:\[\]]+)(:\d{1,5})?(/[^\s\\@]*)?", re.IGNORECASE)
"""Plain addresses only: parsers of URLs disagree on user names, backslashes and blanks, and so on where one leads."""


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is loopback: "localhost", 127.0.0.0/8, or ::1."""
    try:
        return host.lower() == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def is_loopback_url(url: str) -> bool:
    """Whether an HTTP address leads to this machine. An address with a user name in it never does."""
    match = _URL.fullmatch(url)
    return match is not None and is_loopback(match["host"].strip("[]"))
