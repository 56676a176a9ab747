#!/usr/bin/env bash
# The three agents one after the other, and the table of their shares, each with its own command.
#   bash examples/case_studies/run.sh [OPEN_OPERATOR_CHECKOUT CRADLE_CHECKOUT]
# Without the checkouts git clones the two agents that are in no registry. Reports and figures: .protege-case-studies/
set -euo pipefail
here="$(dirname "${BASH_SOURCE[0]}")"
[ $# -eq 0 ] || set -- "$(realpath "$1")" "${2:+$(realpath "$2")}"
bash "$here/metagpt/run.sh"
bash "$here/open_operator/run.sh" ${1:+--checkout "$1"}
bash "$here/cradle/run.sh" ${2:+--checkout "$2"}
cd "$here/../.."
.venv/bin/python examples/case_studies/table.py .protege-case-studies
