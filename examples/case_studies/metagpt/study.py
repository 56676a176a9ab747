"""MetaGPT, unchanged, through the gateway: a new project, and a change to it (`--inc`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from metagpt_answers import Script
from stage import INSTALLED, Stage, options, run, stage, tell

VERSION = "0.8.2"
REQUIRED = (f"metagpt=={VERSION}", "click<8.2")
"""Its typer 0.9 breaks with a later click."""
OVERRIDE = "lancedb>=0.14"
"""It asks for a release that is gone."""
TIKTOKEN = "llama-index-core"
"""Its wheel holds tiktoken's files, which tiktoken would fetch."""
IDEA, CHANGE = "Write a command-line tool that adds two numbers", "Add a way to subtract"


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--rounds", type=int, default=14, help="of the new project")
    parser.add_argument("--model", default="gpt-4-turbo")
    told = parser.parse_args()
    agent = install()
    with stage("metagpt", told, Script()) as place:
        environment = surroundings(place, agent, told.model, os.environ.get("OPENAI_API_KEY", "none"))
        metagpt(agent, environment, place, IDEA, "--run-tests", "--n-round", str(told.rounds))
        (project,) = [path for path in (place.folder / "workspace").iterdir() if (path / "docs").is_dir()]
        metagpt(agent, environment, place, CHANGE, "--inc", "--project-path", str(project))
        tell("metagpt", place, told.report)


def install() -> Path:
    """MetaGPT in an environment of its own (Python 3.9 to 3.11); the folder of its commands."""
    folder = INSTALLED / "metagpt"
    done, wanted = folder / ".installed", " ".join((*REQUIRED, OVERRIDE, TIKTOKEN))
    commands = folder / "bin"
    if done.exists() and done.read_text() == wanted:
        return commands
    if sys.version_info >= (3, 12):
        raise SystemExit("MetaGPT needs Python 3.11 or older: PYTHON=/path/to/python3.11, and set up again.")
    print("Installing MetaGPT from its registry (215 packages: a minute or two)")
    run([sys.executable, "-m", "venv", "--clear", folder])
    run([commands / "pip", "install", "uv"])
    override = folder / "overrides.txt"
    override.write_text(OVERRIDE)
    install = [commands / "uv", "pip", "install", "--python", commands / "python"]
    run([*install, "--override", override, *REQUIRED])
    run([*install, "--no-deps", TIKTOKEN])
    done.write_text(wanted)
    return commands


def surroundings(place: Stage, agent: Path, model: str, key: str) -> dict[str, str]:
    """The environment that MetaGPT runs in: its home, its settings and its workspace lie in the working folder."""
    settings = place.folder / ".metagpt" / "config2.yaml"
    settings.parent.mkdir()
    llm = {"api_type": "openai", "model": model, "base_url": f"{place.gateway}/a/metagpt/v1", "api_key": key}
    workspace = {"path": str(place.folder / "workspace")}
    settings.write_text(json.dumps({"llm": llm, "workspace": workspace, "mermaid": {"engine": "none"}}))
    (site,) = agent.parent.glob("lib/python*/site-packages/llama_index/core/_static/tiktoken_cache")
    return {
        "HOME": str(place.folder),
        "PATH": f"{agent}:{os.environ['PATH']}",
        "METAGPT_PROJECT_ROOT": str(place.folder),
        "TIKTOKEN_CACHE_DIR": str(site),
        "PIP_NO_INDEX": "1",  # its tests need no package, and it would ask for pytest before each
        "GIT_CONFIG_GLOBAL": "/dev/null",
    }


def metagpt(agent: Path, environment: dict[str, str], place: Stage, *arguments: str) -> None:
    """One run of its command, to its end."""
    print(f"metagpt {' '.join(arguments)}", flush=True)
    run([agent / "metagpt", *arguments], cwd=place.folder, env=environment, stdin=subprocess.DEVNULL, timeout=1800)


if __name__ == "__main__":
    main()
