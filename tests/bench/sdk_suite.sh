#!/usr/bin/env bash
# The own tests of openai's and anthropic's Python packages for their API resources, directly against a mock server and
# through the gateway: both must fail and pass alike.
#
#     bash tests/bench/sdk_suite.sh openai OPENAPI.yaml [VERSION]
#     bash tests/bench/sdk_suite.sh anthropic OPENAPI.json [VERSION]
#
# OPENAPI: the provider's document (github.com/openai/openai-openapi, github.com/laszukdawid/anthropic-openapi-spec).
# Fetches the source of the package (pip) and the mock server @stdy/cli (npm) into a temporary folder. Needs the
# environment of shared/setup.sh.
set -euo pipefail
name=${1:?Name the package: openai or anthropic.}
document=$(realpath "${2:?Name the OpenAPI document of the provider.}")
case $name in
openai)
    version=${3:-3.57.0}
    base=/v1
    resources=(chat responses test_{completions,embeddings,models,moderations,responses}.py)
    ;;
anthropic)
    version=${3:-2.14.0}
    base=
    resources=(test_messages.py test_models.py)
    ;;
*)
    echo "There is no suite for $name: name openai or anthropic." >&2
    exit 2
    ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
protege=$PWD/.venv/bin/protege
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

pip3() { .venv/bin/python -m pip --quiet --disable-pip-version-check "$@"; }
python3 -m venv .venv
pip3 download --no-deps --no-binary :all: "$name==$version"
tar xzf "$name-$version.tar.gz"
pip3 install "./$name-$version" pytest pytest-asyncio respx pytest-xdist inline-snapshot dirty-equals rich \
    "http-snapshot[httpx]" httpx-aiohttp aiohttp Pillow trio azure-identity botocore boto3 google-auth
npm install --silent --no-audit --no-fund --prefix mock @stdy/cli

# The mock has no base path; OpenAI's document leaves /v1 out.
case $name in
openai) sed -E 's#^  /([a-z])#  /v1/\1#' "$document" >api.yaml ;;
*) cp "$document" api.yaml ;;
esac
mock/node_modules/.bin/steady --host 127.0.0.1 -p 4010 --validator-{query,form}-array-format=brackets \
    --validator-{query,form}-object-format=brackets api.yaml >mock.log 2>&1 &
"$protege" gateway --port 8491 --home "$work/home" --upstream "$name=http://127.0.0.1:4010" >gateway.log 2>&1 &
until curl --silent --fail 127.0.0.1:4010/_x-steady/health >/dev/null && curl --silent --fail \
    127.0.0.1:8491/protege/health >/dev/null; do sleep 0.5; done

cd "$name-$version"
for at in http://127.0.0.1:4010 http://127.0.0.1:8491/a/suite; do
    TEST_API_BASE_URL=$at$base ../.venv/bin/python -m pytest -q -n 0 "${resources[@]/#/tests/api_resources/}" >out.log || true
    tail -1 out.log | grep passed || { cat out.log; exit 1; }
    grep ^FAILED out.log | cut -d' ' -f2 | sort >"../failed-$(cut -d: -f3 <<<"$at" | cut -d/ -f1)" || true
done
diff ../failed-* && echo "The same tests fail and pass."
PROTEGE_HOME=$work/home "$protege" status | head -1
