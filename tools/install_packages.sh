#!/usr/bin/env bash
# Installs the distribution's packages that Tally is built from.
#
# Usage: tools/install_packages.sh GROUP...
#   build       what `bazel build` and `bazel test` need
#   trainer     what the example trainers and the plots need besides
#   sanitizers  what the clang, asan, tsan and fuzz configurations need besides
set -euo pipefail

readonly BUILD_PACKAGES=(
  bazel-bootstrap bazel-rules-java bazel-rules-proto bazel-skylib g++ pkg-config
  libgrpc++-dev libgrpc-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc
  libabsl-dev libspdlog-dev libfmt-dev libgtest-dev libgmock-dev libbenchmark-dev libhwy-dev
  libxxhash-dev
)
readonly TRAINER_PACKAGES=(libtorch-dev libopenblas0-pthread gnuplot-nox)
readonly SANITIZERS_PACKAGES=(clang-14 lld libclang-rt-14-dev llvm-14)

usage() {
  echo "usage: tools/install_packages.sh GROUP... (build, trainer, sanitizers)" >&2
}

is_installed() {
  local status
  # dpkg-query fails for a package that it has never heard of.
  status="$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" || return 1
  [[ "${status}" == installed ]]
}

# Runs a command as root, saying which.
as_root() {
  if ((EUID == 0)); then
    echo "+ $*"
    "$@"
  elif command -v sudo >/dev/null; then
    echo "+ sudo $*"
    sudo "$@"
  else
    echo "install_packages.sh: must run as root, or where there is sudo: $*" >&2
    exit 1
  fi
}

main() {
  if (($# == 0)); then
    usage
    exit 2
  fi

  local packages=() group
  for group in "$@"; do
    case "${group}" in
      build) packages+=("${BUILD_PACKAGES[@]}") ;;
      trainer) packages+=("${TRAINER_PACKAGES[@]}") ;;
      sanitizers) packages+=("${SANITIZERS_PACKAGES[@]}") ;;
      *)
        echo "install_packages.sh: unknown group '${group}'" >&2
        usage
        exit 2
        ;;
    esac
  done

  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "install_packages.sh: apt-get is not here; this script knows Debian and Ubuntu only." >&2
    echo "Install what corresponds to: ${packages[*]}" >&2
    exit 1
  fi

  local missing=() package
  for package in "${packages[@]}"; do
    is_installed "${package}" || missing+=("${package}")
  done
  if ((${#missing[@]} == 0)); then
    echo "install_packages.sh: all ${#packages[@]} packages of $* are installed"
    return
  fi

  echo "install_packages.sh: missing: ${missing[*]}"
  as_root apt-get update
  # Passed through env, since sudo does not hand on the environment.
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
    "${missing[@]}"
}

main "$@"
