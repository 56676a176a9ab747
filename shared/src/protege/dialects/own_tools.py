"""Tools that a provider runs itself, such as those of a server for MCP, hold what signs it in there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

_SECRETS = ("authorization", "auth", "headers", "cookie", "apikey", "token", "secret", "password", "credentials")
"""How the names of fields end that hold secrets, without what parts their words."""
_SCHEMAS = frozenset({"parameters", "parametersJsonSchema", "input_schema", "inputSchema", "custom", "schema"})
_IN_ADDRESS = re.compile(r"(?<=//)[^/@?#]{1,1000}@|[?#].*", re.DOTALL)
"""Where an address may hold a secret."""


def without_secrets(value: Any, name: str = "") -> Any:
    """A provider's own tool without what signs it in somewhere. What looks so in a schema is a name only."""
    if isinstance(value, Mapping):
        fields = cast(Mapping[str, Any], value)
        return {
            name: held if name in _SCHEMAS else without_secrets(held, name)
            for name, held in fields.items()
            if not name.lower().replace("_", "").replace("-", "").endswith(_SECRETS)
        }
    if isinstance(value, list):
        return [without_secrets(held, name) for held in cast(list[Any], value)]
    return _IN_ADDRESS.sub("", value) if isinstance(value, str) and name.lower().endswith(("url", "uri")) else value
