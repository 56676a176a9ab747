"""Policies say which promise a task's specialists are certified by."""

from __future__ import annotations

import sqlalchemy as sa


def apply(connection: sa.Connection) -> None:
    connection.execute(sa.text("ALTER TABLE policies ADD COLUMN promise VARCHAR"))
    connection.execute(sa.text("ALTER TABLE policies ADD COLUMN epsilon_all FLOAT"))
