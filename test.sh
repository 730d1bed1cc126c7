#!/usr/bin/env bash
# Installs what is missing, builds everything and runs every test. Closes with "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")"

tools/install_packages.sh build trainer
bazel build --noshow_progress //...
tools/run_tests.sh -- //...
