#!/usr/bin/env bash
# Every check of the repository: set-up, a real Ollama for the tests, lint, spelling, structure, types, tests. Arguments
# go to pytest; without any the whole suite runs and its coverage is measured against the floor in pyproject.toml.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# At the same time: one fetches packages, the other compiles.
bash shared/ollama.sh &
bash shared/setup.sh
wait $!
say() { printf '\033[1m[tests]\033[0m %s\n' "$*"; }
python=.venv/bin/python

say "Lint (ruff)"
.venv/bin/ruff check .
.venv/bin/ruff format --check .
say "Spelling (codespell)"
git ls-files -z | xargs -0 .venv/bin/codespell
say "Structure (import-linter, tests/support/structure.py)"
.venv/bin/lint-imports --no-logo --cache-dir .cache/import-linter
$python tests/support/structure.py
say "Types (pyright)"
.venv/bin/pyright
.venv/bin/pyright -p tests
if [ $# -gt 0 ]; then
    say "Tests (pytest)"
    exec $python -m pytest "$@"
fi
say "Tests (pytest) and coverage (SlipCover)"
exec $python tests/support/covered.py
