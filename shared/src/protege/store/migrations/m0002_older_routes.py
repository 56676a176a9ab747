"""Routes that the oldest homes keep among the results, from before there were audits, into the table of routes."""

from __future__ import annotations

import orjson
import sqlalchemy as sa

from .m0001_november import results, terms

AUDIT = 0.02
"""The usual share, for a route that says none."""


def apply(connection: sa.Connection) -> None:
    known = set(connection.scalars(sa.select(terms.c.specialist_id)))
    query = sa.select(results.c.key, results.c.body).where(results.c.key.startswith("route:"))
    for key, body in connection.execute(query).all():
        specialist_id = key.removeprefix("route:")
        if specialist_id not in known:
            route = {**orjson.loads(body), "audit": AUDIT}
            row = {"specialist_id": specialist_id, "task_id": route["task_id"], "body": orjson.dumps(route)}
            connection.execute(sa.insert(terms).values(row))
