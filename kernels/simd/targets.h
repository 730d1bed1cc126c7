// The instruction sets that the SIMD back end was built for and this machine runs.
#ifndef TALLY_KERNELS_SIMD_TARGETS_H_
#define TALLY_KERNELS_SIMD_TARGETS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace tally::simd {

struct Target {
  std::string name;  // "AVX3"
  int64_t id;
};

// Best first. The last one is the scalar fallback.
std::vector<Target> SupportedTargets();

// True if some supported target has vectors.
bool HasVectors();

// While it lives, the kernels run on one target. For tests: at most one at a time, and no kernel
// may be running when it starts or ends.
class TargetOverride {
 public:
  explicit TargetOverride(const Target& target);
  ~TargetOverride();
  TargetOverride(const TargetOverride&) = delete;
  TargetOverride& operator=(const TargetOverride&) = delete;
};

}  // namespace tally::simd

#endif  // TALLY_KERNELS_SIMD_TARGETS_H_
