#!/usr/bin/env bash
# Makes sure that the tests have a real Ollama: the one that OLLAMA_BIN names, one on the PATH, or v0.24.0 built here from
# its Go module (four to seven minutes on two cores) into .ollama/. Where none can be had it says why, into
# .ollama/why-not, and the tests that need one are skipped with that reason. A user's own Ollama is never started,
# stopped or written to: tests run theirs on a port and in a folder of their own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=0.24.0 # the last whose Go module brings its own inference engine
folder=$PWD/.ollama
say() { printf '\033[1m[ollama]\033[0m %s\n' "$*"; }
without() { mkdir -p "$folder"; echo "$*" >"$folder/why-not"; say "The tests of Ollama will be skipped: $*"; exit 0; }

if [ -n "${OLLAMA_BIN:-}" ]; then
    [ -x "$OLLAMA_BIN" ] || { echo "OLLAMA_BIN names $OLLAMA_BIN, which is no program." >&2; exit 1; }
    say "Using $OLLAMA_BIN"; exit 0
fi
[ -x "$folder/ollama" ] && exit 0
if command -v ollama >/dev/null; then say "Using $(command -v ollama)"; exit 0; fi
command -v go >/dev/null || without "there is neither Ollama nor Go to build it. Install one of them, or set OLLAMA_BIN."
command -v g++ >/dev/null || without "building Ollama takes a C++ compiler: sudo apt-get install g++"

say "Building Ollama v$version from its Go module"
mkdir -p "$folder/headers"
rm -f "$folder/why-not"

# Three headers that Go's module archive leaves out.
include="-I$folder/headers/usr/include"
for package in nlohmann-json3-dev:nlohmann/json.hpp libstb-dev:stb/stb_image.h; do
    header=${package#*:} package=${package%%:*}
    [ -f "/usr/include/$header" ] || [ -f "$folder/headers/usr/include/$header" ] && continue
    command -v apt-get >/dev/null || without "the header $header is missing (Debian: $package)."
    [ "$(id -u)" != 0 ] || apt-get update -qq || true
    (cd "$folder" && apt-get download -qq "$package" && dpkg -x "$package"_*.deb headers && rm -f "$package"_*.deb) ||
        without "the header $header is missing: sudo apt-get install $package"
done
if [ ! -f "$folder"/headers/miniaudio/miniaudio.h ]; then
    python=${PYTHON:-python3} # set-up may still be making .venv
    "$python" -m pip --version >/dev/null 2>&1 || python=.venv/bin/python
    "$python" -m pip --disable-pip-version-check download --quiet --no-deps --no-binary :all: --dest "$folder" \
        miniaudio==1.71 || without "the package miniaudio, which has a header, cannot be fetched."
    tar -xzf "$folder"/miniaudio-1.71.tar.gz -C "$folder/headers" --strip-components 1 miniaudio-1.71/miniaudio
    rm -f "$folder"/miniaudio-1.71.tar.gz
fi

# Without -march=native it answers three times slower. The version is otherwise 0.0.0, which is taken for unknown.
flags="-O3 -march=native -w -I$folder/headers $include"
# Where the processor has AMX, the module's code asks for a file that its archive leaves out.
[ "$(uname -m)" != x86_64 ] || flags="$flags -mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
CGO_ENABLED=1 CGO_CFLAGS="$flags" CGO_CXXFLAGS="$flags" GOBIN="$folder" GOFLAGS=-buildvcs=false \
    go install -ldflags "-X=github.com/ollama/ollama/version.Version=$version" "github.com/ollama/ollama@v$version" ||
    without "building Ollama v$version failed; the lines above say why."
rm -rf "$folder/headers"
say "Built: $folder/ollama"
