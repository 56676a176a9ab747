#!/usr/bin/env bash
# openai-python's own tests of its API resources, directly against its mock server and through the gateway: both must
# fail and pass alike.
#
#     bash tests/bench/openai_suite.sh OPENAPI.yaml [VERSION]
#
# OPENAPI.yaml: OpenAI's document (github.com/openai/openai-openapi). Fetches the source of openai (pip) and the mock
# server @stdy/cli (npm) into a temporary folder. Needs the environment of shared/setup.sh.
set -euo pipefail
document=$(realpath "${1:?Name the OpenAPI document of OpenAI.}")
version=${2:-3.57.0}
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
protege=$PWD/.venv/bin/protege
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

pip3() { .venv/bin/python -m pip --quiet --disable-pip-version-check "$@"; }
python3 -m venv .venv
pip3 download --no-deps --no-binary :all: "openai==$version"
tar xzf "openai-$version.tar.gz"
pip3 install "./openai-$version" pytest pytest-asyncio respx pytest-xdist inline-snapshot rich httpx-aiohttp Pillow trio \
    azure-identity botocore
npm install --silent --no-audit --no-fund --prefix mock @stdy/cli

# The mock has no base path, and the gateway's clients have /v1.
sed -E 's#^  /([a-z])#  /v1/\1#' "$document" >v1.yaml
mock/node_modules/.bin/steady --host 127.0.0.1 -p 4010 --validator-{query,form}-array-format=brackets \
    --validator-{query,form}-object-format=brackets v1.yaml >mock.log 2>&1 &
"$protege" gateway --port 8491 --home "$work/home" --upstream openai=http://127.0.0.1:4010 >gateway.log 2>&1 &
until curl --silent --fail 127.0.0.1:4010/_x-steady/health >/dev/null && curl --silent --fail \
    127.0.0.1:8491/protege/health >/dev/null; do sleep 0.5; done

cd "openai-$version"
resources=(chat responses test_{completions,embeddings,models,moderations,responses}.py)
for base in http://127.0.0.1:4010/v1 http://127.0.0.1:8491/a/suite/v1; do
    TEST_API_BASE_URL=$base ../.venv/bin/python -m pytest -q -n 0 "${resources[@]/#/tests/api_resources/}" >out.log || true
    tail -1 out.log
    grep ^FAILED out.log | cut -d' ' -f2 | sort >"../failed-$(cut -d: -f3 <<<"${base%/v1}" | tr -d /)" || true
done
diff ../failed-* && echo "The same tests fail and pass."
PROTEGE_HOME=$work/home "$protege" status | head -1
