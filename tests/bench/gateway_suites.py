"""The own tests of an SDK's source, against a scripted server: directly, through the gateway, and answered by
specialists.

    .venv/bin/python tests/bench/gateway_suites.py SOURCE PYTHON TEST … [--base /v1]

SOURCE: the unpacked source of openai's or anthropic's Python package. PYTHON: that of an environment in which it and
what its tests need are installed, as tests/bench/sdk_suite.sh makes one. TEST: files under tests/api_resources. The
scripted server knows the calls of models alone, so that other tests fail directly too.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "support")]

from gateways import gateway, served  # noqa: E402
from protege.gateway.address import FRONTS  # noqa: E402
from protege.gateway.settings import Settings, Upstream  # noqa: E402
from scripted_apis import Apis, Specialists  # noqa: E402

_PASSED = re.compile(r"^PASSED (\S+)", re.MULTILINE)


def passed(options: argparse.Namespace, at: str) -> set[str]:
    """The tests that pass with this base URL."""
    files = [f"tests/api_resources/{name}" for name in options.tests]
    command = [options.python, "-m", "pytest", "-q", "-n", "0", "-rp", "-p", "no:cacheprovider", *files]
    environment = {**os.environ, "TEST_API_BASE_URL": f"{at}{options.base}", "PYTHONPATH": ""}
    done = subprocess.run(command, cwd=options.source, env=environment, capture_output=True, text=True, check=False)
    print(f"  {done.stdout.splitlines()[-1] if done.stdout else done.stderr[-500:]}", flush=True)
    return set(_PASSED.findall(done.stdout))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("python")
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--base", default="")
    options = parser.parse_args()
    specialists = Specialists()
    with tempfile.TemporaryDirectory() as name, served(Apis()) as at:
        folder, upstreams = Path(name), tuple(Upstream(front, "", at) for front in FRONTS)
        (folder / "figures").mkdir()
        directly = passed(options, at)
        with gateway(Settings(folder / "recorded", upstreams), folder / "figures") as url:
            recorded = passed(options, f"{url}/a/suite")
        with gateway(Settings(folder / "routed", upstreams), folder / "figures", specialists) as url:
            routed = passed(options, f"{url}/a/suite")
    print(f"passed directly {len(directly)}, through the gateway {len(recorded)}, by specialists {len(routed)}")
    print(f"specialists answered {specialists.kept} calls")
    for lost in sorted((directly - recorded) | (directly - routed)):
        print(f"  lost: {lost}")
    return int(not (directly <= recorded and directly <= routed))


if __name__ == "__main__":
    sys.exit(main())
