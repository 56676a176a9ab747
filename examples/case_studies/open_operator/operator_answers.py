"""What the scripted teacher says to Open Operator, the session service that it asks for a browser, and the pages that
it visits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
from protege import Request, text_of
from starlette.applications import Starlette
from starlette.requests import Request as Asked
from starlette.responses import HTMLResponse
from starlette.routing import Route

GOAL = "Find out what the brass lamp costs"
STEPS = (
    ("OBSERVE", "find the links to the goods"),
    ("ACT", "type brass lamp into the search field"),
    ("ACT", "click the link to the brass lamp"),
    ("EXTRACT", "the price on the page"),
    ("WAIT", "200"),
    ("NAVBACK", ""),
    ("CLOSE", ""),
)
"""What the agent is told to do, in order."""
_ELEMENT = re.compile(r"\[([\d-]+)\] (textbox|link)\b")
_SHOP = """<title>Shop</title><h1>Shop</h1><form><label>What <input name=q aria-label="Search field"></label></form>
<ul><li><a href=/lamp>Brass lamp</a><li><a href=/bowl>Copper bowl</a></ul>"""
_LAMP = "<title>Brass lamp</title><h1>Brass lamp</h1><p>It costs $12.50.</p>"

shop = Starlette(routes=[Route("/{path:path}", lambda asked: HTMLResponse(_page(asked)))])


def _page(asked: Asked) -> str:
    return _LAMP if asked.url.path == "/lamp" else _SHOP


def sessions(browser: str) -> dict[str, Any]:
    """The paths of the session service, which give out a browser on this machine. browser: its address."""
    session = {
        "id": "session-1", "status": "RUNNING", "connectUrl": browser, "projectId": "p", "region": "us-west-2",
        "createdAt": "2026-01-01T00:00:00Z", "startedAt": "2026-01-01T00:00:00Z", "expiresAt": "2036-01-01T00:00:00Z",
        "updatedAt": "2026-01-01T00:00:00Z", "keepAlive": True, "proxyBytes": 0, "signingKey": "",
        "seleniumRemoteUrl": "",
    }  # fmt: skip
    shown = {"debuggerFullscreenUrl": "about:blank", "debuggerUrl": "about:blank", "pages": [], "wsUrl": browser}
    context = {
        "id": "context-1",
        "uploadUrl": "",
        "publicKey": "",
        "cipherAlgorithm": "",
        "initializationVectorSize": 16,
    }
    return {
        "/v1/contexts": lambda path: context,
        "/v1/sessions": lambda path: shown if path.endswith("/debug") else session,
    }


class Script:
    """Answers the agent's five prompts."""

    def __init__(self, start: str) -> None:
        """start: the address of the page to begin with."""
        self._start = start
        self._steps = iter(STEPS)

    def __call__(self, request: Request) -> str | Mapping[str, Any]:
        if request.tools:
            return self._decided(request)
        keys = orjson.dumps(request.response_format).decode()
        if '"elements"' in keys:
            return orjson.dumps({"elements": _elements(request, '"number"' in keys)}).decode()
        if '"completed"' in keys:
            return '{"progress": "the price is known", "completed": true}'
        return '{"extraction": "$12.50"}'

    def _decided(self, request: Request) -> Mapping[str, Any]:
        parameters = request.tools[0]["function"]["parameters"]
        if "url" in parameters["properties"]:
            return {"url": self._start, "reasoning": "The shop sells lamps."}
        tool, instruction = next(self._steps, STEPS[-1])
        return {"text": f"{tool} {instruction}", "reasoning": "It is next.", "tool": tool, "instruction": instruction}


def _elements(request: Request, numbered: bool) -> list[dict[str, Any]]:
    """The element to act on, from the tree of the page that the prompt shows."""
    asked = "\n".join(text_of(message) for message in request.messages if message.get("role") == "user")
    kind, method, arguments = (
        ("textbox", "fill", ["brass lamp"]) if "type brass lamp" in asked else ("link", "click", [])
    )
    for element in _ELEMENT.finditer(asked):
        if element[2] == kind:
            number: int | str = int(element[1]) if numbered else element[1]
            return [{"elementId": number, "description": kind, "method": method, "arguments": arguments}]
    return []
