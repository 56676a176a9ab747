"""Texts are read as they mean, however they are written, and each character knows its place in the original."""

from __future__ import annotations

import pytest
from protege.redact.folding import View, folded, without_accents


@pytest.mark.parametrize(
    ("text", "read"),
    [
        *((f"Jos{accent}", "José") for accent in ("\u00e9", "e\u0301", "&eacute;", "&#233;", "&#xE9;", "&amp;eacute;")),
        *((f"Jos{accent}", "José") for accent in ("%C3%A9", "%25C3%25A9", "%u00e9", "=C3=A9", r"\u{e9}", r"\xe9")),
        *((f"Jos{slashes}u00e9", "José") for slashes in ("\\", "\\\\", "\\\\\\\\")),
        *((f"4{dash}2", "4-2") for dash in "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\uff0d"),
        *((f"a{blank}b", "a b") for blank in ("\u00a0", "\u2009", "\u202f", "\u3000", "&nbsp;", "&#8201;")),
        *((f"O{mark}Brien", "O'Brien") for mark in ("\u2019", "\u2018", "\u02bc", "&rsquo;", "&#39;", "\u00b4")),
        ("\uff11\uff12\u0663", "123"),
        ("An\u00adna\u200b Kim", "Anna Kim"),
        ("\u1112\u1161\u11ab", "\ud55c"),
        ("\uff94\uff8f\uff80\uff9e", "ヤマダ"),
        (r"\ud83d\ude00", "\U0001f600"),
        (r"https:\/\/a.org\/b", "https://a.org/b"),
        ("a%20b%40c", "a+b@c"),
        (r"one\nAnna", "one\nAnna"),
        (r"C:\Users\nina", r"C:\Users\nina"),
        ("100% of R&D; %zz %ff &nosuch; =CC =XY", "100% of R&D; %zz %ff &nosuch; =CC =XY"),
        ("", ""),
    ],
)
def test_what_reads_alike_is_one_text(text: str, read: str) -> None:
    view = folded(View(text))
    assert view.text == read
    assert view.place(0, len(read)) == (0, len(text))


def test_each_character_knows_its_place() -> None:
    text = "x Ren&#233;e Lef%C3%A8vre y"
    view = folded(View(text))
    start = view.text.index("Renée")
    assert text[slice(*view.place(start, start + 5))] == "Ren&#233;e"
    start = view.text.index("è")
    assert text[slice(*view.place(start, start + 1))] == "%C3%A8"
    part = view.part(start, len(view.text))
    assert text[slice(*part.place(1, 5))] == "vre "


def test_letters_lose_their_accents() -> None:
    assert [without_accents(t) for t in ("García", "Łódź", "Straße", "O'Brien")] == [
        "Garcia",
        "Lodz",
        "Strasse",
        "O'Brien",
    ]
