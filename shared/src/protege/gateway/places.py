"""Agent, node and run of a call, as its request names them.

No agent names them by itself, so a path prefix names the agent and the request's form the node (`dialects.naming`).
What tracing tools write into headers and bodies is read too; the first that is there counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import unquote

from ..capture import Place
from ..dialects import default_node

MOST = 200
"""The most characters of a name."""
_TRACE = re.compile(r"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-[0-9a-f]{2}")
_RUN_HEADERS = (
    "x-litellm-session-id",
    "x-litellm-trace-id",
    "helicone-session-id",
    "x-portkey-trace-id",
    "langfuse_session_id",
)
_RUN_BAGGAGE = ("session.id", "gen_ai.conversation.id", "langfuse.session.id")
_RUN_FIELDS = ("litellm_session_id", "litellm_trace_id", "tensorzero::episode_id")
_RUN_METADATA = ("session_id", "run_id", "trace_id", "conversation_id", "thread_id")
_NODE_HEADERS = ("helicone-session-path", "langfuse_trace_name")


def place_of(
    headers: Mapping[str, str], body: Mapping[str, Any], agent: str | None, record: Mapping[str, Any]
) -> Place:
    """Where in an agent a call was made.

    headers: by their names in lower case. body: as sent.
    agent: as the path names it. record: the request as `Asked.record` has it."""
    trace = _TRACE.fullmatch(headers.get("traceparent", ""))
    named = _node(headers)
    return Place(
        "gateway",
        named or default_node(record, agent),
        agent,
        _first(_runs(headers, body, trace and trace["trace"])),
        _text(headers.get("x-protege-parent")) or (trace["span"] if trace else None),
    )


def _node(headers: Mapping[str, str]) -> tuple[str, ...]:
    written = headers.get("x-protege-node") or _first(headers.get(name) for name in _NODE_HEADERS) or ""
    return tuple(part for each in written.split("/")[:10] if (part := _text(unquote(each))))


def _runs(headers: Mapping[str, str], body: Mapping[str, Any], trace: str | None) -> Iterator[Any]:
    yield headers.get("x-protege-run")
    yield trace
    baggage = dict(_baggage(headers.get("baggage", "")))
    yield from (baggage.get(name) for name in _RUN_BAGGAGE)
    yield from (headers.get(name) for name in _RUN_HEADERS)
    yield from (body.get(name) for name in _RUN_FIELDS)
    metadata = body.get("metadata")
    if isinstance(metadata, Mapping):
        yield from (cast(Mapping[str, Any], metadata).get(name) for name in _RUN_METADATA)


def _baggage(header: str) -> Iterator[tuple[str, str]]:
    for member in header[:8192].split(","):
        name, _, value = member.partition(";")[0].partition("=")
        yield name.strip(), unquote(value.strip())


def _first(values: Iterator[Any]) -> str | None:
    return next((text for value in values if (text := _text(value))), None)


def _text(value: Any) -> str | None:
    """A name as it may be stored: short, without what does not print; None if there is nothing of it."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        return None
    return "".join(c for c in str(value)[:MOST] if c.isprintable()).strip() or None
