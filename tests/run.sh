#!/usr/bin/env bash
# From a bare Debian bookworm machine to all tests. The last line is "N passed, N failed, N skipped".
# Usage: tests/run.sh [--fast]     --fast: format, includes and the unit tests of the release build only
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

fast=
case ${1:-} in
  --fast) fast=yes ;;
  "") ;;
  *)
    echo "Unknown option $1: use tests/run.sh [--fast]" >&2
    exit 2
    ;;
esac

export KVASIR_MODELS=${KVASIR_MODELS:-${XDG_CACHE_HOME:-$HOME/.cache}/kvasir/models}
export KVASIR_REQUIRE_MODELS=1
export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
# Precompiled headers come out of the compiler cache only with these.
export CCACHE_SLOPPINESS=${CCACHE_SLOPPINESS:-pch_defines,time_macros,include_file_mtime,include_file_ctime}

results=build/test-results
checks_passed=0
checks_failed=0
reports=()
rm -rf "$results"
mkdir -p "$results"

# step NAME HINT COMMAND…: one check; a failure prints HINT and is counted, and the run goes on.
step() {
  local name=$1 hint=$2 started=$SECONDS
  shift 2
  echo "== $name"
  if "$@"; then
    checks_passed=$((checks_passed + 1))
    echo "   ok, $((SECONDS - started)) s"
  else
    checks_failed=$((checks_failed + 1))
    echo "   FAILED after $((SECONDS - started)) s. $hint"
    return 1
  fi
}

# suite NAME COMMAND…: as step, but its tests are counted by the JUnit file it leaves in $results/NAME.xml.
suite() {
  local name=$1 started=$SECONDS
  shift
  echo "== $name"
  reports+=("$results/$name.xml")
  if "$@"; then echo "   ok, $((SECONDS - started)) s"; else echo "   FAILED after $((SECONDS - started)) s"; fi
}

finish() {
  python3 tests/summary.py "$checks_passed" "$checks_failed" "${reports[@]}"
  exit $?
}

sources() { git ls-files -- '*.cpp' '*.hpp'; }
check_format() { sources | xargs -r clang-format-14 --dry-run -Werror; }
check_includes() { python3 tests/check_includes_test.py && python3 tests/check_includes.py; }

build() {
  local preset=$1
  shift
  cmake --preset "$preset" -DKVASIR_TESTS=ON -DKVASIR_BENCH=ON --log-level=WARNING >/dev/null &&
    cmake --build "build/$preset" "$@"
}

unit_test_targets() {
  ninja -C build/asan -t targets all | sed -n 's/^\([a-z]*_tests\): phony$/\1/p'
}
build_sanitized() {
  cmake --preset asan -DKVASIR_TESTS=ON --log-level=WARNING >/dev/null || return
  local targets
  targets=$(unit_test_targets)
  # shellcheck disable=SC2086  # target names, one word each
  cmake --build build/asan --target $targets
}

unit_tests() {
  ctest --test-dir "build/$1" --output-on-failure --no-tests=error --output-junit "$PWD/$results/$2.xml" |
    grep -vE '^ *(Start +[0-9]+:|[0-9]+/[0-9]+ Test +#.* Passed )'
}

# make_venv NAME: build/NAME-venv with what tests/clients/requirements-NAME.txt asks for.
make_venv() {
  local venv=build/$1-venv requirements=tests/clients/requirements-$1.txt stamp
  stamp=$venv/$(sha256sum "$requirements" | cut -c1-16)
  [[ -f $stamp ]] && return
  rm -rf "$venv"
  python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" &&
    touch "$stamp"
}
# client_tests NAME PYTEST-ARGUMENTS…: with the packages of that environment.
client_tests() {
  local name=$1
  shift
  KVASIR_BINARY=$PWD/build/release/gateway/kvasir "build/$name-venv/bin/python" -m pytest -q -p no:cacheprovider \
    --junitxml="$results/$name.xml" "$@"
}

fuzz() {
  cmake --preset fuzz --log-level=WARNING >/dev/null && cmake --build build/fuzz || return
  local name corpus
  for name in gguf grammar guard http json sse template tokenizer yaml; do
    corpus=build/fuzz/corpus/$name
    mkdir -p "$corpus"
    build/fuzz/tests/fuzz/"${name}_fuzz" -max_total_time=20 -timeout=10 -rss_limit_mb=1024 -artifact_prefix=build/fuzz/ \
      "$corpus" "tests/fuzz/seeds/$name" 2>"$corpus.log" && continue
    tail -n 40 "$corpus.log"
    return 1
  done
}

step packages "The message above says what is missing." \
  deploy/install_packages.sh deploy/packages.txt tests/packages.txt || finish
step format "Format the files named above: clang-format-14 -i FILE" check_format
step includes "Include downwards only; ARCHITECTURE.md has the graph." check_includes
step build "Fix the first error above." build release || finish
step models "The message above says what to do; tests that need a model are skipped." deploy/fetch_models.sh --tests
suite unit unit_tests release unit
[[ $fast ]] && finish

step clang-tidy "Fix the findings above; .clang-tidy has the checks." python3 tests/run_tidy.py build/release
step build-asan "Fix the first error above." build_sanitized && suite sanitized unit_tests asan sanitized
pip_hint="Check the network: pip could not install what tests/clients/requirements-*.txt lists."
step clients-venv "$pip_hint" make_venv clients &&
  suite clients client_tests clients tests/clients --ignore tests/clients/test_frameworks.py
# The frameworks need an older openai client, which is tested along.
step frameworks-venv "$pip_hint" make_venv frameworks &&
  suite frameworks client_tests frameworks tests/clients/test_frameworks.py tests/clients/test_chat.py
step fuzz "The input is in build/fuzz; run its fuzzer with that file as the only argument." fuzz
step bench-smoke "Run it by hand: build/release/gateway/kvasir bench --smoke" build/release/gateway/kvasir bench --smoke
finish
