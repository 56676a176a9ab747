"""Keys of ours: who may ask, for which nodes, and with whose credentials."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gateways import CLIENT, Stand
from gateways import stand as stand
from protege.errors import BadInput, WorkspaceError
from protege.gateway.keys import FOLDER, Keys, keys_of, new_key, revoke
from protege.gateway.running import run
from protege.gateway.settings import Upstream, settings

Make = Callable[..., Stand]
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def asked(at: Stand, path: str = "/v1/chat/completions", **headers: str) -> int:
    return CLIENT.post(at.url + path, json=CHAT, headers=headers).status_code


def test_a_key_is_told_once_and_only_its_digest_is_kept(tmp_path: Path):
    key = new_key(tmp_path, "ann", ["plan/", "write"])
    file = tmp_path / FOLDER / "ann"
    assert key not in file.read_text() and file.stat().st_mode & 0o077 == 0
    assert (tmp_path / FOLDER).stat().st_mode & 0o077 == 0
    (known,) = keys_of(tmp_path)
    assert (known.name, known.nodes) == ("ann", ("plan", "write"))
    assert Keys(tmp_path).of(key) == known and Keys(tmp_path).of(f"{key}x") is None
    with pytest.raises(BadInput):
        new_key(tmp_path, "ann")


@pytest.mark.parametrize("name", ["", "../up", ".hidden", "a/b", "x" * 80, "a\nb"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str):
    with pytest.raises(BadInput):
        new_key(tmp_path, name)
    with pytest.raises(BadInput):
        revoke(tmp_path, name)


def test_a_name_that_is_none_takes_no_other_key_back(tmp_path: Path):
    new_key(tmp_path, "-")
    for name in ("../x", "", "."):
        with pytest.raises(BadInput):
            revoke(tmp_path, name)
    assert [key.name for key in keys_of(tmp_path)] == ["-"]


def test_a_key_that_cannot_be_read_lets_nobody_in(tmp_path: Path):
    new_key(tmp_path, "ann")
    (tmp_path / FOLDER / "bob").write_text("{")
    with pytest.raises(WorkspaceError):
        Keys(tmp_path).of("x")


def test_once_there_is_a_key_nobody_is_answered_without_it(stand: Make, tmp_path: Path):
    key = new_key(tmp_path / "home", "ann")
    at = stand()
    assert asked(at) == 401
    assert asked(at, **{"x-protege-key": "protege-wrong"}) == 401
    assert asked(at, **{"x-protege-key": key}) == 200
    assert asked(at, f"/k/{key}/v1/chat/completions") == 200
    assert all(key not in json.dumps(headers) + path for _, path, headers, _ in at.upstream.asked)


def test_a_key_that_was_revoked_is_refused_within_a_second(stand: Make, tmp_path: Path):
    key = new_key(tmp_path / "home", "ann")
    at = stand()
    assert asked(at, **{"x-protege-key": key}) == 200
    revoke(at.home, "ann")
    time.sleep(0.4)
    assert asked(at, **{"x-protege-key": key}) == 401
    assert asked(at) == 401  # the last key does not open the door


def test_a_key_is_good_for_its_nodes_alone(stand: Make, tmp_path: Path):
    key = new_key(tmp_path / "home", "ann", ["plan"])
    at = stand()
    for node, status in (("plan", 200), ("plan/first", 200), ("planning", 403), ("write", 403)):
        assert asked(at, **{"x-protege-key": key, "x-protege-node": node}) == status
    assert CLIENT.get(f"{at.url}/v1/models", headers={"x-protege-key": key}).status_code == 403


CREDENTIALS = {
    "openai": ("/v1/chat/completions", {"authorization": "Bearer KEY"}, ("authorization", "Bearer upstream-secret")),
    "anthropic": ("/v1/messages", {"x-api-key": "KEY"}, ("x-api-key", "upstream-secret")),
    "gemini": ("/v1beta/models/m:generateContent?key=KEY&alt=sse", {}, ("x-goog-api-key", "upstream-secret")),
    "azure": ("/openai/deployments/m/chat/completions", {"api-key": "KEY"}, ("api-key", "upstream-secret")),
}


@pytest.mark.parametrize("front", CREDENTIALS)
def test_a_key_of_ours_in_place_of_the_upstreams_goes_no_further(
    stand: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, front: str
):
    monkeypatch.setenv("UPSTREAM_KEY", "upstream-secret")
    key = new_key(tmp_path / "home", "ann")
    at = stand(credentials=((front, "UPSTREAM_KEY"),))
    path, headers, (name, value) = CREDENTIALS[front]
    assert asked(at, path.replace("KEY", key), **{n: v.replace("KEY", key) for n, v in headers.items()}) == 200
    _, came, sent, _ = at.upstream.asked[0]
    assert sent[name] == value and key not in json.dumps(sent) + came
    assert "alt=sse" in came if front == "gemini" else True


def test_without_the_upstreams_key_the_client_is_told(stand: Make, tmp_path: Path):
    key = new_key(tmp_path / "home", "ann")
    at = stand()
    answer = CLIENT.post(f"{at.url}/v1/chat/completions", json=CHAT, headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == 401 and "--credentials" in answer.text and key not in answer.text


def test_nobody_else_on_the_network_may_ask_without_a_key(tmp_path: Path):
    with pytest.raises(BadInput, match="Anyone"):
        run(settings(tmp_path / "home", host="0.0.0.0", port=0))


def test_a_name_that_is_given_anew_is_the_new_key_alone(stand: Make, tmp_path: Path):
    home = tmp_path / "home"
    old = new_key(home, "ann")
    at = stand()
    assert asked(at, **{"x-protege-key": old}) == 200
    revoke(home, "ann")
    new = new_key(home, "ann")
    time.sleep(0.4)
    assert asked(at, **{"x-protege-key": old}) == 401
    assert asked(at, **{"x-protege-key": new}) == 200


def test_a_key_of_ours_that_is_shown_twice_goes_no_further(
    stand: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("UPSTREAM_KEY", "upstream-secret")
    key = new_key(tmp_path / "home", "ann")
    at = stand(credentials=(("openai", "UPSTREAM_KEY"),))
    assert asked(at, f"/k/{key}/v1/chat/completions", authorization=f"Bearer {key}") == 200
    assert asked(at, **{"x-protege-key": key, "authorization": f"Bearer {key}"}) == 200
    assert all(headers["authorization"] == "Bearer upstream-secret" for _, _, headers, _ in at.upstream.asked)


def test_a_key_of_ours_goes_no_further_however_it_is_written(
    stand: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("UPSTREAM_KEY", "upstream-secret")
    key = new_key(tmp_path / "home", "ann")
    at = stand(credentials=(("openai", "UPSTREAM_KEY"),))
    for written in (f"bearer {key}", f"BEARER  {key}", key):
        assert asked(at, authorization=written) == 200
    twice = [("authorization", f"Bearer {key}"), ("authorization", "Bearer sk-other"), ("api-key", key)]
    assert CLIENT.post(f"{at.url}/v1/chat/completions", json=CHAT, headers=twice).status_code == 200
    for _, _, headers, _ in at.upstream.asked:
        assert headers["authorization"] == "Bearer upstream-secret" and key not in json.dumps(headers)


def test_a_credential_goes_to_its_upstream_alone(stand: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("UPSTREAM_KEY", "upstream-secret")
    key = new_key(tmp_path / "home", "ann")
    other = stand().upstream
    at = stand(
        upstreams=(Upstream("openai", "", "http://127.0.0.1:9"), Upstream("openai", "local", "http://127.0.0.1:9")),
        credentials=(("openai", "UPSTREAM_KEY"),),
    )
    assert asked(at, authorization=f"Bearer {key}") == 502
    assert asked(at, **{"authorization": f"Bearer {key}", "x-protege-upstream": "local"}) == 401
    assert other.asked == []


def test_an_allowed_page_may_ask_first_without_a_key(stand: Make, tmp_path: Path):
    new_key(tmp_path / "home", "ann")
    at = stand(origins=("https://mine.example",))
    headers = {"origin": "https://mine.example", "access-control-request-method": "POST"}
    assert CLIENT.request("OPTIONS", f"{at.url}/v1/chat/completions", headers=headers).status_code == 200
    assert CLIENT.get(f"{at.url}/protege/metrics").status_code == 401


def test_a_header_of_blanks_holds_nobody_up(stand: Make):
    at = stand()
    took = time.perf_counter()
    assert asked(at, **{"x-api-key": "a" + " " * 50_000 + "b"}) < 600
    assert time.perf_counter() - took < 10  # half a minute, for each client, where each blank is a beginning
