#!/usr/bin/env bash
# Open Operator, unchanged, through the gateway without a key: one goal on a real Chromium, to its end. It tells what stands
# in for what, which call sites were recorded and what could be replaced, and writes the report. Needs Node 20, Chromium,
# and git or a checkout of the agent.
#   bash examples/case_studies/open_operator/run.sh [--checkout PATH] [--teacher [FRONT=]URL] [--report FOLDER]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
bash shared/setup.sh
exec .venv/bin/python examples/case_studies/open_operator/study.py "$@"
