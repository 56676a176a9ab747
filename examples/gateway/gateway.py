"""A help desk in TypeScript, recorded and switched through the gateway alone.

Its tickets are handled, the task of sorting them is taught, and it handles tickets that nobody has seen.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import protege
import uvicorn

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "frameworks"))

from desk import REPLY, TRIAGE, tickets  # noqa: E402 - the help desk of the other example
from scripted_teacher import app  # noqa: E402

UNSEEN = 100
NODE = Path(".downloads/gateway-example")
"""Where the agent and its libraries are installed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path(".protege-gateway"))
    parser.add_argument("--tickets", type=int, default=500)
    options = parser.parse_args()
    shutil.rmtree(options.home, ignore_errors=True)
    install()
    texts = tickets(options.tickets + UNSEEN)
    with teacher() as upstream, gateway(options.home, upstream) as address:
        handle(address, texts[UNSEEN:], options.home)
        workspace = protege.Workspace(options.home)
        protege.drain(workspace)
        before = {call.id for call in workspace.calls()}
        found = protege.find_tasks(workspace)
        for task in found:
            print(f"  {task.name}: {workspace.count_calls(task_id=task.id)} calls")
        triage = next(task for task in found if task.kind == "label")
        settings = protege.Settings(compete=False, tune=protege.TuneSettings(method="head"))
        (done,) = protege.improve(workspace, [triage.id], settings)
        print(f"{triage.name}: {done.decision}. {done.reason}")
        time.sleep(1)  # the gateway follows within a second
        handle(address, texts[:UNSEEN], options.home)
        protege.drain(workspace)
        print(dict(Counter(answered_by(call) for call in workspace.calls() if call.id not in before)))


def answered_by(call: protege.Call) -> str:
    return f"{' / '.join(call.request.node)}: {'the teacher' if call.from_teacher else 'the specialist'}"


def install() -> None:
    NODE.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "desk.ts"):
        shutil.copy(HERE / name, NODE)
    options = ["--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--silent"]
    subprocess.run(["npm", "install", *options], cwd=NODE, check=True)


def handle(address: str, texts: list[str], home: Path) -> None:
    """The agent over these tickets. It is told an address, and nothing else of Protégé."""
    file = home / "tickets.json"
    file.write_text(json.dumps({"triage": TRIAGE, "reply": REPLY, "tickets": texts}))
    subprocess.run(["npx", "tsx", "desk.ts", f"{address}/a/desk", str(file.resolve())], cwd=NODE, check=True)


@contextmanager
def teacher() -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def gateway(home: Path, upstream: str) -> Iterator[str]:
    command = [sys.executable, "-c", "import protege.cli; protege.cli.main()", "gateway", "--json", "--port", "0"]
    upstreams = [f"--upstream={front}={upstream}" for front in ("openai", "anthropic")]
    process = subprocess.Popen([*command, "--home", home, *upstreams], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line == "}\n":
                break
        yield json.loads("".join(lines))["address"]
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)


if __name__ == "__main__":
    main()
