"""The app: all commands, in the order in which the help lists them."""

from __future__ import annotations

import typer

from .gateway import standing
from .learning import learning
from .serving import serving
from .travelling import travelling
from .upkeep import upkeep
from .watching import watching

app = typer.Typer(
    help="Turns an agent's repeated calls to a large model into small models that answer them, with a guarantee.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
for group in (watching, learning, serving, standing, travelling, upkeep):
    app.add_typer(group)
