#!/usr/bin/env bash
# Installs what is missing, builds, starts real servers on free ports, runs every test, stops what it started.
#   tests/run.sh              everything
#   tests/run.sh --quick      only what needs no server
#   tests/run.sh --asan       the same suites under the address and undefined-behaviour sanitizers
#   tests/run.sh -k NAME      only the end-to-end tests whose name contains NAME
# The last line says: N passed, N failed, N skipped. Skipped suites are named with the reason. Exit code 0 if nothing failed.
set -euo pipefail
cd "$(dirname "$0")/.."

quick=false preset=dev filter=()
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=true ;;
    --asan) preset=asan ;;
    -k) shift; filter=(-k "$1") ;;
    -h|--help) sed -n '2,7s/^# //p' "$0"; exit 0 ;;
    *) echo "tests/run.sh: unknown option '$1' (there are --quick, --asan and -k NAME)" >&2; exit 2 ;;
  esac
  shift
done

say() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }
export TW_CACHE="${TW_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tailwater}"
mkdir -p "$TW_CACHE"

say "dependencies"
deploy/install-deps.sh --tests

# What the servers are made of comes while the compiler works. What cannot be had, its tests say, and skip.
fetch_servers() {
  local server
  for server in postgres mysql kafka opensearch clickhouse; do
    /usr/bin/python3 "tests/servers/$server.py" fetch || echo "tests/run.sh: $server could not be fetched"
  done
}
fetching=
if ! $quick; then fetch_servers >"$TW_CACHE/fetch.log" 2>&1 & fetching=$!; fi

say "build, preset $preset"
cmake --preset "$preset" >build-configure.log 2>&1 || { cat build-configure.log; exit 1; }
mv build-configure.log "build/$preset/configure.log"
cmake --build "build/$preset"

results=build/$preset/results
rm -rf "$results"; mkdir -p "$results/unit" "$results/e2e"
failed=0

if [ -n "$fetching" ]; then wait "$fetching"; fi
say "unit, golden, conformance and model tests"
labels=()
if $quick; then labels=(-LE integration); fi
GTEST_OUTPUT="xml:$PWD/$results/unit/" ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j $((2 * $(nproc))) "${labels[@]}" || failed=1

if ! $quick; then
  say "end to end, on real servers"
  TAILWATER="$PWD/build/$preset/tailwater" /usr/bin/python3 -m pytest tests/crash tests/integration \
    -n $(($(nproc) + 1)) --dist loadfile -q --durations=8 -rs -p no:cacheprovider --junitxml="$results/e2e/pytest.xml" "${filter[@]}" || failed=1
fi

say "result"
/usr/bin/python3 tests/summary.py "$results" || failed=1
exit $failed
