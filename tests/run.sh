#!/usr/bin/env bash
# Every check of the repository: set-up, a real Ollama for the tests, lint, types, tests. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# At the same time: one fetches packages, the other compiles.
bash shared/ollama.sh &
bash shared/setup.sh
wait $!
say() { printf '\033[1m[tests]\033[0m %s\n' "$*"; }

say "Lint (ruff)"
.venv/bin/ruff check .
.venv/bin/ruff format --check .
say "Types (pyright)"
.venv/bin/pyright
say "Tests (pytest)"
.venv/bin/python -m pytest "$@"
