"""The forms of files, each told by what its documents hold, and named with `--format`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ...common.registry import Registry
from ...errors import BadCall
from .base import Format

_HERE = "protege.collect.formats"
FORMATS: Registry[Format] = Registry(
    "format",
    "protege.formats",
    {
        "otlp": f"{_HERE}.otlp:form",
        "mlflow": f"{_HERE}.mlflow:form",
        "helicone": f"{_HERE}.helicone:form",
        "tau-bench": f"{_HERE}.trajectories:tau_form",
        "tau2-bench": f"{_HERE}.tau2:form",
        "swe-agent": f"{_HERE}.trajectories:swe_form",
        "langfuse": f"{_HERE}.langfuse:form",
        "langsmith": f"{_HERE}.langsmith:form",
        "litellm": f"{_HERE}.litellm:form",
        "corrections": f"{_HERE}.corrections:form",
        "batch": f"{_HERE}.exchanges:batch_form",
        "stored": f"{_HERE}.exchanges:stored_form",
        "requests": f"{_HERE}.exchanges:pair_form",
        "chatml": f"{_HERE}.chatml:form",
        "sharegpt": f"{_HERE}.sharegpt:form",
        "openai": f"{_HERE}.openai:form",
        "calls": f"{_HERE}.calls:form",
    },
)
"""In the order in which they are asked whether a document is in their form: the plainest last."""

_ALONE = "a message by itself; write a line with messages and response for each call"
_UNREAD: Sequence[tuple[frozenset[str], str]] = (
    (frozenset({"resourceLogs"}), "OpenTelemetry logs; export the spans, with the messages on them"),
    (frozenset({"resourceMetrics"}), "OpenTelemetry metrics; export the traces"),
    (frozenset({"traceID", "spans"}), "a Jaeger trace; export it as OTLP JSON"),
    (frozenset({"traceId", "localEndpoint"}), "a Zipkin span; export it as OTLP JSON"),
    (frozenset({"log", "version"}), "a HAR file; write a line with request and response for each call"),
    (frozenset({"preferred_output"}), "a preference file; write one with messages and the preferred answer"),
    (frozenset({"role", "content"}), _ALONE),
    (frozenset({"role", "parts"}), _ALONE),
    (frozenset({"kind", "parts"}), _ALONE),
    (frozenset({"nbformat", "cells"}), "a notebook; export the calls that it made"),
    (frozenset({"request_id", "signed_body_url"}), "a Helicone row without its bodies; export with --include-body"),
)
"""Forms that are not read: the fields that tell each, and what it is, with what to export instead."""


def formats() -> tuple[Format, ...]:
    """All formats, in their order. Other packages' are looked for, which takes a tenth of a second."""
    return tuple(FORMATS.get(name) for name in FORMATS.names())


def format_of(document: Any, among: Sequence[Format]) -> Format:
    """The format that a document is in. Raises BadCall if it is in none: a form that is known is named.

    among: as `formats` gives them.
    """
    if not isinstance(document, Mapping):
        raise BadCall("not a JSON object.")
    document = cast(Mapping[str, Any], document)
    for form in among:
        if form.tells(document):
            return form
    for marks, what in _UNREAD:
        if marks <= document.keys():
            raise BadCall(f"{what}.")
    return FORMATS.get("calls")


def parts_of(document: Any) -> Sequence[Any]:
    """The documents in one that lists others, as APIs answer (`{"data": […]}`); else the one itself."""
    if isinstance(document, list):
        return cast(list[Any], document)
    if isinstance(document, Mapping):
        document = cast(Mapping[str, Any], document)
        for name in ("data", "runs", "traces"):
            listed = document.get(name)
            if isinstance(listed, list) and listed and not any(key in document for key in ("messages", "info", "id")):
                first: Any = cast(list[Any], listed)[0]
                if isinstance(first, Mapping) and ("role" not in first or "object" in first):
                    return cast(list[Any], listed)
    return (document,)
