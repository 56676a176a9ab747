#!/usr/bin/env bash
# A help desk in TypeScript that knows nothing of Protégé, without a key: recorded through the gateway, its sorting taught,
# and answered by a specialist. Needs Node 20. Two minutes after set-up on two cores.
#   bash examples/gateway/run.sh [--tickets N]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
bash shared/setup.sh
.venv/bin/python examples/gateway/gateway.py "$@"
