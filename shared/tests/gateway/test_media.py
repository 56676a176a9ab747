"""Images and files in a request are stored once, and their calls go to the teacher."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from gateways import CLIENT, Stand
from gateways import stand as stand
from protege.gateway.media import set_apart

IMAGE = random.Random(1).randbytes(30_000)
TEXT = base64.b64encode(IMAGE).decode()
PARTS: dict[str, tuple[str, dict[str, Any]]] = {
    "openai": ("/v1/chat/completions", {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{TEXT}"}}),
    "anthropic": (
        "/v1/messages",
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": TEXT}},
    ),
    "audio": ("/v1/chat/completions", {"type": "input_audio", "input_audio": {"data": TEXT, "format": "wav"}}),
}


@pytest.mark.parametrize("name", PARTS)
def test_an_image_is_stored_once_and_the_call_names_it(stand: Callable[..., Stand], name: str):
    path, part = PARTS[name]
    at = stand()
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": [part, {"type": "text", "text": "?"}]}],
    }
    for _ in range(2):
        assert CLIENT.post(at.url + path, json=body).status_code == 200
    assert json.loads(at.upstream.asked[0][3]) == body
    calls = at.calls(2)
    assert len(calls) == 2 and all(call.decision == "holds images, audio or files" for call in calls)
    files = [file for file in (at.home / "media").rglob("*") if file.is_file()]
    assert [file.read_bytes() for file in files] == [IMAGE] and files[0].stat().st_mode & 0o077 == 0
    written = json.dumps(calls[0].to_record())
    assert TEXT[:100] not in written and "protege-media:" in written
    assert f"protege-media:{files[0].name}" in written


def test_texts_stay_where_they_are():
    body = json.dumps({"messages": [{"role": "user", "content": "word " * 5000}, {"content": "A" * 4000}]}).encode()
    assert set_apart(body) == (body, ())


@pytest.mark.parametrize("text", ["ACGT" * 1100, "see this;base64," + "A" * 5000])
def test_text_that_looks_like_an_image_stays_text(stand: Callable[..., Stand], text: str):
    at = stand()
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    assert CLIENT.post(f"{at.url}/v1/chat/completions", json=body).status_code == 200
    (call,) = at.calls()
    assert call.request.messages[0]["content"] == text and call.decision != "holds images, audio or files"


def test_it_takes_time_by_the_length_alone():
    for unit in ('"', "A", '"A', 'A"', "A=", '","'):
        set_apart((unit * 2_000_000).encode()[:2_000_000])


def test_what_is_no_base64_costs_itself_alone(stand: Callable[..., Stand]):
    at = stand()
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 4097}}
    body = {"model": "m", "messages": [{"role": "user", "content": [part]}]}
    assert CLIENT.post(f"{at.url}/v1/chat/completions", json=body).status_code == 200
    assert len(at.calls()) == 1


@pytest.mark.parametrize(("node", "seen"), [("desk", False), ("desk/clerk", False), ("other", True)])
def test_where_the_text_suffices_specialists_are_shown_it_and_the_teacher_all(
    stand: Callable[..., Stand], keeping: Callable[..., Any], node: str, seen: bool
):
    part: dict[str, Any] = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{TEXT}"}}
    shown = [{"type": "text", "text": "[3] link"}, part]
    body = {
        "model": "m",
        "messages": [{"role": "system", "content": "You are a clerk."}, {"role": "user", "content": shown}],
    }
    router = keeping({"role": "assistant", "content": "click 3"})
    for answers in (None, router):
        at = stand(router=answers, text_suffices=(node,))
        answer = CLIENT.post(f"{at.url}/a/desk/v1/chat/completions", json=body).json()
        content = answer["choices"][0]["message"]["content"]
        assert content == ("Hello" if seen or answers is None else "click 3")
        for asked in at.upstream.asked:
            assert json.loads(asked[3]) == body
    asked_of = [request for request, _ in router.asked]
    assert [request.messages[1]["content"] for request in asked_of] == ([] if seen else ["[3] link\n[image left out]"])
    calls = at.calls(2)
    assert [isinstance(call.request.messages[1]["content"], str) for call in calls] == [not seen] * len(calls)
