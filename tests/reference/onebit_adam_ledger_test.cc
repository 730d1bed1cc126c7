// The worker's ledger of 1-bit Adam (docs/algorithms.md, What is conserved) and what it is good
// for, with missed rounds.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "client/optimizers/onebit_adam.h"
#include "client/saved_state.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/reference/onebit_adam_reference.h"
#include "tests/reference/training_script.h"
#include "tests/util/loopback_exchanger.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

constexpr size_t kNumWorkers = 4;
constexpr uint64_t kSeed = 20240602;

// One compressed tensor whose chunks are one block each, without a mask: the payload of a chunk is
// a scale and bits.
constexpr size_t kChunkElements = 256;
constexpr size_t kNumElements = 4 * kChunkElements;

ReferenceOptions Problem(size_t warmup_rounds) {
  return {.tensors = {{.size = kNumElements}},
          .chunk_elements = kChunkElements,
          .num_workers = kNumWorkers,
          .warmup_rounds = warmup_rounds,
          .block_elements = kChunkElements,
          .learning_rate = 1e-2f};
}

OneBitAdamOptions OptionsOf(const ReferenceOptions& problem) {
  return {.adam = {.learning_rate = problem.learning_rate},
          .warmup_rounds = problem.warmup_rounds,
          .granularity = {.block_elements = kChunkElements}};
}

// The values that a chunk's sign payload stands for.
std::vector<double> Decoded(absl::Span<const uint8_t> payload) {
  float scale;
  std::memcpy(&scale, payload.data(), sizeof(scale));
  std::vector<double> values;
  for (size_t i = 0; i < kChunkElements; ++i) {
    const bool bit = (payload[sizeof(scale) + i / 8] >> (i % 8)) & 1;
    values.push_back(bit ? scale : -scale);
  }
  return values;
}

// The residual in a saved state: the sum without the contributions that are about to leave it.
std::vector<double> SavedResidual(const std::string& state) {
  const absl::StatusOr<SavedState> saved = SavedState::Parse(state);
  EXPECT_THAT(saved, IsOk());
  std::vector<float> sums(kNumElements);
  EXPECT_THAT(saved->Values("residual_sum", absl::MakeSpan(sums)), IsOk());
  std::vector<uint8_t> counted(kNumElements / kChunkElements);
  EXPECT_THAT(saved->Values("counted_chunks", absl::MakeSpan(counted)), IsOk());
  absl::string_view contributions = *saved->Bytes("counted_contributions");
  std::vector<double> residual(sums.begin(), sums.end());
  for (size_t c = 0; c < counted.size(); ++c) {
    if (counted[c] == 0) continue;
    const size_t payload_bytes = sizeof(float) + kChunkElements / 8;
    const std::vector<double> leaving =
        Decoded({reinterpret_cast<const uint8_t*>(contributions.data()), payload_bytes});
    for (size_t i = 0; i < kChunkElements; ++i) residual[c * kChunkElements + i] -= leaving[i];
    contributions.remove_prefix(payload_bytes);
  }
  return residual;
}

// Elements without variance at the freeze: signs never become their momentum.
constexpr size_t kNumLate = 20;

// Everything a worker put in and took out, in fp64.
struct Ledger {
  std::vector<double> put_in = std::vector<double>(kNumElements);      // u
  std::vector<double> given_back = std::vector<double>(kNumElements);  // beta1 * m of missed rounds
  std::vector<double> counted = std::vector<double>(kNumElements);     // c
  double largest_sum = 0.0;                                            // |a|
};

TEST(OneBitAdamLedgerTest, NothingIsLostOrCountedTwice) {
  constexpr size_t kWarmupRounds = 10;
  constexpr size_t kRounds = 150;
  const ReferenceOptions problem = Problem(kWarmupRounds);
  const TrainingScript script(kNumElements, kSeed, /*miss_share=*/0.2, /*abstentions=*/true);
  LoopbackGroup group(LayoutOf(problem),
                      {.num_workers = kNumWorkers,
                       .misses = [&](size_t w, uint64_t round,
                                     uint32_t chunk) { return script.Misses(w, round, chunk); },
                       .keep_log = true},
                      FastestHostBackend());
  std::vector<std::string> states(kNumWorkers);
  std::vector<std::vector<std::vector<float>>> gradients(kNumWorkers);
  std::vector<float> momentum(kNumElements);
  std::vector<float> variance(kNumElements);
  std::vector<std::vector<double>> at_freeze(kNumWorkers);
  ASSERT_THAT(group.RunWorkers([&](size_t w) -> absl::Status {
    TALLY_ASSIGN_OR_RETURN(const std::unique_ptr<Optimizer> optimizer,
                           CreateOneBitAdam(group.worker(w), OptionsOf(problem)));
    std::vector<float> x(kNumElements);
    for (uint64_t round = 0; round < kRounds; ++round) {
      gradients[w].push_back(script.Gradient(w, round, x));
      for (size_t i = 0; i < kNumLate && round < kWarmupRounds; ++i) {
        gradients[w].back()[i] *= 0.0f;
      }
      TALLY_RETURN_IF_ERROR(optimizer->Step(absl::MakeSpan(x), gradients[w].back()));
      if (round + 1 != kWarmupRounds) continue;
      const std::string state = optimizer->SaveState();
      at_freeze[w] = SavedResidual(state);
      if (w > 0) continue;
      TALLY_ASSIGN_OR_RETURN(const SavedState saved, SavedState::Parse(state));
      TALLY_RETURN_IF_ERROR(saved.Values("first_moment", absl::MakeSpan(momentum)));
      TALLY_RETURN_IF_ERROR(saved.Values("second_moment", absl::MakeSpan(variance)));
    }
    states[w] = optimizer->SaveState();
    return absl::OkStatus();
  }),
              IsOk());

  ASSERT_EQ(std::count(variance.begin(), variance.end(), 0.0f), std::ptrdiff_t{kNumLate});
  std::vector<Ledger> ledgers(kNumWorkers);
  for (size_t w = 0; w < kNumWorkers; ++w) ledgers[w].put_in = at_freeze[w];
  const float beta1 = AdamOptions().beta1;
  for (const LoopbackEntry& entry : group.TakeLog()) {
    if (entry.place.round < kWarmupRounds) continue;
    const size_t offset = entry.chunk * kChunkElements;
    for (size_t w = 0; w < kNumWorkers; ++w) {
      if (entry.contributions[w] == nullptr) continue;
      Ledger& ledger = ledgers[w];
      const std::vector<double> sent = Decoded(entry.contributions[w]->bytes());
      for (size_t i = 0; i < kChunkElements; ++i) {
        const size_t e = offset + i;
        const float input =
            beta1 * momentum[e] + (1.0f - beta1) * gradients[w][entry.place.round][e];
        ledger.put_in[e] += input;
        ledger.largest_sum =
            std::max(ledger.largest_sum,
                     std::abs(ledger.put_in[e] - ledger.given_back[e] - ledger.counted[e]));
        if (entry.counted[w]) {
          ledger.counted[e] += sent[i];
        } else {
          ledger.given_back[e] += beta1 * momentum[e];
        }
      }
    }
    if (entry.result == nullptr) continue;
    const std::vector<double> mean = Decoded(entry.result->bytes());
    for (size_t i = 0; i < kChunkElements; ++i) {
      const bool moves = variance[offset + i] > 0.0f;
      momentum[offset + i] = moves ? static_cast<float>(mean[i]) : 0.0f;
    }
  }
  for (size_t w = 0; w < kNumWorkers; ++w) {
    SCOPED_TRACE(testing::Message() << "worker " << w);
    const absl::StatusOr<SavedState> saved = SavedState::Parse(states[w]);
    ASSERT_THAT(saved, IsOk());
    std::vector<float> saved_momentum(kNumElements);
    ASSERT_THAT(saved->Values("first_moment", absl::MakeSpan(saved_momentum)), IsOk());
    ASSERT_EQ(saved_momentum, momentum);
    const std::vector<double> residual = SavedResidual(states[w]);
    const Ledger& ledger = ledgers[w];
    const double bound = kRounds * std::ldexp(1.0, -23) * ledger.largest_sum;
    for (size_t i = 0; i < kNumElements; ++i) {
      ASSERT_NEAR(ledger.put_in[i] - ledger.given_back[i], ledger.counted[i] + residual[i], bound)
          << "element " << i;
    }
  }
}

// Shared momentum must not enter twice: with it, the expected recursion m <- beta1 * m / (1 - p) is
// unstable from a miss share p of 1 - beta1 = 10 % on. What misses still cost is noise, since
// residuals do not cancel in means over changing participants: the loss ends higher than without
// misses, but it does end.
constexpr size_t kStormWarmupRounds = 50;
constexpr double kStormMissShare = 0.2;

ReferenceOptions StormProblem() {
  ReferenceOptions problem = Problem(kStormWarmupRounds);
  problem.learning_rate = 1e-3f;
  return problem;
}

TEST(MissedRoundsTest, TrainingConverges) {
  constexpr size_t kRounds = 5000;
  const ReferenceOptions problem = StormProblem();
  const TrainingScript script(kNumElements, kSeed, kStormMissShare, /*abstentions=*/false);
  LoopbackGroup group(LayoutOf(problem),
                      {.num_workers = kNumWorkers,
                       .misses = [&](size_t w, uint64_t round,
                                     uint32_t chunk) { return script.Misses(w, round, chunk); }},
                      FastestHostBackend());
  std::vector<std::vector<float>> x(kNumWorkers, std::vector<float>(kNumElements));
  const double initial_loss = script.Loss(x[0]);
  ASSERT_THAT(group.RunWorkers([&](size_t w) -> absl::Status {
    TALLY_ASSIGN_OR_RETURN(const std::unique_ptr<Optimizer> optimizer,
                           CreateOneBitAdam(group.worker(w), OptionsOf(problem)));
    for (uint64_t round = 0; round < kRounds; ++round) {
      const std::vector<float> gradient = script.Gradient(w, round, x[w]);
      TALLY_RETURN_IF_ERROR(optimizer->Step(absl::MakeSpan(x[w]), gradient));
    }
    return absl::OkStatus();
  }),
              IsOk());
  EXPECT_LT(script.Loss(x[0]), 0.1 * initial_loss);
}

TEST(MissedRoundsTest, KeepingTheMomentumWouldDiverge) {
  constexpr size_t kRounds = 600;
  ReferenceOptions problem = StormProblem();
  problem.keep_momentum_when_missed = true;
  const TrainingScript script(kNumElements, kSeed, kStormMissShare, /*abstentions=*/false);
  OneBitAdamReference<float> reference(problem);
  const double initial_loss = script.Loss(reference.parameters);
  for (uint64_t round = 0; round < kRounds; ++round) {
    std::vector<std::vector<float>> gradients;
    for (size_t w = 0; w < kNumWorkers; ++w) {
      gradients.push_back(script.Gradient(w, round, reference.parameters));
    }
    reference.Round(gradients,
                    [&](size_t w, size_t chunk) { return script.Misses(w, round, chunk); });
  }
  EXPECT_FALSE(script.Loss(reference.parameters) <= 100.0 * initial_loss);
}

}  // namespace
}  // namespace tally
