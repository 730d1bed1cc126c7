// What tests ask of a method that has an optimizer on the host and one on a device.
#ifndef TALLY_TESTS_UTIL_METHOD_COMPARISON_H_
#define TALLY_TESTS_UTIL_METHOD_COMPARISON_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/exchanger.h"
#include "client/optimizers/optimizer.h"
#include "codecs/layout.h"
#include "kernels/device/device.h"
#include "tests/util/loopback_exchanger.h"

namespace tally {

// Both optimizers of a method, and what they train with.
struct ComparedMethod {
  using Create = std::function<absl::StatusOr<std::unique_ptr<Optimizer>>(Exchanger*)>;

  Create on_host;
  Create on_device;
  Device* device = nullptr;
  std::function<Layout()> layout;
  std::function<std::vector<float>(size_t worker, uint64_t round)> gradient;
  uint64_t num_rounds = 0;
};

// How a worker's training ended.
struct TrainedWorker {
  std::vector<float> x;
  std::vector<float> residual;
  // Of contributions after a mean of ones (Optimizer::TurnIntoSharedPart); empty: none is.
  std::vector<float> shared_part;
  std::string state;
  OptimizerStatistics statistics;
};

TrainedWorker TrainOnHost(const ComparedMethod& method, LoopbackGroup& group, size_t worker);

// Two workers train, one of whom has a device: expects them to end as if nobody had. Returns how
// the one with the device ends.
TrainedWorker ExpectTheHostsBits(const ComparedMethod& method, LoopbackOptions loopback);

// One worker goes on from its state in every round, on the device and on the host in turns: expects
// it to end as if it had trained on the host throughout.
void ExpectItGoesOnAcross(const ComparedMethod& method, const LoopbackOptions& loopback);

}  // namespace tally

#endif  // TALLY_TESTS_UTIL_METHOD_COMPARISON_H_
