"""Where the gateway connects to: the addresses of its settings, by no detour; this network only where it is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gateways import CLIENT, Fake, Stand, served
from gateways import stand as stand
from protege.gateway import upstream
from protege.gateway.settings import Upstream

Make = Callable[..., Stand]
NEAR = ("127.0.0.1", "10.0.0.8", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::1", "fe80::1%eth0")
NEAR_6 = ("fd00::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254")


def leads_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let all names lead to these addresses."""

    async def resolved(self: Any, host: str, port: int = 0, family: Any = None) -> list[dict[str, Any]]:
        return [
            {"hostname": host, "host": each, "port": port, "family": 2, "proto": 0, "flags": 0} for each in addresses
        ]

    monkeypatch.setattr(upstream.ThreadedResolver, "resolve", resolved)


def test_a_name_that_leads_into_this_network_is_not_followed(stand: Make, monkeypatch: pytest.MonkeyPatch):
    with served(Fake()) as url:
        port = url.rpartition(":")[2]
        named = (Upstream("openai", "", f"http://api.example.com:{port}"),)
        at = stand(upstreams=named)
        for address in (*NEAR, *NEAR_6):
            leads_to(monkeypatch, address)
            answer = CLIENT.get(f"{at.url}/v1/models")
            assert answer.status_code == 502 and "--private" in answer.text, address
        leads_to(monkeypatch, "127.0.0.1")
        assert CLIENT.get(f"{stand(upstreams=named, private=True).url}/v1/models").status_code == 200


def test_a_host_of_this_network_that_is_named_as_such_is_asked(stand: Make, monkeypatch: pytest.MonkeyPatch):
    with served(Fake()) as url:
        leads_to(monkeypatch, "127.0.0.1")
        at = stand(upstreams=(Upstream("openai", "", f"http://models:{url.rpartition(':')[2]}"),))
        assert CLIENT.get(f"{at.url}/v1/models").status_code == 200


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"])
def test_a_proxy_of_the_environment_is_not_used(stand: Make, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert CLIENT.get(f"{stand().url}/v1/models").status_code == 200


def test_a_client_picks_among_the_upstreams_of_the_settings_alone(stand: Make):
    other = Fake()
    with served(other) as there, served(Fake()) as here:
        at = stand(upstreams=(Upstream("openai", "", here), Upstream("openai", "local", f"{there}/base/v1")))
        picked = {"x-protege-upstream": "local"}
        assert CLIENT.get(f"{at.url}/v1/models", headers=picked).status_code == 200
        for wrong in (there, "LOCAL", "../local", "local/x"):
            assert CLIENT.get(f"{at.url}/v1/models", headers={"x-protege-upstream": wrong}).status_code == 404
        for aim in ("/a/x/v1/models@evil.example", "/v1/models/@evil.example/x", "/v1//evil.example/models"):
            assert CLIENT.get(f"{at.url}{aim}", headers=picked).status_code == 200
    paths = [path for _, path, headers, _ in other.asked if "x-protege-upstream" not in headers]
    assert paths[0] == "/base/v1/models" and all(path.startswith("/base/v1/") for path in paths) and len(paths) == 4
