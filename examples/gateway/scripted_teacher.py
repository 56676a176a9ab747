"""A teacher from a script behind the APIs of OpenAI and Anthropic, so that the example needs no key."""

from __future__ import annotations

import re

from desk import TEAM_OF, TRIAGE
from protege import Request, text_of
from protege.call import Reply, request_from
from protege.dialects import dialect_at
from starlette.applications import Starlette
from starlette.requests import Request as Asked
from starlette.responses import Response
from starlette.routing import Route


def answer(request: Request) -> str:
    """The team of a ticket, or a sentence for its sender."""
    ticket = text_of(request.messages[-1]).removeprefix("Ticket: ")
    if request.system == TRIAGE:
        return TEAM_OF[ticket]
    order = re.search(r"\b\d{5}\b", ticket)
    return f"The {TEAM_OF[ticket]} team has your ticket{f' about order {order[0]}' if order else ''}."


async def answered(asked: Asked) -> Response:
    dialect = dialect_at(asked.method, asked.url.path).dialect
    assert dialect is not None
    read = dialect.asked(asked.url.path, dict(asked.query_params), await asked.json())
    said = {"role": "assistant", "content": answer(request_from(read.record))}
    return Response(dialect.whole(Reply(said, "stop", read.model, 200, 5), read), media_type="application/json")


app = Starlette(routes=[Route("/{path:path}", answered, methods=["POST"])])
