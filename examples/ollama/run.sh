#!/usr/bin/env bash
# An agent whose first node is answered by a specialist in Ollama, from recording to the answers: about 4 minutes after
# set-up. It uses the Ollama that answers at OLLAMA_HOST (127.0.0.1:11434 where that is not set); where none does, it
# starts one of its own on port 11535, with a folder of its own, and stops it at the end.
#   bash examples/ollama/run.sh [--fresh]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
bash shared/setup.sh

if ! .venv/bin/python -c 'import sys; from protege.serve import find_ollama; sys.exit(find_ollama() is None)'; then
    bash shared/ollama.sh
    program=${OLLAMA_BIN:-$PWD/.ollama/ollama}
    [ -x "$program" ] || program=$(command -v ollama) || { cat .ollama/why-not >&2; exit 1; }
    export OLLAMA_HOST=127.0.0.1:11535 OLLAMA_MODELS=$PWD/.protege-ollama-models
    mkdir -p "$OLLAMA_MODELS"
    "$program" serve >"$OLLAMA_MODELS/server.log" 2>&1 &
    trap 'kill $!' EXIT
    for _ in $(seq 100); do
        "$program" list >/dev/null 2>&1 && break
        sleep 0.1
    done
fi
.venv/bin/python examples/ollama/in_ollama.py "$@"
