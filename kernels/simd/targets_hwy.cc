#include <atomic>

#include "hwy/highway.h"
#include "kernels/simd/targets.h"

namespace tally::simd {
namespace {

// What the processor supports; 0: not asked yet. Under a hypervisor every answer costs as much as a
// kernel over thousands of elements.
std::atomic<int64_t> supported_targets{0};

int64_t AskOnce() {
  int64_t supported = supported_targets.load(std::memory_order_relaxed);
  if (supported == 0) {
    supported = hwy::SupportedTargets();
    supported_targets.store(supported, std::memory_order_relaxed);
  }
  return supported;
}

void Override(int64_t target) {
  hwy::SetSupportedTargetsForTest(target);
  supported_targets.store(0, std::memory_order_relaxed);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace

std::vector<Target> SupportedTargets() {
  std::vector<Target> targets;
  for (const int64_t id : hwy::SupportedAndGeneratedTargets()) {
    targets.push_back({hwy::TargetName(id), id});
  }
  return targets;
}

bool HasVectors() { return (AskOnce() & HWY_TARGETS & ~(HWY_SCALAR | HWY_EMU128)) != 0; }

TargetOverride::TargetOverride(const Target& target) { Override(target.id); }

TargetOverride::~TargetOverride() { Override(0); }

}  // namespace tally::simd
