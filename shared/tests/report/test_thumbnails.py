"""Images in the report: so small that no text in them can be read, and never in the way of a report."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from protege import Workspace, report
from protege.call import Call
from protege.common.media import media_path, names_in
from protege.report.thumbnails import MISSING, MOST_SHOWN, pictures, thumbnail
from protege.task import Task

NAMES = [f"{number:040x}" for number in range(9)]


def picture(size: tuple[int, int] = (1024, 768), form: str = "PNG", mode: str = "RGB") -> bytes:
    image = Image.new(mode, size)
    ImageDraw.Draw(image).text((10, 10), "4111 1111 1111 1111", fill=1)
    written = io.BytesIO()
    image.save(written, form)
    return written.getvalue()


def bomb() -> bytes:
    """A PNG that says that it has ten thousand million pixels."""
    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


@pytest.mark.parametrize(
    ("content", "size"),
    [
        (picture(), (32, 24)), (picture((768, 1024), "JPEG"), (24, 32)), (picture((200, 60)), (25, 8)),
        (picture((4000, 10)), (32, 1)), (picture((40, 40), "GIF", "P"), (5, 5)),
        (picture((64, 64), mode="RGBA"), (8, 8)),
    ],
)  # fmt: skip
def test_at_most_32_pixels_and_an_eighth_are_left(tmp_path: Path, content: bytes, size: tuple[int, int]) -> None:
    path = tmp_path / "image"
    path.write_bytes(content)
    small = thumbnail(path)
    assert small is not None
    with Image.open(io.BytesIO(small)) as shown:
        assert shown.size == size and not shown.info


BROKEN = (picture()[:500], picture()[:200] + bytes(500), b"\xff\xd8\xff", b"")


@pytest.mark.parametrize("content", [*BROKEN, b"RIFF", b"%PDF-1.7", bomb(), picture((5, 5))])
def test_what_is_no_image_or_too_large_or_tiny_has_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "image"
    path.write_bytes(content)
    assert thumbnail(path) is None
    assert thumbnail(tmp_path / "absent") is None


def home_with(tmp_path: Path, content: bytes, calls: int = 9) -> tuple[Workspace, Task]:
    """A home with a task whose calls name an image each, and calls without."""
    workspace, task = Workspace(tmp_path / "home"), Task("t", "screens", "text", calls=calls)
    made: list[Call] = []
    for number in range(2 * calls):
        url = f"data:image/png;base64,protege-media:{NAMES[number % 9]}" if number % 2 else "https://example.org/a.png"
        parts: list[Any] = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": url}}]
        response = {"role": "assistant", "content": "a page"}
        asked = [{"role": "user", "content": parts}]
        made.append(Call.from_record({"id": f"c{number}", "messages": asked, "response": response}))
    workspace.add_calls(made)
    workspace.save_tasks([task], {call.id: task.id for call in made})
    for name in NAMES:
        path = media_path(workspace.home, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return workspace, task


def test_a_report_shows_some_of_the_latest(tmp_path: Path) -> None:
    workspace, task = home_with(tmp_path, picture())
    found = pictures(workspace, task)
    assert found is not None and found.calls == 9 and len(found.shown) == MOST_SHOWN and not found.note
    page = report.write_report(tmp_path / "report.html", report.gather(workspace)).read_text()
    assert page.count('<img src="data:image/png;base64,') == MOST_SHOWN
    assert "9 of the latest calls hold images, shown so small" in page
    plain = report.write_report(tmp_path / "report.md", report.gather(workspace)).read_text()
    assert "9 of the latest calls hold images" in plain


@pytest.mark.parametrize(
    ("content", "missing", "note"), [(b"%PDF", False, "None of them can be opened."), (picture(), True, MISSING)]
)
def test_where_none_can_be_shown_the_report_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, missing: bool, note: str
) -> None:
    workspace, task = home_with(tmp_path, content)
    if missing:
        monkeypatch.setitem(sys.modules, "PIL", None)
    found = pictures(workspace, task)
    assert found is not None and (found.calls, found.shown, found.note) == (9, (), note)


def test_a_home_without_images_says_nothing(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "home")
    assert pictures(workspace, Task("t", "x", "text")) is None


def test_names_are_digests_alone() -> None:
    name = b"protege-media:" + b"f" * 40
    assert names_in(b"protege-media:../../etc/passwd " + name + b" " + name) == ["f" * 40]
