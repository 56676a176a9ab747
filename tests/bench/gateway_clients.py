"""The official Node clients through the gateway: directly, recorded, and answered by specialists.

    .venv/bin/python tests/bench/gateway_clients.py [--only CLIENT]

Installs the clients of gateway_clients/package.json into a temporary folder with npm, and runs their cases three times:
against a server that answers from a script, through the gateway to that server, and through the gateway with
specialists that answer the same. Prints a line for each case, and how many calls were recorded.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "support"))

from gateways import Fake, Stand, gateway, served  # noqa: E402
from protege.gateway.settings import Settings, Upstream  # noqa: E402
from scripted_apis import Apis, Specialists  # noqa: E402

FRONTS = ("openai", "azure", "anthropic", "gemini", "ollama")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="the clients whose name begins so")
    only = parser.parse_args().only
    with tempfile.TemporaryDirectory() as folder:
        return compared(installed(Path(folder) / "node"), Path(folder), only)


def installed(folder: Path) -> Path:
    shutil.copytree(HERE / "gateway_clients", folder)
    subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"], cwd=folder, check=True
    )
    return folder


def compared(clients: Path, folder: Path, only: str) -> int:
    specialists = Specialists()
    with served(apis := Apis()) as at:
        upstreams = tuple(Upstream(front, "", at) for front in FRONTS)
        (folder / "figures").mkdir()
        direct = results(clients, at, only)
        with gateway(Settings(folder / "recorded", upstreams), folder / "figures") as url:
            recorded = results(clients, f"{url}/a/bench", only)
        before = apis.asked
        with gateway(Settings(folder / "routed", upstreams), folder / "figures", specialists) as url:
            routed = results(clients, f"{url}/a/bench", only)
    marks = {True: "ok", False: "FAILED", None: "-"}
    print(f"{'client':18} {'case':16} {'directly':9} {'recorded':9} {'routed':9}")
    for key in direct:
        row = [direct[key], recorded.get(key), routed.get(key)]
        print(f"{key[0]:18} {key[1]:16} " + " ".join(f"{marks[each and each['ok']]:9}" for each in row))
        for each in row:
            if each and not each["ok"]:
                print(f"    {each['why']}")
    for name, home in (("recorded", folder / "recorded"), ("routed", folder / "routed")):
        calls = Stand("", Fake(), home).calls()
        failed = sum(call.error is not None for call in calls)
        print(f"{name}: {len(calls)} calls, {failed} of them failed or cancelled")
    print(f"specialists answered {specialists.kept} calls; the server was asked {apis.asked - before} times meanwhile")
    return int(not all(each["ok"] for table in (direct, recorded, routed) for each in table.values()))


def results(clients: Path, base: str, only: str) -> dict[tuple[str, str], dict[str, Any]]:
    done = subprocess.run(["node", "cases.mjs", base, only], cwd=clients, capture_output=True, text=True, timeout=600)
    if done.stderr.strip():
        print(done.stderr.strip()[:2000], file=sys.stderr)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {(line["client"], line["case"]): line for line in lines}


if __name__ == "__main__":
    sys.exit(main())
