"""What is left of the results can all be made again: the cache. What is certified is called a route, as elsewhere."""

from __future__ import annotations

import sqlalchemy as sa

from .m0001_november import terms

routes = sa.Table(
    "routes",
    sa.MetaData(),
    sa.Column("specialist_id", sa.String, primary_key=True),
    sa.Column("task_id", sa.String, nullable=False, index=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)


def apply(connection: sa.Connection) -> None:
    connection.execute(sa.text("ALTER TABLE results RENAME TO cache"))
    routes.create(connection)
    names = [column.name for column in routes.columns]
    connection.execute(sa.insert(routes).from_select(names, sa.select(*(terms.c[name] for name in names))))
    terms.drop(connection)
