#!/usr/bin/env bash
# Runs `bazel test` and says how many test programs passed.
#
#   tools/run_tests.sh [STARTUP_OPTION...] -- [TEST_OPTION...] TARGET...
#
# Closes with "N passed, N failed" (", N skipped" if some were not run) and fails unless every test passed and there was
# at least one.
set -euo pipefail
cd "$(dirname "$0")/.."

startup=()
while [[ $# -gt 0 && $1 != -- ]]; do
  startup+=("$1")
  shift
done
shift

log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
bazel "${startup[@]}" test --keep_going --noshow_progress --color=no "$@" 2>&1 | tee "$log" || status=$?

passed=$(grep -cE '^//[^ ]+ +(\(cached\) )?PASSED' "$log" || true)
failed=$(grep -cE '^//[^ ]+ +(FAILED|TIMEOUT|FLAKY|INCOMPLETE)' "$log" || true)
skipped=$(grep -cE '^//[^ ]+ +(NO STATUS|SKIPPED)' "$log" || true)
# A target that does not build has no result of its own.
if [[ $status -ne 0 && $failed -eq 0 ]]; then failed=1; fi
if [[ $skipped -gt 0 ]]; then
  echo "$passed passed, $failed failed, $skipped skipped"
else
  echo "$passed passed, $failed failed"
fi
[[ $status -eq 0 && $passed -gt 0 ]]
