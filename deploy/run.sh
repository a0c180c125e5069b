#!/usr/bin/env bash
# From a bare Debian bookworm machine to a serving gateway: packages, build, models, start. Seconds when all is there.
# Usage: deploy/run.sh [options of `kvasir serve`]     (none: --config deploy/kvasir.yaml)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  echo "$*" >&2
  exit 1
}

export KVASIR_MODELS=${KVASIR_MODELS:-${XDG_CACHE_HOME:-$HOME/.cache}/kvasir/models}
export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}

echo "1/4 packages"
deploy/install_packages.sh deploy/packages.txt

echo "2/4 build"
# A tree that is configured already keeps its choices: a developer's has the tests.
if [[ ! -f build/release/build.ninja ]]; then
  cmake --preset release -DKVASIR_TESTS=OFF -DKVASIR_BENCH=OFF --log-level=WARNING >/dev/null ||
    fail "The build could not be configured: read the message above; removing build/release starts afresh."
fi
cmake --build build/release --target kvasir || fail "The build failed: read the first error above."

echo "3/4 models"
deploy/fetch_models.sh

echo "4/4 serve"
(($#)) || set -- --config deploy/kvasir.yaml
exec build/release/gateway/kvasir serve "$@"
