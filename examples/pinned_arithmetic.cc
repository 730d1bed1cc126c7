#include "examples/pinned_arithmetic.h"

#include <ATen/Parallel.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace tally {
namespace {

struct Setting {
  const char* name;
  const char* value;
};

// A user who sets one of these has reasons.
constexpr Setting kSettings[] = {
    {"ATEN_CPU_CAPABILITY", "avx2"},
    {"OMP_NUM_THREADS", "1"},
    {"OPENBLAS_CORETYPE", "Haswell"},
    {"OPENBLAS_NUM_THREADS", "1"},
};

}  // namespace

void PinArithmetic(char** argv) {
  bool changed = false;
  for (const Setting& setting : kSettings) {
    if (std::getenv(setting.name) != nullptr) continue;
    if (setenv(setting.name, setting.value, /*overwrite=*/0) == 0) changed = true;
  }
  if (!changed) return;
  // By its path, not by the link, whose name the process would carry from then on.
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) execv(program.c_str(), argv);
}

void UseOneTorchThread() {
  at::set_num_threads(1);
  at::set_num_interop_threads(1);
}

}  // namespace tally
