#!/usr/bin/env bash
# MetaGPT, unchanged, through the gateway without a key: a new project and a change to it. It tells which call sites were
# recorded and what could be replaced, and writes the report. Needs git and Python 3.11.
#   bash examples/case_studies/metagpt/run.sh [--teacher [FRONT=]URL] [--report FOLDER]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
bash shared/setup.sh
exec .venv/bin/python examples/case_studies/metagpt/study.py "$@"
