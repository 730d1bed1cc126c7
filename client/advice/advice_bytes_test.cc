// Holds the adviser's bytes against those that the optimizers really exchange.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "client/advice/advice.h"
#include "client/advice/round_load.h"
#include "client/optimizers/create_optimizer.h"
#include "client/optimizers/optimizer.h"
#include "client/optimizers/sketch_options.h"
#include "codecs/layout.h"
#include "codecs/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/dtype.h"
#include "kernels/host_backends.h"
#include "tests/util/loopback_exchanger.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

constexpr uint32_t kWorkers = 3;
constexpr uint64_t kRounds = 6;
constexpr uint64_t kCompressed = 270'000;
constexpr uint64_t kDense = 30'000;

struct BytesCase {
  std::string label;
  std::string method;
  OptimizerOptions options;
  friend void PrintTo(const BytesCase& test, std::ostream* os) { *os << test.label; }
};

std::vector<BytesCase> BytesCases() {
  OptimizerOptions options;
  options.warmup_rounds = 2;
  std::vector<BytesCase> cases;
  for (const absl::string_view name : OptimizerNames()) {
    cases.push_back({std::string(name), std::string(name), options});
  }
  cases.push_back({"onebit_adam_warm_in_16_bits", "onebit_adam", options});
  cases.back().options.dtype = DType::kBFloat16;
  cases.push_back({"zeroone_adam_with_local_steps", "zeroone_adam", options});
  cases.back().options.warmup_rounds = 1;
  cases.back().options.schedule.local_step_scaler = 1;
  cases.push_back({"zeroone_adam_before_the_freeze", "zeroone_adam", options});
  cases.back().options.warmup_rounds = absl::nullopt;
  cases.back().options.schedule.variance_scaler = 2;
  cases.push_back({"cd_adam_after_a_warm_up", "cd_adam", options});
  cases.push_back({"birder_with_counts", "birder", options});
  cases.back().options.vote_counts = true;
  cases.push_back({"cd_adam_topk", "cd_adam", options});
  cases.back().options.compressor = CdAdamCompressor::kTopk;
  cases.push_back({"sketched_sgd_by_estimates", "sketched_sgd", options});
  cases.back().options.sketch.exact_values = false;
  cases.push_back({"sketched_amsgrad_in_32_bits", "sketched_amsgrad", options});
  cases.back().options.sketch.table_dtype = DType::kFloat32;
  return cases;
}

// Whole bytes of a run, by worker, each payload with what stands around it.
struct RunBytes {
  double up = 0;
  double down = 0;
};

double Framed(size_t payload_bytes, double head_bytes) {
  const size_t slices = std::max<size_t>(1, (payload_bytes + kSliceBytes - 1) / kSliceBytes);
  return static_cast<double>(payload_bytes) + head_bytes +
         static_cast<double>(slices - 1) * kSliceHeadBytes;
}

RunBytes Play(const BytesCase& test, const AdviceOptions& asked) {
  OptimizerOptions options = test.options;
  options.sketch.num_updated = static_cast<uint32_t>(std::ceil(asked.sketch_share * kCompressed));
  options.sketch.columns =
      static_cast<uint32_t>(std::ceil(asked.sketch_columns_share * kCompressed));
  absl::optional<DealingOptions> dealing;
  if (Sketches(test.method)) {
    dealing = DealingOptions{NumSketchGroups(options.sketch.columns, kCompressed), 3};
  }
  LoopbackGroup group(
      *Layout::Create({{"weights", kCompressed}, {"bias", kDense, Treatment::kDense}},
                      kDefaultChunkElements, dealing),
      {.num_workers = kWorkers, .keep_log = true, .seed = 9}, FastestHostBackend());
  EXPECT_THAT(group.RunWorkers([&](size_t worker) -> absl::Status {
    auto optimizer = CreateOptimizer(test.method, group.worker(worker), options);
    if (!optimizer.ok()) return optimizer.status();
    std::mt19937 random(static_cast<uint32_t>(worker) + 1);
    std::normal_distribution<float> normal;
    std::vector<float> x(kCompressed + kDense, 0.25f);
    std::vector<float> gradient(x.size());
    for (uint64_t round = 0; round < kRounds; ++round) {
      for (float& g : gradient) g = normal(random);
      const absl::Status status = (*optimizer)->Step(absl::MakeSpan(x), gradient);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }),
              IsOk());
  RunBytes bytes;
  for (const LoopbackEntry& entry : group.TakeLog()) {
    bytes.up += Framed(entry.contributions[0]->size(), kContributionHeadBytes);
    bytes.down += Framed(entry.result->size(), kResultHeadBytes + kWorkers / 8.0);
  }
  return bytes;
}

class AdviceBytesTest : public testing::TestWithParam<BytesCase> {};

TEST_P(AdviceBytesTest, AreThoseOfTheOptimizer) {
  const AdviceOptions options = {.parameters = kCompressed + kDense,
                                 .dense_share = 0.1,
                                 .workers = kWorkers,
                                 .uplink_bits_per_second = 1e9,
                                 .rounds = kRounds,
                                 .optimizer = GetParam().options};
  const absl::StatusOr<Advice> advice = Advise(options);
  ASSERT_THAT(advice, IsOk());
  const auto row = std::find_if(
      advice->rows.begin(), advice->rows.end(),
      [](const AdviceRow& candidate) { return candidate.method == GetParam().method; });
  ASSERT_NE(row, advice->rows.end());
  const RunBytes played = Play(GetParam(), options);
  // Sets of indices have an expected size, all else is exact.
  const bool has_sets = Sketches(row->method) || row->settings.find("top-k") != std::string::npos;
  const double tolerance = has_sets ? 0.02 : 1e-9;
  EXPECT_NEAR(row->mean_up_bytes * kRounds / played.up, 1, tolerance);
  EXPECT_NEAR(row->mean_down_bytes * kRounds / played.down, 1, tolerance);
}

INSTANTIATE_TEST_SUITE_P(Every, AdviceBytesTest, testing::ValuesIn(BytesCases()),
                         [](const auto& instance) { return instance.param.label; });

}  // namespace
}  // namespace tally
