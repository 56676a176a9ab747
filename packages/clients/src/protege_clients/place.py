"""Where in an agent a call was made: what its headers say, the step around it, or else its own form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from protege.adapter import Place, default_node, tried_id

HEADERS = ("x-protege-node", "x-protege-run", "x-protege-parent")
"""A request's own word on its place, as the gateway reads it too. They go no further than here."""
IDEMPOTENCY = "idempotency-key"
"""Names all tries of a request, so that they are one call."""


class Step(NamedTuple):
    """What is known of the calls within a context."""

    node: tuple[str, ...] = ()
    run: str | None = None
    parent: str | None = None
    agent: str | None = None


_step: ContextVar[Step] = ContextVar("protege_step", default=Step())  # noqa: B039 - it is immutable


@contextmanager
def step(*node: str, run: str | None = None, parent: str | None = None, agent: str | None = None) -> Iterator[None]:
    """Name the step of the agent whose calls are made within this context.

        with step("writer", run=conversation_id):
            client.chat.completions.create(...)

    node: its path; a step within another is below it. run: the id of the agent's run. parent: the id of the step
    around. agent: the agent's name. What is not given is the outer step's. Holds for this thread or task and those that
    it starts.
    """
    outer = _step.get()
    inner = Step((*outer.node, *node), run or outer.run, parent or outer.parent, agent or outer.agent)
    token = _step.set(inner)
    try:
        yield
    finally:
        _step.reset(token)


def place_of(
    framework: str, agent: str | None, told: Mapping[str, str], record: Mapping[str, Any], body: bytes = b""
) -> Place:
    """The place of a call that is being made.

    agent: the name that the wrapped client has. told: as `taken` gives it. record, body: the request's. Where nothing
    names the node, its form does (`protege.dialects.naming`).
    """
    around = _step.get()
    name = around.agent or agent
    node = tuple(part for part in told.get("x-protege-node", "").split("/") if part) or around.node
    return Place(
        framework,
        node or default_node(record, name),
        name,
        told.get("x-protege-run") or around.run,
        told.get("x-protege-parent") or around.parent,
        tried_id(told[IDEMPOTENCY], body) if IDEMPOTENCY in told else None,
    )


def taken(headers: MutableMapping[str, str]) -> dict[str, str]:
    """What a request's headers say of its place. Our own are taken out of them."""
    key = headers.get(IDEMPOTENCY)
    told = {name: headers.pop(name) for name in HEADERS if name in headers}
    return {**told, IDEMPOTENCY: key} if key else told
