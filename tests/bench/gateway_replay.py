"""Logged requests of agents, sent once more through the gateway: whether it passes each on byte for byte and records
it, and whether the agents' call sites are nodes of their own.

    .venv/bin/python tests/bench/gateway_replay.py FILE.jsonl.gz … [--json]

A line: `{"method", "path", "headers", "body", "site"}`; `site` names the place in the agent's code, and lines without
one are no calls of a model. The upstream is a server of this script.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent / "sweeps"), str(Path(__file__).parents[1] / "support")]

from gateways import Fake, Stand, chat, gateway, served  # noqa: E402
from protege.gateway.address import FRONTS  # noqa: E402
from protege.gateway.settings import Settings, Upstream  # noqa: E402
from sweeping import told  # noqa: E402

_OF_ONE_CONNECTION = ("host", "content-length", "connection", "transfer-encoding")


def lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path) as file:
        found = [json.loads(line) for line in file]
    return [line for line in found if line.get("site")]


def sent(at: str, line: dict[str, Any], body: bytes, headers: dict[str, str]) -> bytes:
    """The bytes of the answer."""
    connection = http.client.HTTPConnection(at.removeprefix("http://"))
    connection.request(line["method"], line["path"], body, headers)
    answer = connection.getresponse().read()
    connection.close()
    return answer


def replayed(path: Path, folder: Path) -> dict[str, Any]:
    """Counts of one file's requests."""
    (folder / "figures").mkdir(parents=True)
    requests, upstream = lines(path), Fake()
    with served(upstream) as at:
        upstreams = tuple(Upstream(front, "", at) for front in FRONTS)
        with gateway(Settings(folder / "home", upstreams), folder / "figures") as url:
            equal = sum(_passes(url, line, upstream) for line in requests)
    calls = Stand("", upstream, folder / "home").calls(len(requests))
    nodes: defaultdict[str, set[Any]] = defaultdict(set)
    for line, call in zip(requests, calls, strict=True):
        nodes[line["site"]].add(call.node)
    apart = len({node for found in nodes.values() for node in found})
    whole = sum(call.error is None and call.response is not None for call in calls)
    counts = {"requests": len(requests), "equal": equal, "recorded whole": whole, "sites": len(nodes), "nodes": apart}
    ok = equal == whole == len(requests) and apart == len(nodes) and all(len(found) == 1 for found in nodes.values())
    return {**counts, "ok": ok}


def _passes(url: str, line: dict[str, Any], upstream: Fake) -> bool:
    """Whether the upstream got what was sent, and the client what the upstream gave."""
    body = (line["body"] if isinstance(line["body"], str) else json.dumps(line["body"])).encode()
    given = {name.lower(): value for name, value in line["headers"].items()}
    headers = {name: value for name, value in given.items() if name not in _OF_ONE_CONNECTION}
    answer = sent(url, line, body, headers)
    method, path, came, received = upstream.asked[-1]
    same = (method, path, received, answer) == (line["method"], line["path"], body, chat("Hello"))
    return same and all(came.get(name) == value for name, value in headers.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        found = {path.name: replayed(path, Path(name) / str(number)) for number, path in enumerate(options.files)}
    told({**found, "ok": all(each["ok"] for each in found.values())}, as_json=options.json)


if __name__ == "__main__":
    main()
