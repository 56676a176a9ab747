"""The declarative form of a wrapped client, without its secrets.

AutoGen's own dump holds the key as a `SecretStr`. In memory that works; in JSON it becomes a row of stars, which a load
then takes for the key. Other secrets, in headers or in an address, are written out. Here all of them are masked, and a
mask is never taken for a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from autogen_core import ComponentModel
from autogen_core.models import ChatCompletionClient
from protege.adapter import BadInput
from pydantic import BaseModel, SecretStr


class ProtegeClientConfig(BaseModel):
    """The declarative form of a `ProtegeChatCompletionClient`."""

    client: ComponentModel
    """The wrapped client's own form."""
    home: str | None = None
    """As it was given; None for PROTEGE_HOME, else `.protege`, where the client is loaded."""
    agent: str | None = None
    """The name of the agent that asks."""


class MaskedSecret(BadInput):
    """A configuration has a mask in a place where the client needs the secret."""


def masked(component: ComponentModel) -> ComponentModel:
    """The same configuration with every secret as a `SecretStr`, which JSON shows as stars."""
    return component.model_copy(update={"config": _each(component.config, _mask)})


def load(component: ComponentModel) -> ChatCompletionClient:
    """The client of a dump. A masked key is left out, so that the client takes it from its environment variable.

    Raises MaskedSecret if the client then has no key, or if the masked secret is of a kind that no variable holds.
    """
    lost: list[str] = []

    def plain(path: tuple[str, ...], value: Any) -> Any:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if text == _MASK:
            lost.append(".".join(path))
            return _LEFT_OUT
        return text

    config = _each(component.config, plain)
    if needed := [name for name in lost if name.rsplit(".", 1)[-1] not in _IN_ENVIRONMENT]:
        raise MaskedSecret(
            f"The configuration has a mask in place of {', '.join(needed)}.", "Put the secret there before loading it."
        )
    try:
        return ChatCompletionClient.load_component(component.model_copy(update={"config": config}))
    except Exception as error:
        if not lost:
            raise
        kind = component.provider.rsplit(".", 1)[-1]
        raise MaskedSecret(
            f"The configuration has a mask in place of {', '.join(lost)}, and {kind} found none elsewhere"
            f" ({type(error).__name__}).",
            "Set the key's environment variable, such as OPENAI_API_KEY, or put the secret into the configuration.",
        ) from error


_MASK = str(SecretStr("any"))
_SECRET = re.compile(r"(?:^|[_-])(?:key|token|secret|password|authorization|cookie|credential)s?$", re.IGNORECASE)
_ADDRESS = re.compile(r"\w+://[^/@\s]*@\S*")
_IN_ENVIRONMENT = frozenset({"api_key", "azure_ad_token"})
_LEFT_OUT = object()


def _mask(path: tuple[str, ...], value: Any) -> Any:
    if isinstance(value, str) and path and (_SECRET.search(path[-1]) or _ADDRESS.fullmatch(value)):
        return SecretStr(value)
    return value


def _each(value: Any, change: Callable[[tuple[str, ...], Any], Any], path: tuple[str, ...] = ()) -> Any:
    """`value` with each of its leaves changed or left out. path: the names that lead to it."""
    if isinstance(value, Mapping):
        entries = cast(Mapping[str, Any], value).items()
        changed = {name: _each(inner, change, (*path, str(name))) for name, inner in entries}
        return {name: inner for name, inner in changed.items() if inner is not _LEFT_OUT}
    if isinstance(value, list):
        return [_each(inner, change, path) for inner in cast(list[Any], value)]
    return change(path, value)
