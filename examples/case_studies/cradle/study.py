"""Cradle, unchanged, through the gateway: a task on a real Chromium, in a display that nobody sees."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from cradle_answers import Script, page
from script_server import served
from stage import INSTALLED, Stage, cloned, needed, options, run, running, stage, tell

SOURCE = "https://github.com/BAAI-Agents/Cradle"
HERE = Path(__file__).parent
REQUIRED = (
    "openai==1.2.3", "httpx<0.28", "anthropic<0.40", "backoff==2.2.1", "python-dotenv==1.0.0", "numpy==1.24.3",
    "tiktoken==0.5.1", "colorama", "pyautogui==0.9.54", "opencv-contrib-python==4.8.1.78", "pillow>=10.3,<11",
    "Multi-Template-Matching==1.6.6", "imageio[ffmpeg]", "mss==9.0.1", "aiohttp", "chardet==5.2.0", "matplotlib==3.9.2",
    "dataclass_wizard==0.22.3", "dill==0.3.8", "psutil", "scipy", "setuptools<80", "python-xlib", "requests",
)  # fmt: skip
"""Its own requirements but for what `stand_ins` takes the place of. Its openai needs an older httpx."""
OVERRIDE = "opencv-python-headless; sys_platform == 'none'"
"""It would be laid over the larger build, of which Cradle needs parts."""
TIKTOKEN = "llama-index-core"
"""Its wheel holds tiktoken's files, which tiktoken would fetch."""
REPLACED = (
    "perception: Segment Anything by outlines of what is on the screen; Grounding DINO, spaCy and EasyOCR by nothing",
    "the desktop: macOS's list of windows by one window that fills a virtual display; the font Arial by DejaVu",
    "the application: Debian's Chromium in the place of Google Chrome",
    "the web: a page on this machine",
)


def main() -> None:
    parser = options(__doc__ or "", checkout=True)
    parser.add_argument("--minutes", type=float, default=20, help="after which the agent is ended")
    told = parser.parse_args()
    chromium = needed("chromium", "Install Debian's: apt-get install chromium")
    needed("Xvfb", "Install Debian's: apt-get install xvfb")
    python = install()
    with served(page) as at, stage("cradle", told, Script(at.removeprefix("http://"))) as place:
        folder = cloned(told, SOURCE, place.folder)
        with display(place) as number, browser(chromium, number, place):
            agent(python, folder, surroundings(place, python, number), told.minutes)
        tell("cradle", place, told.report, REPLACED if place.teacher else REPLACED[:3])


def install() -> Path:
    """What Cradle needs, in an environment of its own; its Python."""
    folder = INSTALLED / "cradle"
    python, done, wanted = folder / "bin" / "python", folder / ".installed", " ".join((*REQUIRED, OVERRIDE, TIKTOKEN))
    if done.exists() and done.read_text() == wanted:
        return python
    if sys.version_info >= (3, 12):
        raise SystemExit("Cradle needs Python 3.11: PYTHON=/path/to/python3.11, and set up again.")
    print("Installing what Cradle needs from its registry (a minute or two)", flush=True)
    run([sys.executable, "-m", "venv", "--clear", folder])
    run([folder / "bin" / "pip", "install", "uv"])
    uv = [folder / "bin" / "uv", "pip", "install", "--python", python]
    overrides = folder / "overrides.txt"
    overrides.write_text(OVERRIDE)
    run([*uv, "--override", overrides, *REQUIRED])
    run([*uv, "--no-deps", TIKTOKEN])
    done.write_text(wanted)
    return python


@contextlib.contextmanager
def display(place: Stage) -> Iterator[str]:
    """A virtual screen; its number, as DISPLAY has it."""
    shown, told = os.pipe()
    command = ["Xvfb", "-displayfd", str(told), "-screen", "0", "1920x1080x24", "-nolisten", "tcp"]
    with running(command, place.folder / "display.log", pass_fds=(told,)):
        os.close(told)
        with os.fdopen(shown) as number:
            if not (read := number.readline().strip()):
                raise SystemExit(f"Xvfb did not start:\n{(place.folder / 'display.log').read_text()}")
            yield f":{read}"


@contextlib.contextmanager
def browser(chromium: str, number: str, place: Stage) -> Iterator[None]:
    """Chromium on that screen, until the block ends."""
    flags = [
        "--no-first-run",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-position=0,0",
        "--window-size=1920,1080",
    ]
    if os.geteuid() == 0:
        flags.append("--no-sandbox")  # Chromium has no sandbox for root
    environment = {**os.environ, "DISPLAY": number, "HOME": str(place.folder)}
    command = [chromium, *flags, f"--user-data-dir={place.folder / 'browser'}", "about:blank"]
    with running(command, place.folder / "browser.log", env=environment):
        yield


def surroundings(place: Stage, python: Path, number: str) -> dict[str, str]:
    """The environment that Cradle runs in."""
    commands, fonts = place.folder / "bin", place.folder / "share" / "fonts"
    commands.mkdir()
    fonts.mkdir(parents=True)
    (commands / "osascript").write_text("#!/bin/sh\necho true\n")  # macOS's command to bring a window to the front
    (commands / "osascript").chmod(0o755)
    libraries = next(python.parents[1].glob("lib/python*/site-packages"))
    shutil.copy(libraries / "matplotlib" / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf", fonts / "arial.ttf")
    (place.folder / ".Xauthority").touch()
    return {
        "PATH": f"{commands}:{os.environ['PATH']}",
        "HOME": str(place.folder),
        "PYTHONPATH": str(HERE / "stand_ins"),
        "DISPLAY": number,
        "XDG_DATA_HOME": str(place.folder / "share"),
        "TIKTOKEN_CACHE_DIR": str(libraries / "llama_index" / "core" / "_static" / "tiktoken_cache"),
        "CRADLE_BASE": f"{place.gateway}/a/cradle",
        "CRADLE_KEY": os.environ.get("AZURE_OPENAI_API_KEY", "none"),
    }


def agent(python: Path, folder: Path, environment: dict[str, str], minutes: float) -> None:
    """One run of Cradle, to its end. Its settings lie beside it: its client takes an address from Azure's alone."""
    settings = folder / "openai-azure.json"
    models = {"comp_model": "gpt-4o", "emb_model": "text-embedding-ada-002"}
    azure = {"key_var": "CRADLE_KEY", "base_var": "CRADLE_BASE", "is_azure": True, "api_version": "2024-02-15-preview"}
    settings.write_text(json.dumps({**azure, **models, "models": {name: name for name in models.values()}}))
    provider = [f"--llmProviderConfig={settings}", f"--embedProviderConfig={settings}"]
    command = [python, "runner.py", *provider, "--envConfig=./conf/env_config_chrome.json"]
    print("Cradle runs", flush=True)
    run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, timeout=60 * minutes)


if __name__ == "__main__":
    main()
