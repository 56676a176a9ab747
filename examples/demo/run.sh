#!/usr/bin/env bash
# The whole loop on real entries, in one command: set-up, then a LangGraph agent that hands its nodes to specialists.
#   bash examples/demo/run.sh [--fresh] [--teacher URL --model NAME] [--end-to-end N]      (--help tells more)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
bash shared/setup.sh
exec .venv/bin/python examples/demo/demo.py "$@"
