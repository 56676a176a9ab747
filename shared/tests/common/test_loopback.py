"""Which addresses are this machine's own."""

from __future__ import annotations

import pytest
from protege.common.loopback import is_loopback, is_loopback_url


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_hosts(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "192.0.2.1", "127.0.0.1.example.org", "localhost.example.org", "box"])
def test_other_hosts(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "https://localhost/ollama", "http://[::1]:11434", "HTTP://127.0.0.1"]
)
def test_loopback_addresses(url: str) -> None:
    assert is_loopback_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1:80",
        "http://127.0.0.1:80@example.org",
        "http://user@127.0.0.1:80",
        "http://example.org\\@127.0.0.1/",
        "http://127.0.0.1\\@example.org",
        "http://127.0.0.1.example.org:80",
        "http://127.0.0.1:80 .example.org",
        "//127.0.0.1:80",
        "127.0.0.1:80",
        "ftp://127.0.0.1",
        "",
    ],
)
def test_addresses_that_lead_elsewhere_or_that_parsers_disagree_on(url: str) -> None:
    assert not is_loopback_url(url)
