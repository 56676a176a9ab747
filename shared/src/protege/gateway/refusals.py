"""Errors of the gateway's own, in the form in which each API tells errors, so that its clients raise what they know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

_STATUS_OF_GEMINI: Mapping[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    502: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_TYPE_OF_ANTHROPIC: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    504: "timeout_error",
}


class Refusal(Exception):
    """A request that is not forwarded, or could not be.

    status: the HTTP status. fact: why, with the remedy, without content of the call.
    """

    def __init__(self, status: int, fact: str) -> None:
        super().__init__(fact)
        self.status = status
        self.fact = fact


def written(refusal: Refusal, front: str | None) -> bytes:
    """The body that tells a refusal to a client of this front."""
    return orjson.dumps(_form(refusal, f"protege gateway: {refusal.fact}", front))


def _form(refusal: Refusal, message: str, front: str | None) -> dict[str, Any]:
    if front == "anthropic":
        kind = _TYPE_OF_ANTHROPIC.get(refusal.status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": message}}
    if front == "gemini":
        status = _STATUS_OF_GEMINI.get(refusal.status, "INTERNAL")
        return {"error": {"code": refusal.status, "message": message, "status": status}}
    if front == "ollama":
        return {"error": message}
    kind = "server_error" if refusal.status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}
