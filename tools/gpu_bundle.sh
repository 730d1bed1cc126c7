#!/usr/bin/env bash
# Builds, without a GPU, a folder that needs nothing but an NVIDIA driver and a C library (glibc 2.36 or newer): the
# aggregator and a trainer, the tests that a GPU can fail, and the benchmarks.
#
# Usage: tools/gpu_bundle.sh [FOLDER]     (build/gpu_bundle)
#        FOLDER/run.sh, on a machine with a GPU
#
# Programs are those that `bazel test` builds; the shared libraries that they need lie beside them, once for all: linked
# statically, each would carry gRPC by itself, and the folder would be four times as large.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly FOLDER=${1:-build/gpu_bundle}
readonly LIMIT_MIB=60
# Tests, by target; their names in the folder are those of their programs.
readonly TESTS=(
  kernels:conformance_test kernels:sign_conformance_test kernels:dense_conformance_test
  kernels:sketch_conformance_test kernels:vote_conformance_test kernels:backends_test
  aggregator:device_runner_test client/optimizers/device:device_birder_test
  client/optimizers/device:device_onebit_adam_test
  client/optimizers/device:device_sketched_amsgrad_test tests/end_to_end:backends_test
)
readonly BENCHMARKS=(bench:gpu_benchmark bench:gpu_pipeline_benchmark)
# Found by the end-to-end test in its runfiles.
readonly PROGRAMS=(aggregator/server:tally-aggregator examples:mlp_trainer)

path_of() { echo "${1/://}"; }

tools/install_packages.sh build
bazel build --noshow_progress "${TESTS[@]/#/\/\/}" "${BENCHMARKS[@]/#/\/\/}" "${PROGRAMS[@]/#/\/\/}"
if ! grep -q '^NVCC = "' "$(bazel info output_base)/external/cuda/toolkit.bzl"; then
  echo "gpu_bundle.sh: this build has no CUDA: nvcc was not found (third_party/cuda_toolkit.bzl)" >&2
  exit 1
fi

rm -rf "$FOLDER"
mkdir -p "$FOLDER/bin/tally" "$FOLDER/lib"
for target in "${TESTS[@]}" "${BENCHMARKS[@]}" "${PROGRAMS[@]}"; do
  program=$FOLDER/bin/tally/$(path_of "$target")
  mkdir -p "$(dirname "$program")"
  strip -o "$program" "build/bin/$(path_of "$target")"
  # What the C library brings is there on any machine.
  ldd "build/bin/$(path_of "$target")" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' |
    grep -vE '/(libc|libm|libdl|libpthread|librt|libresolv|ld-linux[^/]*)\.so' || true
done | sort -u | while read -r library; do
  strip -o "$FOLDER/lib/$(basename "$library")" "$library"
done

{
  echo '#!/usr/bin/env bash'
  echo '# Tests, then benchmarks: a table on the terminal, gpu.json and logs here, or in $OUT.'
  echo "readonly TESTS=($(for target in "${TESTS[@]}"; do path_of "$target"; done | tr '\n' ' '))"
  echo "readonly BENCHMARKS=($(for target in "${BENCHMARKS[@]}"; do path_of "$target"; done | tr '\n' ' '))"
  cat <<'RUN'
set -uo pipefail
cd "$(dirname "$0")"
readonly OUTPUT=${OUT:-$PWD}
export LD_LIBRARY_PATH=$PWD/lib TEST_SRCDIR=$PWD/bin TEST_WORKSPACE=tally
# What needs no GPU was tested where this folder was built.
export GTEST_FILTER='-*/device_fake:*/cuda_emulated'
TEST_TMPDIR=$(mktemp -d)
export TEST_TMPDIR
trap 'rm -rf "$TEST_TMPDIR"' EXIT
failed=0

run_tests() {
  local test log
  for test in "${TESTS[@]}"; do
    log=$OUTPUT/$(basename "$test").log
    if "bin/tally/$test" --gtest_color=no >"$log" 2>&1; then
      echo "PASSED  $test: $(grep -c '^\[       OK' "$log") passed, $(grep -c '^\[  SKIPPED \] .*ms)' "$log") skipped"
    else
      echo "FAILED  $test"
      grep -E '^\[  FAILED|Failure|is [^ ]* \(0x|Segmentation' "$log" | head -20
      failed=$((failed + 1))
    fi
  done
  echo "${#TESTS[@]} test programs, $failed failed"
}

# compute-sanitizer comes with the CUDA toolkit.
run_sanitizer() {
  local tool test log
  for tool in memcheck racecheck; do
    for test in "${TESTS[@]}"; do
      if [[ $test != *conformance* ]]; then continue; fi
      log=$OUTPUT/$tool-$(basename "$test").log
      if GTEST_FILTER='*/cuda' compute-sanitizer --tool "$tool" --error-exitcode 9 "bin/tally/$test" >"$log" 2>&1; then
        echo "CLEAN   $tool $test: $(tail -1 "$log")"
      else
        echo "FAILED  $tool $test: $(tail -1 "$log")"
        failed=$((failed + 1))
      fi
    done
  done
}

run_benchmarks() {
  local benchmark
  for benchmark in "${BENCHMARKS[@]}"; do
    "bin/tally/$benchmark" --json="$OUTPUT/$(basename "$benchmark").json" || failed=$((failed + 1))
  done
  { echo '['; cat "$OUTPUT/gpu_benchmark.json"; echo ','; cat "$OUTPUT/gpu_pipeline_benchmark.json"; echo ']'; } >"$OUTPUT/gpu.json"
}

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader ||
  echo "no NVIDIA driver here: what needs a GPU skips, and there is nothing to measure"
case ${1:-} in
  --tests) run_tests ;;
  --sanitizer) run_sanitizer ;;
  --benchmarks) run_benchmarks ;;
  "")
    run_tests
    if nvidia-smi >/dev/null 2>&1; then run_benchmarks; fi
    ;;
  *)
    echo "usage: run.sh [--tests | --sanitizer | --benchmarks]" >&2
    exit 2
    ;;
esac
exit "$((failed > 0))"
RUN
} >"$FOLDER/run.sh"
chmod +x "$FOLDER/run.sh"

size_mib=$(du -sm "$FOLDER" | cut -f1)
echo "$FOLDER: $size_mib MiB"
if ((size_mib > LIMIT_MIB)); then
  echo "gpu_bundle.sh: must be at most $LIMIT_MIB MiB" >&2
  exit 1
fi
