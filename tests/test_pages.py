"""The pages for readers: the README names each of them, and what they link to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", ".github/*.md", "shared/*.md", "packages/*/*.md", "examples/**/*.md")
    for path in ROOT.glob(pattern)
)


def test_the_readme_names_every_page():
    named = set(re.findall(r"\]\(([^)#]+)", (ROOT / "README.md").read_text()))
    assert {page for page in PAGES if page.startswith(("docs/", ".github/"))} <= named


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_links_to_is_there(page: str):
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        linked = (ROOT / page).parent / file if file else ROOT / page
        assert linked.exists(), f"{page} links to {target}"
        if anchor:
            assert anchor in anchors(linked), f"{page} links to {target}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
