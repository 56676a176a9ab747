"""JSON in a text is read as it means, and written back as it was but for what changes."""

from __future__ import annotations

import json
import time

import pytest
from protege.redact import readable
from protege.redact.leaves import pieces, rewritten


def upper(text: str) -> str:
    return text.upper()


def nothing(value: str, is_key: bool) -> None:
    return None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (r'{"a": "Jos\u00e9"}', '{"a": "José"}'),
        (r'Result: {"a": "x\ny"}!', 'Result: {"a": "x\ny"}!'),
        (r'"Jos\u00e9"', '"José"'),
        (r'["{\"a\": \"Jos\\u00e9\"}"]', '["{"a": "José"}"]'),
        (r"{\u00e9 is no JSON}", r"{\u00e9 is no JSON}"),
        (r"C:\new", r"C:\new"),
        ("", ""),
    ],
)
def test_a_text_is_read_as_it_means(text: str, said: str) -> None:
    assert readable(text) == said


def test_values_change_and_keys_do_not() -> None:
    text = 'say {"a": ["b", {"c" : "\\u00e9"}], "n": null} so'
    assert rewritten(text, upper, nothing) == 'SAY {"a": ["B", {"c" : "\\u00c9"}], "n": null} SO'
    text = '{"b": "b", "c" :"b b", "7" : 1}'
    whole = {("b", False): "x", ("7", True): "8"}
    assert rewritten(text, str, lambda *one: whole.get(one)) == '{"b": "x", "c" :"b b", "8" : 1}'


def test_a_text_says_its_values_and_its_keys() -> None:
    text = 'so {"a": ["\\u00e9", 1.5, true], "b": "{\\"c\\": null}"}.'
    assert [piece for piece in pieces(text) if piece[0]] == [
        ("so ", False),
        ("a", True),
        ("é", False),
        ("1.5", False),
        ("b", True),
        ("c", True),
        (".", False),
    ]
    assert list(pieces("plain")) == [("plain", False)]


@pytest.mark.parametrize("text", ["plain", "{broken", '{"a": }', "}{", '"open', ""])
def test_what_is_no_json_is_changed_as_text(text: str) -> None:
    assert rewritten(text, upper, nothing) == text.upper()


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "[" * 100_000 + "]" * 100_000, '"' * 200_000, '{"a":' * 50_000, "\\" * 200_000, "{}" * 90_000],
)
def test_no_text_makes_it_slow(text: str) -> None:
    started = time.process_time()
    assert readable(text) == text
    assert rewritten(text, str, nothing) == text
    assert list(pieces(text))
    assert time.process_time() - started < 2


def test_json_within_json_is_json_again() -> None:
    inner = json.dumps({"who": "José"})
    written = rewritten(json.dumps({"arguments": inner}), lambda text: text.replace("José", "Äda"), nothing)
    assert json.loads(json.loads(written)["arguments"]) == {"who": "Äda"}
