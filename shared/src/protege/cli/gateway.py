"""The commands of the gateway: running it, and its keys."""

from __future__ import annotations

from typing import Annotated

import typer

from ..common.files import home_path
from ..errors import BadInput, MissingDependency
from ..gateway import clients, keys
from ..gateway.settings import PORT, Settings, settings
from . import output
from .common import RUN, Home, Json, done

standing = typer.Typer()


@standing.command(rich_help_panel=RUN)
def gateway(
    host: Annotated[str, typer.Option(help="The address to listen on. Others than this machine's need a key.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="The port to listen on; 0 for any.")] = PORT,
    workers: Annotated[int, typer.Option(min=1, help="The number of processes that answer.")] = 1,
    upstream: Annotated[
        list[str] | None,
        typer.Option(help="FRONT=URL, or FRONT/NAME=URL for one that clients pick by the header x-protege-upstream."),
    ] = None,
    credentials: Annotated[
        list[str] | None,
        typer.Option(help="FRONT=VARIABLE: the environment variable with the upstream's key, for clients with ours."),
    ] = None,
    text_suffices: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NODE",
            help="A node, by the beginning of its path, whose images are left out of what specialists are shown.",
        ),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Allow upstreams whose name leads to a private address.")
    ] = False,
    origin: Annotated[list[str] | None, typer.Option(help="A web page's origin that may ask.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Stand in front of model APIs: record agents whose code cannot be changed, and let specialists answer them."""
    chosen = settings(
        home,
        upstream or (),
        credentials=credentials or (),
        host=host,
        port=port,
        private=private,
        origins=tuple(origin or ()),
        text_suffices=tuple(text_suffices or ()),
    )
    try:
        from ..gateway import running  # it needs the extra
    except ModuleNotFoundError as error:
        raise MissingDependency(error.name or "uvicorn", "gateway") from None
    running.run(chosen, workers, lambda address: _ready(chosen, address, as_json))


def _ready(chosen: Settings, address: str, as_json: bool) -> None:
    upstreams = {f"{each.front}/{each.name}".rstrip("/"): each.url for each in chosen.upstreams}
    if as_json:
        return output.print_json({"address": address, "home": str(chosen.home), "upstreams": upstreams})
    output.console.print(f"Listening on {address}; calls go to {chosen.home}. Ctrl-C stops.", highlight=False)
    rows = [(each.client, each.how) for each in clients.pointers(address)]
    output.print_table("Point clients at it", ("client", "setting"), rows)


@standing.command("keys", rich_help_panel=RUN)
def manage_keys(
    new: Annotated[str | None, typer.Option(help="Make a key of this name. It is shown once.")] = None,
    node: Annotated[
        list[str] | None, typer.Option(help="With --new: a node that it may be used for, by the beginning of its path.")
    ] = None,
    revoke: Annotated[str | None, typer.Option(help="Take back the key of this name.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make, list and revoke the gateway's keys. Once there is one, the gateway answers nobody without."""
    folder = home_path(home)
    if new and revoke:
        raise BadInput("A key is either made or revoked.", "Give --new or --revoke.")
    if new:
        key = keys.new_key(folder, new, node or ())
        return done({"name": new, "key": key, "nodes": node or []}, f"{key}\nIt is not shown again.", as_json)
    if revoke:
        keys.revoke(folder, revoke)
        return done({"revoked": revoke}, f"{revoke} is refused within a second.", as_json)
    known = keys.keys_of(folder)
    if as_json:
        rows = [{"name": each.name, "nodes": list(each.nodes), "made": each.made} for each in known]
        return output.print_json({"keys": rows})
    output.print_table("Keys", ("name", "nodes"), [(each.name, ", ".join(each.nodes) or "all") for each in known])
