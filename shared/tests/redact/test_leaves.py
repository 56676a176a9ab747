"""A text is taken apart into the pieces of its JSON, each as it means and with its place; nothing else is lost."""

from __future__ import annotations

import json
import time

import pytest
from protege.redact import readable
from protege.redact.leaves import leaves


def said(text: str) -> list[tuple[str, str, str]]:
    return [(leaf.kind, leaf.key, leaf.text) for leaf in leaves(text)]


def test_a_text_says_its_values_and_its_keys() -> None:
    text = 'so {"a": ["\\u00e9", 1.5, true], "b": "{\\"c\\": null, \\"d\\": \\"x\\"}"}.'
    assert said(text) == [
        ("text", "", "so "),
        ("key", "a", "a"),
        ("value", "a", "é"),
        ("number", "a", "1.5"),
        ("key", "b", "b"),
        ("key", "c", "c"),
        ("key", "d", "d"),
        ("value", "d", "x"),
        ("text", "", "."),
    ]
    assert said("plain") == [("text", "", "plain")]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (r'{"a": "Jos\u00e9"}', ["a", "José"]),
        (r'Result: {"a": "x\ny"}!', ["Result: ", "a", "x\ny", "!"]),
        (r'"Jos\u00e9"', ["José"]),
        (r'["{\"a\": \"Jos\\u00e9\"}"]', ["a", "José"]),
        ('{"a": 1}\n{"a": 2}\n[3]', ["a", "1", "\n", "a", "2", "\n", "3"]),
        ('{"a": "see [1] and {"}', ["a", "see ", "1", " and {"]),
        ("{broken [", ["{broken ["]),
        ('{broken {"a": "x"}', ["{broken ", "a", "x"]),
        (r"C:\Users\nina", [r"C:\Users\nina"]),
        ("", [""]),
    ],
)
def test_a_text_is_read_as_it_means(text: str, read: list[str]) -> None:
    assert [leaf.text for leaf in leaves(text)] == read
    assert readable(text) == "\n".join(read)


def test_each_piece_knows_its_place() -> None:
    text = 'say {"who": "Jos\\u00e9 &eacute;", "note": "{\\"n\\": \\"Ad\\\\u00e9le\\"}", "n": 17}'
    places = {leaf.text: text[slice(*leaf.view.place(0, len(leaf.text)))] for leaf in leaves(text)}
    assert places["José é"] == "Jos\\u00e9 &eacute;" and places["Adéle"] == "Ad\\\\u00e9le"
    assert places["17"] == "17" and places["who"] == "who" and places["say "] == "say "


def test_a_value_knows_what_is_around_it() -> None:
    *_, leaf = leaves('{"order": {"customers": [{"name": "x", "address": {"city": "y"}}], "id": 3}, "z": "last"}')
    assert (leaf.inside.path, leaf.key, leaf.inside.keys) == ((), "z", {"order", "z"})
    city = next(
        leaf for leaf in leaves('{"order": {"customer": {"name": "x", "address": {"city": "y"}}}}') if leaf.text == "y"
    )
    assert city.inside.path == ("order", "customer", "address") and city.inside.keys == {"city"}


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "[" * 100_000 + "]" * 100_000, '"' * 200_000, '{"a":' * 50_000, "\\" * 200_000, "{}" * 90_000],
)
def test_no_text_makes_it_slow(text: str) -> None:
    started = time.process_time()
    leaves(text)
    assert time.process_time() - started < 2


def test_json_within_json_ends_somewhere() -> None:
    text = "x"
    for _ in range(12):
        text = json.dumps([text])
    assert len(leaves(text)) == 1
