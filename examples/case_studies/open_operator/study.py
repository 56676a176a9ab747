"""Open Operator, unchanged, through the gateway: one goal, from the first page to its end, on a real Chromium."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx
from operator_answers import GOAL, Script, sessions, shop
from script_server import served
from stage import INSTALLED, Stage, answering, cloned, free_port, needed, options, run, running, stage, tell

SOURCE = "https://github.com/browserbase/open-operator"
HERE = Path(__file__).parent
PNPM = "pnpm@9"
REPLACED = (
    "Browserbase's sessions: four paths of its service, which give out a Chromium on this machine",
    "the providers' addresses: a preload turns the agent's requests to them to the gateway",
    "the page in the user's browser: this script makes the requests that it makes",
    "the web: two pages of a shop on this machine",
)
MOST_STEPS = 20


def main() -> None:
    parser = options(__doc__ or "", checkout=True)
    parser.add_argument("--goal", default=GOAL, help="what the agent shall do")
    told = parser.parse_args()
    chromium = needed("chromium", "Install Debian's: apt-get install chromium")
    pnpm = package_manager()
    browser_port = free_port()
    with (
        served(shop) as at,
        stage("open-operator", told, Script(at), sessions(f"http://127.0.0.1:{browser_port}")) as place,
    ):
        folder = cloned(told, SOURCE, place.folder)
        print("Installing what the agent's lockfile names", flush=True)
        run([pnpm, "install", "--frozen-lockfile", "--ignore-scripts"], cwd=folder, timeout=900)
        with browser(chromium, browser_port, place), agent(folder, place) as address:
            steps = run_to_its_end(address, told.goal)
        print(f"{len(steps)} steps: {', '.join(step['tool'] for step in steps)}")
        tell("open-operator", place, told.report, REPLACED if place.teacher else REPLACED[:3])


def package_manager() -> Path:
    """pnpm, from npm's registry."""
    npm = needed("npm", "Install Node 20.")
    folder = INSTALLED / "pnpm"
    command = folder / "node_modules" / ".bin" / "pnpm"
    if not command.exists():
        run([npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, PNPM])
    return command


@contextlib.contextmanager
def browser(chromium: str, port: int, place: Stage) -> Iterator[None]:
    """Chromium without a window, until the block ends."""
    flags = ["--headless", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage", "--window-size=1024,768"]
    flags.append(
        "--disable-features=BackForwardCache"
    )  # a page that comes from it loads no more, which Playwright awaits
    if os.geteuid() == 0:
        flags.append("--no-sandbox")  # Chromium has no sandbox for root
    profile = f"--user-data-dir={place.folder / 'browser'}"
    log = place.folder / "browser.log"
    with running([chromium, *flags, profile, f"--remote-debugging-port={port}", "about:blank"], log):
        answering(f"http://127.0.0.1:{port}/json/version", log)
        yield


@contextlib.contextmanager
def agent(folder: Path, place: Stage) -> Iterator[str]:
    """The agent's server; its address."""
    port, log = free_port(), place.folder / "agent.log"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(place.folder),
        "NODE_OPTIONS": f"--require={HERE / 'to_gateway.cjs'}",
        "PROTEGE_GATEWAY": f"{place.gateway}/a/open-operator",
        "BROWSERBASE_BASE_URL": place.scripted,
        "BROWSERBASE_API_KEY": "none",
        "BROWSERBASE_PROJECT_ID": "p",
        "ANTHROPIC_API_KEY": os.environ.get("ANTHROPIC_API_KEY", "none"),
        "GOOGLE_GENERATIVE_AI_API_KEY": os.environ.get("GOOGLE_GENERATIVE_AI_API_KEY", "none"),
        "NEXT_TELEMETRY_DISABLED": "1",
    }
    with running(
        [folder / "node_modules" / ".bin" / "next", "dev", "-H", "127.0.0.1", "-p", str(port)],
        log,
        cwd=folder,
        env=environment,
    ):
        address = f"http://127.0.0.1:{port}"
        answering(f"{address}/api/agent", log, 120)
        yield address


def run_to_its_end(address: str, goal: str) -> list[dict[str, Any]]:
    """Make the requests that the agent's page makes, until it says that it is done. Returns its steps."""
    with httpx.Client(base_url=address, timeout=120) as page:

        def asked(path: str, **body: Any) -> Any:
            answer = page.post(path, json=body)
            if answer.is_error:
                raise SystemExit(f"{path} answered {answer.status_code}: {answer.text[:500]}")
            return answer.json()

        session = asked("/api/session", timezone="Europe/London")["sessionId"]
        told = asked("/api/agent", action="START", goal=goal, sessionId=session)
        steps = told["steps"]
        while not told["done"] and len(steps) < MOST_STEPS:
            told = asked("/api/agent", action="GET_NEXT_STEP", goal=goal, sessionId=session, previousSteps=steps)
            steps = told["steps"]
            asked("/api/agent", action="EXECUTE_STEP", sessionId=session, step=told["result"])
        return steps


if __name__ == "__main__":
    main()
