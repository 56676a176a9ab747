"""Text that is safe to show on a terminal: what acts on the terminal is written out instead.

Text from calls, files and servers may hold escape sequences that set the clipboard or the title, move the cursor, or
turn the direction of writing, so that a line seems to say something else.
"""

from __future__ import annotations

import json
import re

_ACTIVE = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and line feed, DEL, C1 (a terminal may take U+009B for ESC [)
    "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # direction, invisible, separators
    "\ud800-\udfff"  # halves of characters, such as of a file name that is not UTF-8: they cannot be written
    "\U000e0000-\U000e007f"  # invisible tags
    "]"
)
_LAYOUT = re.compile("[\t\n]")


def printable(text: str) -> str:
    """The text with every character that acts on a terminal written as its code, such as `\\x1b`.

    Tabs and line feeds stay.
    """
    return text if text.isascii() and text.isprintable() else _ACTIVE.sub(_code, text)


def printable_line(text: str) -> str:
    """As `printable`, with tabs and line feeds written out too: for text that must not begin a line of its own."""
    return _LAYOUT.sub(_code, printable(text))


def printable_json(document: str) -> str:
    """The same JSON document, with those characters as `\\u` escapes inside its strings."""
    return document if document.isascii() else _ACTIVE.sub(lambda match: json.dumps(match[0])[1:-1], document)


def _code(match: re.Match[str]) -> str:
    code = ord(match[0])
    if match[0] in "\t\n":
        return "\\t" if match[0] == "\t" else "\\n"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
