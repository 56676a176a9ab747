#!/usr/bin/env bash
# Cradle, unchanged, through the gateway without a key: one task on a real Chromium in a display of its own, to its end. It
# tells what stands in for what, which call sites were recorded and what could be replaced, and writes the report. Needs
# Python 3.11 with tkinter, Xvfb, Chromium, and git or a checkout of the agent.
#   bash examples/case_studies/cradle/run.sh [--checkout PATH] [--teacher [FRONT=]URL] [--report FOLDER]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
bash shared/setup.sh
exec .venv/bin/python examples/case_studies/cradle/study.py "$@"
