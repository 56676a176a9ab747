"""Scripts in whose sentences the model finds few names: what is written in them is not taught."""

from __future__ import annotations

import re

UNREAD = {
    "Chinese or Japanese": r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff66-\uff9d",
    "Korean": r"\u1100-\u11ff\uac00-\ud7af",
    "Cyrillic": r"\u0400-\u052f",
    "Greek": r"\u0370-\u03ff",
    "Arabic": r"\u0600-\u06ff\u0750-\u077f",
    "Hebrew": r"\u0590-\u05ff",
    "Thai": r"\u0e00-\u0e7f",
    "Indian": r"\u0900-\u0dff",
}
UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
"""Thai, Lao, Burmese, Khmer, Kana, Han, Hangul: words, and numbers beside them, are written without blanks between."""
MOST = 12
"""So many letters are a name or a word within a text in Latin letters; more are a sentence."""
_LETTERS = {name: re.compile(f"[{letters}]") for name, letters in UNREAD.items()}


def unread_script(text: str) -> str:
    """The script of sentences in a text in which names are not found; empty if there is none.

    Some letters of it may stand in a text in Latin letters: there a name is found by what is around it.
    """
    if text.isascii():
        return ""
    for name, letters in _LETTERS.items():
        if len(letters.findall(text)) > MOST:
            return name
    return ""
