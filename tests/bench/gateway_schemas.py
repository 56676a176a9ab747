"""Requests that schemathesis makes from OpenAI's own document, to a mock server directly, through the gateway, and
answered by specialists: what breaks the document's schemas, and which answers have a status of 500 or more.

    .venv/bin/python tests/bench/gateway_schemas.py OPENAPI.yaml --st ST --steady STEADY [--examples 100] [--json]

OPENAPI.yaml: github.com/openai/openai-openapi. ST: the command of schemathesis (pip, in an environment of its own).
STEADY: that of the mock server @stdy/cli (npm). Through the gateway the failures must be those of the mock itself; a
specialist's answers may have none.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

sys.path[:0] = [str(Path(__file__).parent / "sweeps"), str(Path(__file__).parents[1] / "support")]

from gateways import Fake, gateway, served  # noqa: E402
from protege.gateway.settings import Settings, Upstream  # noqa: E402
from scripted_apis import Specialists  # noqa: E402
from sweeping import eventually, told  # noqa: E402

PORT = 4017
OPERATIONS = (
    "createChatCompletion",
    "createResponse",
    "createCompletion",
    "createEmbedding",
    "createModeration",
    "listModels",
)
ANSWERED = OPERATIONS[:3]
"""Those that a specialist may answer."""
CHECKS = "not_a_server_error,response_schema_conformance,content_type_conformance"
_FAILED = re.compile(r"(ST\d+) ([A-Za-z ]+): (\d+)")
_CASES = re.compile(r"(\d+) generated")


@contextmanager
def mock(steady: str, document: Path) -> Iterator[str]:
    """A server that answers as the document says."""
    lists = [f"--validator-{part}-{kind}-format=brackets" for part in ("query", "form") for kind in ("array", "object")]
    command = [steady, "--host", "127.0.0.1", "-p", str(PORT), *lists, str(document)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{PORT}"
    try:
        assert eventually(lambda: _answers(f"{url}/_x-steady/health"), 60, 0.2), "the mock server does not start"
        yield url
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.HTTPError:
        return False


def run(st: str, document: Path, url: str, operations: tuple[str, ...], examples: int) -> dict[str, Any]:
    """What schemathesis found, by kind of failure."""
    chosen = [part for name in operations for part in ("--include-operation-id", name)]
    settings = ["-n", str(examples), "--phases", "fuzzing", "--seed", "1", "--mode", "positive", "-c", CHECKS]
    command = [st, "run", str(document), "--url", url, *chosen, *settings]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    cases = _CASES.search(told)
    if cases is None:
        raise SystemExit(f"schemathesis ran nothing:\n{told[-2000:]}")
    return {"cases": int(cases[1]), "failures": {f"{code} {what}": int(n) for code, what, n in _FAILED.findall(told)}}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("document", type=Path)
    parser.add_argument("--st", required=True)
    parser.add_argument("--steady", required=True)
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "figures").mkdir()
        document = folder / "api.yaml"  # the document leaves out the /v1 that clients have in their base URL
        document.write_text(re.sub(r"(?m)^  /([a-z])", r"  /v1/\1", options.document.read_text()))
        figures: dict[str, Any] = {}
        with mock(options.steady, document) as at:
            settings = Settings(folder / "home", upstreams=(Upstream("openai", "", at),))
            figures["directly"] = run(options.st, document, at, OPERATIONS, options.examples)
            with gateway(settings, folder / "figures") as url:
                figures["through the gateway"] = run(options.st, document, url, OPERATIONS, options.examples)
        specialists = Specialists()
        with served(Fake(400)) as nobody:  # what a specialist does not answer is no finding
            settings = Settings(folder / "home", upstreams=(Upstream("openai", "", nobody),))
            with gateway(settings, folder / "figures", specialists) as url:
                figures["by specialists"] = run(options.st, document, url, ANSWERED, options.examples)
        figures["by specialists"]["answered"] = specialists.kept
    same = figures["directly"]["failures"] == figures["through the gateway"]["failures"]
    ok = same and not figures["by specialists"]["failures"] and specialists.kept > 0
    told({**figures, "ok": ok}, as_json=options.json)


if __name__ == "__main__":
    main()
