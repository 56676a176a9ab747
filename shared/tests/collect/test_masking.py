"""Masking: secrets go, everything else stays, and JSON stays JSON."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import random
import signal
import string
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
from protege.masking.masking import mask, mask_text
from protege.masking.patterns import SUSPECT, SUSPECTS
from protege.masking.prefilter import prefilter

random.seed(20260)


def made_up(length: int, letters: str = string.ascii_letters + string.digits) -> str:
    """Random, so that no key stands in the repository; with a digit, as all long ones have."""
    return "".join(random.choices(letters, k=length - 1)) + "7"


UPPER = string.ascii_uppercase + string.digits
HEX = "0123456789abcdef"
TOKENS = {
    "openai_key": ["sk-" + made_up(48), "sk-proj-" + made_up(60), "sk-svcacct-" + made_up(30) + "-_" + made_up(20)],
    "anthropic_key": ["sk-ant-api03-" + made_up(90)],
    "aws_access_key": ["AKIA" + made_up(16, UPPER), "ASIA" + made_up(16, UPPER)],
    "github_token": ["ghp_" + made_up(36), "gho_" + made_up(36), "github_pat_" + made_up(22) + "_" + made_up(59)],
    "gitlab_token": ["glpat-" + made_up(20)],
    "slack_token": ["xoxb-" + made_up(11, "0123456789") + "-" + made_up(24), "xapp-1-A1-" + made_up(30)],
    "google_key": ["AIza" + made_up(35), "GOCSPX-" + made_up(28), "ya29." + made_up(60)],
    "stripe_key": ["sk_live_" + made_up(24), "rk_test_" + made_up(24), "whsec_" + made_up(32)],
    "huggingface_token": ["hf_" + made_up(34)],
    "npm_token": ["npm_" + made_up(36)],
    "pypi_token": ["pypi-AgEIcHlwaS5vcmc" + made_up(60)],
    "sendgrid_key": ["SG." + made_up(22) + "." + made_up(43)],
    "twilio_key": ["SK" + made_up(32, HEX)],
    "jwt": ["eyJhbGciOiJIUzI1NiJ9.eyJ" + made_up(30) + "." + made_up(43)],
    "api_key": ["gsk_" + made_up(52), "xai-" + made_up(80), "dop_v1_" + made_up(64, HEX), "hvs." + made_up(30)],
}
PEM = "-----BEGIN RSA PRIVATE KEY-----\n" + "\n".join(made_up(64) for _ in range(4)) + "\n-----END RSA PRIVATE KEY-----"
ENCRYPTED = PEM.replace("-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A\n\n", 1)
ALL = [(kind, token) for kind, tokens in TOKENS.items() for token in tokens]


@pytest.mark.parametrize(("kind", "token"), ALL, ids=[f"{kind}-{token[:6]}" for kind, token in ALL])
@pytest.mark.parametrize(
    "around",
    ["{}", "key: {}, thanks", "a\n{}\nb", "\t{}", '{{"TOKEN": "{}"}}', "https://x.example/?k={}&a=1", "('{}')", "é{}é"],
)
def test_a_token_goes_wherever_it_stands(kind: str, token: str, around: str) -> None:
    text = around.format(token)
    assert mask_text(text) == around.format(f"[masked:{kind}]")
    in_json = orjson.loads(mask(orjson.dumps({"messages": [{"role": "user", "content": text}]})))
    assert in_json["messages"][0]["content"] == around.format(f"[masked:{kind}]")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer abcdef1234567890", "Authorization: Bearer [masked:authorization]"),
        ("authorization: basic dXNlcjpodW50ZXIy", "authorization: basic [masked:authorization]"),
        ("postgres://app:9#1c#N%a@db:5432/orders", "postgres://app:[masked:url_password]@db:5432/orders"),
        ("redis://:hunter2!@cache/0", "redis://:[masked:url_password]@cache/0"),
        ("api_key=a8Kd93kdPq", "api_key=[masked:secret]"),
        ("API-KEY: a8Kd93kdPq", "API-KEY: [masked:secret]"),
        ('DB_PASSWORD="let me in"', 'DB_PASSWORD="let me in"'),
        ('DB_PASSWORD="letmein"', 'DB_PASSWORD="[masked:password]"'),
        ("export SECRET_KEY=ab12cd34ef56", "export SECRET_KEY=[masked:secret]"),
        ("password=hunter2&next=/home", "password=[masked:password]&next=/home"),
        ("my password is hunter2!, ok?", "my password is [masked:password]!, ok?"),
        ("The password is 'aB3$x9Qz'.", "The password is '[masked:password]'."),
        ("clientSecret: 'ab12cd34ef56'", "clientSecret: '[masked:secret]'"),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG", "aws_secret_access_key = [masked:secret]"),
        (f"key:\n{PEM}\nend", "key:\n[masked:private_key]\nend"),
        (f"key:\n{ENCRYPTED}\nend", "key:\n[masked:private_key]\nend"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz", "[masked:private_key]"),
        ("mysql --user app --password hunter2x db", "mysql --user app --password [masked:password] db"),
        ("vault login --api-key 'ab12cd34ef'", "vault login --api-key '[masked:secret]'"),
        ("<user>ada</user><password>letmein</password>", "<user>ada</user><password>[masked:password]</password>"),
        ('<w:Password Type="text">hunter2</w:Password>', '<w:Password Type="text">[masked:password]</w:Password>'),
    ],
)
def test_what_is_named_a_secret_goes(text: str, masked: str) -> None:
    assert mask_text(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "I forgot my password, please help",
        "The password is incorrect.",
        "password: required",
        "Password: please choose one with 8 characters",
        "password = getpass.getpass()",
        "password=os.environ['DB_PASSWORD']",
        "api_key=settings.api_key, token=token",
        "api_key: <your key>",
        "API_KEY=${OPENAI_API_KEY}",
        "api_key = 'YOUR_API_KEY_123'",
        "next_page_token=CAESBgoEdGVzdDEy",
        '{"max_tokens": 512, "token": "string"}',
        '{"password": {"type": "string", "description": "the new password"}}',
        "the token is expired",
        "secret: 2024-05-02",
        "sk-learn-pipeline-with-many-steps",
        "a task-list-for-the-week-and-the-month",
        "bearer of bad news",
        "commit 6c48758272293de52b3f44330a8f9cd969d8c07b",
        "f47ac10b-58cc-4372-a567-0e02b2c3d479",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
        "mail ada@example.org, call +44 20 7946 0958, card 4111 1111 1111 1111",
        "https://example.org:8080/path?a=b@c",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
        "usage: tool --password PASSWORD --token <token> --password-file /run/s3cret1 --user ada99",
        "run it with --token --verbose2024, or --password $PASSWORD",
        "<password>required</password> <token>CAFE</token> <passwordHint>rex2019x</passwordHint>",
        '{"tokens": ["word2vec", "covid19vax"], "usage": {"input_tokens": 123456}, "keys": ["ab12cd34"]}',
        '{"token": 84736251, "max_password": 84736251, "passwords": [1, true, null]}',
        '{"entities": [{"token": "iPhone15Pro", "label": "PRODUCT"}, {"token": "Covid19-Ward", "label": "PLACE"}]}',
        "token: Boeing737-800, Token=Galaxy-S24-Ultra, token: windows11",
        '{"token": "xq7Kd92mZp4", "logprob": -0.1, "bytes": [120, 113]}',
        '[{"token": "r2d2c3po99", "start": 4, "end": 9}]',
        '[{"token": "r2d2c3po99", "lemma": "r2d2c3po99", "pos": "PROPN"}]',
        '[{"name": "password", "value": "string"}, {"name": "user", "value": "hunter2secret9"}]',
    ],
)
def test_what_only_looks_like_a_secret_stays(text: str) -> None:
    assert mask_text(text) == text
    payload = orjson.dumps({"content": text})
    assert mask(payload) == payload


def test_a_payload_without_secrets_comes_back_as_it_is() -> None:
    payload = b'{"a": 1.50, "b" : "caf\xc3\xa9"}'
    assert mask(payload) is payload


def test_a_value_under_a_secret_name_goes_whole() -> None:
    odd = 'qu"ote\\back,slash;{x}'
    masked = orjson.loads(mask(orjson.dumps({"user": "ada", "password": odd, "n": 1})))
    assert masked == {"user": "ada", "password": "[masked:password]", "n": 1}


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ({"password": 84736251}, {"password": "[masked:password]"}),
        (
            {"credentials": ["bob", "hunter2secret1"], "passwords": ["letmein"]},
            {"credentials": ["bob", "[masked:secret]"], "passwords": ["[masked:password]"]},
        ),
        ([{"name": "DB_PASSWORD", "value": 'hun"ter2'}], [{"name": "DB_PASSWORD", "value": "[masked:password]"}]),
        ({"token": "xq7Kd92mZp4", "type": "bearer"}, {"token": "[masked:secret]", "type": "bearer"}),
        ({"token": "ab3dk9qwz7", "label": "prod"}, {"token": "[masked:secret]", "label": "prod"}),
        ({"secret": "iPhone15Pro"}, {"secret": "[masked:secret]"}),
        ({"Value": "letmein", "n": 1, "Key": "pwd"}, {"Value": "[masked:password]", "n": 1, "Key": "pwd"}),
    ],
)
def test_a_secret_goes_that_its_name_tells_in_json_alone(value: Any, masked: Any) -> None:
    assert orjson.loads(mask(orjson.dumps(value))) == masked
    call = {"tool_calls": [{"function": {"name": "login", "arguments": json.dumps(value)}}]}
    again = orjson.loads(mask(orjson.dumps(call)))
    assert json.loads(again["tool_calls"][0]["function"]["arguments"]) == masked


def test_tool_arguments_stay_json_and_lose_their_secrets() -> None:
    arguments = json.dumps({"user": "ada", "password": 'a"b\\c;d1', "note": "line\nbreak"})
    call = {"function": {"name": "login", "arguments": arguments}}
    masked = orjson.loads(mask(orjson.dumps({"response": {"tool_calls": [call]}})))
    inner = json.loads(masked["response"]["tool_calls"][0]["function"]["arguments"])
    assert inner == {"user": "ada", "password": "[masked:password]", "note": "line\nbreak"}


def test_masking_twice_changes_nothing_more() -> None:
    for _, token in ALL:
        once = mask_text(f'password="{token}" and {token}')
        assert mask_text(once) == once


def _shape(depth: int) -> Any:
    """A JSON value of any shape, with secrets, quotes, escapes and JSON in strings anywhere, keys included."""
    texts = [*(t for _, t in ALL), PEM, 'say "hi"\\', "\\n", "\\", "\u0001\x1b", "é😀", "npm_", "\npm_", "a\tb", ""]
    kind = random.randrange(8 if depth else 3)
    if kind < 3:
        pieces = [*texts, " ", "\n", "\\", '"', "password=", "token: ", "://a:b@"]
        return random.choice([" ", "\n", '"', "\\", "\x1b"]).join(random.choices(pieces, k=random.randrange(5)))
    if kind == 3:
        return random.choice([None, True, 1.5, -7, 1 << 60])
    if kind == 4:
        return json.dumps(_shape(depth - 1), ensure_ascii=random.random() < 0.5, indent=random.choice([None, 2]))
    if kind == 5:
        return [_shape(depth - 1) for _ in range(3)]
    names = ["password", "content", "api_key", "token", 'odd "key"\\', random.choice(texts)]
    return {random.choice(names): _shape(depth - 1) for _ in range(3)}


def test_json_of_any_shape_stays_json_at_every_level() -> None:
    for _ in range(1500):
        value = _shape(4)
        masked = mask(orjson.dumps(value))
        assert not any(token.encode() in masked for _, token in ALL)
        _compare(value, orjson.loads(masked))


def _compare(value: Any, masked: Any) -> None:
    """Same shape; and a text that was JSON is JSON still."""
    if isinstance(value, str):
        assert isinstance(masked, str)
        try:
            inner = json.loads(value)
        except ValueError:
            return
        if isinstance(inner, dict | list) and not masked.startswith("[masked:"):
            _compare(inner, json.loads(masked))
    elif isinstance(value, list):
        assert len(value) == len(masked)
        for one, other in zip(value, masked, strict=True):
            _compare(one, other)
    elif isinstance(value, dict):
        assert len(masked) <= len(value)  # keys that were two secrets may now be one
        for key in value.keys() & masked.keys():
            _compare(value[key], masked[key])
    else:  # a number may be a password
        assert value == masked or (type(value) is int and masked == "[masked:password]")


@pytest.mark.parametrize(
    "payload", [b"", b"password=hunter2!", b'{"a": "ghp_' + b"a1" * 18, b"\xff\xfe token=ab12cd34ef"]
)
def test_bytes_that_are_no_json_are_masked_as_text(payload: bytes) -> None:
    masked = mask(payload)
    assert not any(secret in masked for secret in (b"hunter2", b"a1a1", b"ab12cd34ef"))


def test_nesting_without_end_is_masked_too() -> None:
    secret = "ghp_" + made_up(36)
    payload = b'{"a":' * 1000 + f'"{secret}"'.encode() + b"}" * 1000
    assert secret.encode() not in mask(payload)


def test_the_quick_look_passes_nothing_that_the_search_would_find() -> None:
    nothing_in = prefilter(SUSPECTS)
    payloads = [orjson.dumps(_shape(3)) for _ in range(1500)]
    found = [payload for payload in payloads if SUSPECT.search(payload)]
    assert 100 < len(found) < 1400
    assert not any(nothing_in(payload) for payload in found)
    assert nothing_in(b'{"content":"Where is my order 5521?"}')


def test_the_quick_look_works_in_many_threads_and_in_a_forked_child() -> None:
    nothing_in = prefilter(SUSPECTS)
    clean, secret = b"nothing here " * 600, b"x " * 4000 + ALL[0][1].encode()

    def look(_: int) -> bool:
        return nothing_in(clean) and not nothing_in(secret)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(look, range(400)))
    child = multiprocessing.get_context("fork").Process(target=_look_in_child)
    child.start()
    child.join(60)
    hung = child.is_alive()
    child.kill()
    assert not hung and child.exitcode == 0


def test_the_quick_look_in_the_middle_of_another_finds_nothing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a signal's handler: what it cannot look at may hold a secret."""
    nothing_in = prefilter(("sk-[a-z]+",))
    looked: list[bool] = []

    def amid(*match: object) -> bool:
        looked.append(nothing_in(b"nothing here"))
        return True

    monkeypatch.setattr("protege.masking.prefilter._stop", amid)
    assert not nothing_in(b"sk-abc")
    assert looked == [False]
    assert nothing_in(b"nothing here")


def test_a_call_as_all_are_needs_no_more_than_the_quick_look() -> None:
    said = [{"role": "user", "content": "Where is my order 5521? " * 300}]
    usage = {"input_tokens": 2100, "output_tokens": 7, "total_tokens": 2107}
    record = {"messages": said, "usage": usage, "parameters": {"max_tokens": 512, "max_completion_tokens": 9}}
    assert prefilter(SUSPECTS)(orjson.dumps({**record, "tools": [{"function": {"parameters": {"type": "object"}}}]}))


def _look_in_child() -> None:
    assert mask(b"nothing here") == b"nothing here" and b"[masked:" in mask(ALL[0][1].encode())


SECRET_TYPES = {"PASSWORD", "PRIVATE_KEY", "OPENAI_KEY", "GITHUB_TOKEN", "ANTHROPIC_KEY", "AWS_ACCESS_KEY"}
SECRET_TYPES |= {"STRIPE_KEY", "SLACK_TOKEN", "JWT"}
DATA = Path(__file__).parents[4] / "shared" / "data" / "pii_secrets_synthetic.jsonl.gz"


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not here")
def test_all_secrets_of_the_labelled_texts_go_and_the_look_alikes_stay() -> None:
    missed: list[str] = []
    touched: list[str] = []
    for row in map(orjson.loads, gzip.decompress(DATA.read_bytes()).splitlines()):
        secrets = [span for span in row["spans"] if span["type"] in SECRET_TYPES]
        masked = mask_text(row["text"])
        missed += [row["id"] for span in secrets if span["value"] in masked]
        touched += [row["id"]] if not secrets and masked != row["text"] else []
    assert (missed, touched) == ([], [])


def test_a_child_forked_while_other_threads_search_masks_too() -> None:
    payload = b'{"text": "' + b"password=abcd eyJaaaaaaaaaaaa-hf_aaaaaaaaaaaaaaaaaaaa-" * 400 + b'"}'
    done = threading.Event()

    def search() -> None:
        while not done.is_set():
            mask(payload)

    threads = [threading.Thread(target=search, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    hung = 0
    for _ in range(20):
        child = os.fork()
        if not child:
            signal.alarm(20)
            os._exit(0 if b"[masked:" in mask(b'{"password": "hunter2abc9"}') else 1)
        hung += os.waitpid(child, 0)[1] != 0
    done.set()
    for thread in threads:
        thread.join()
    assert not hung


@pytest.mark.parametrize(
    "text",
    [
        '{"token": "9f8a7b6c5d4e3f2a1b0c9d8e", "start": 1700000000}',
        '{"token": "9f8a7b6c5d4e3f2a1b0c9d8e", "offset": 0}',
        '{"access_token": "HorseBattery15"}',
        '{"api_token": "correct-horse-battery-42"}',
        '{"refreshToken": "Summer-Holiday-2024"}',
    ],
)
def test_a_secret_stays_one_whatever_common_name_stands_beside_it(text: str) -> None:
    assert "[masked:" in mask_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "Passwort: {}", "Kennwort = {}", "mot de passe : {}", "contraseña: {}", "CONTRASEÑA: {}", "hasło: {}",
        "senha={}", "wachtwoord: {}", "lösenord: {}", "Пароль: {}",
        "密码:{}", "我的密码：{}", "パスワード：{}", "비밀번호: {}",
        "password：{}", "password=&quot;{}&quot;",
    ],
)  # fmt: skip
def test_a_password_goes_in_whichever_language_it_is_named(text: str) -> None:
    said = text.format("Tr0ub4dor7")
    assert "Tr0ub4dor7" not in mask_text(said) and "[masked:password]" in mask_text(said)
    payload = orjson.dumps({"messages": [{"role": "user", "content": said}]})
    assert b"Tr0ub4dor7" not in mask(payload)
    name = text.partition(":")[0].partition("=")[0].partition("：")[0].strip()
    assert b"Tr0ub4dor7" not in mask(orjson.dumps({name: "Tr0ub4dor7"}))


def test_words_that_resemble_names_of_passwords_stay() -> None:
    for text in ("hassio: core-2026.4", "Passwort abgelaufen", "密码是什么?", "hasTwo: enabled2"):
        assert mask_text(text) == text
