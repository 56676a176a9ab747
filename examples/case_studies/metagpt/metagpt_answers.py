"""What the scripted teacher says to MetaGPT 0.8.2: enough for each of its steps to go on to the next.

Steps that ask for nodes in `[CONTENT]` get their own example back; code and tests are a few lines that run. The first
review and the first test fail, so that both repairs are asked for too.
"""

from __future__ import annotations

import json
import re
from collections import Counter

from protege import Request, text_of

_EXAMPLE = re.compile(r"^## format example\n\[CONTENT\]\n(.*?)\n\[/CONTENT\]", re.DOTALL | re.MULTILINE)
_CHOSEN = {"issue_type": "REQUIREMENT", "is_relative": "YES", "LGTM": "LGTM"}
"""Of nodes with a choice, what is chosen."""
_FILE = re.compile(r"`?([\w./-]+\.py)\b")
_CODE = "```python\n## {file}\nclass Sum:\n    def of(self, a: int = 1, b: int = 2) -> int:\n        return a + b\n```"
_TEST = """## {file}
```python
import unittest

class Adds(unittest.TestCase):
    def test_adds(self) -> None:
        self.assertEqual(1 + 1, {two})

if __name__ == "__main__":
    unittest.main()
```"""
_REVIEW = "## Code Review: {file}\n1. It is.\n\n## Actions\nnone\n\n## Code Review Result\n{verdict}\n"
_RUN = "---\n## instruction:\n{why}\n## File To Rewrite:\n{file}\n## Status:\n{status}\n## Send To:\n{to}\n---"
_SUMMARY = (
    "## Code Review All\n- fine\n\n## Call flow\n```mermaid\nflowchart TB\n```\n\n## Summary\n- one\n\n## TODOs\n{}\n"
)


class Script:
    """Answers a prompt by what it asks for."""

    def __init__(self) -> None:
        self._times: Counter[str] = Counter()

    def __call__(self, request: Request) -> str:
        prompt = text_of(request.messages[-1])
        if (example := _EXAMPLE.search(prompt)) is not None:
            nodes = json.loads(example[1])
            return f"[CONTENT]\n{json.dumps(nodes | {k: v for k, v in _CHOSEN.items() if k in nodes})}\n[/CONTENT]"
        if "# Instruction: rewrite the" in prompt:
            file = _file(prompt, "# Instruction: rewrite the")
            return f"## Rewrite Code: {file}\n{_CODE.format(file=file)}"
        if "LGTM/LBTM" in prompt:
            return _REVIEW.format(file=_file(prompt, "code filename should be"), verdict=self._first("LBTM", "LGTM"))
        if "write appropriate test cases" in prompt:
            return _TEST.format(file=_file(prompt, "put your test code at"), two=3)
        if "summarize the code running result" in prompt:
            file, failed = _file(prompt, "## Test File Name"), self._first("FAIL", "PASS") == "FAIL"
            told = ("FAIL", "QaEngineer", "One and one are two.") if failed else ("PASS", "NoOne", "Nothing.")
            return _RUN.format(file=file, status=told[0], to=told[1], why=told[2])
        if "start rewriting the code" in prompt:
            return _TEST.format(file="test_main.py", two=2)
        if "## Code Review All" in prompt:
            return _SUMMARY
        if "anything that needs to be done" in prompt:
            return '```json\n{"result": "YES"}\n```'
        if "write code" in prompt or "rewrite code" in prompt:
            file = _file(prompt, "## Code:")
            return f"## Code: {file}\n{_CODE.format(file=file)}"
        return "OK"

    def _first(self, first: str, later: str) -> str:
        """The first time one answer, then another."""
        self._times[first] += 1
        return first if self._times[first] == 1 else later


def _file(prompt: str, after: str) -> str:
    """The file that is named first after the last of these words."""
    found = _FILE.search(prompt.rpartition(after)[2])
    return found[1].rpartition("/")[2] if found else "main.py"
