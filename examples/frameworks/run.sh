#!/usr/bin/env bash
# One help desk in LangChain, LangGraph, LlamaIndex and AutoGen, without a key: their calls are recorded, the task that
# they share is taught, and one specialist answers it in all four. Ten minutes and more after set-up on two cores; the
# part that records takes half a minute.
#   bash examples/frameworks/run.sh [--fresh] [--only-record]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
bash shared/setup.sh
.venv/bin/python examples/frameworks/frameworks.py "$@"
