#include "hwy/highway.h"
#include "kernels/simd/targets.h"

namespace tally::simd {

std::vector<Target> SupportedTargets() {
  std::vector<Target> targets;
  for (const int64_t id : hwy::SupportedAndGeneratedTargets()) {
    targets.push_back({hwy::TargetName(id), id});
  }
  return targets;
}

bool HasVectors() {
  return (hwy::SupportedTargets() & HWY_TARGETS & ~(HWY_SCALAR | HWY_EMU128)) != 0;
}

TargetOverride::TargetOverride(const Target& target) {
  hwy::SetSupportedTargetsForTest(target.id);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

TargetOverride::~TargetOverride() {
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace tally::simd
