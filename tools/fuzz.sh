#!/usr/bin/env bash
# Fuzzes each target of tests/fuzz for an equal share of SECONDS and stops at the first finding.
# Needs clang 14.
#   tools/fuzz.sh 300
# Corpora and findings are kept in ${XDG_CACHE_HOME:-~/.cache}/tally-fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."

targets=(layout exchange sign_payload dense_payload index_set sparse_payload vote_payload slices roster)

seconds=${1:-}
if ! [[ ${seconds} =~ ^[0-9]+$ ]] || ((seconds < ${#targets[@]})); then
  echo "usage: tools/fuzz.sh SECONDS, at least ${#targets[@]}" >&2
  exit 2
fi
share=$((seconds / ${#targets[@]}))

cache=${XDG_CACHE_HOME:-${HOME}/.cache}
mkdir -p "${cache}/tally-bazel"
# An output base of its own: a change of compiler would throw away what the other one has built.
bazel=(bazel --output_base="${cache}/tally-bazel/clang" --max_idle_secs=60)
options=(--config=fuzz --symlink_prefix=/)

labels=()
for target in "${targets[@]}"; do
  labels+=("//tests/fuzz:${target}_fuzzer")
done
"${bazel[@]}" build "${options[@]}" "${labels[@]}"
binaries=$("${bazel[@]}" info "${options[@]}" bazel-bin)/tests/fuzz

for target in "${targets[@]}"; do
  echo "${target}: ${share} s"
  kept=${cache}/tally-fuzz/${target}
  mkdir -p "${kept}/corpus"
  "${binaries}/${target}_fuzzer" -max_total_time="${share}" -max_len=4096 -timeout=10 -verbosity=0 \
    -print_final_stats=1 -artifact_prefix="${kept}/" "${kept}/corpus" 2>&1 |
    sed '/^###### Recommended/,/^###### End/d'
done
