// 1-bit Adam against an independent implementation: in fp32 bit for bit, in fp64 within rounding.
#include "tests/reference/onebit_adam_reference.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "client/optimizers/onebit_adam.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/reference/training_script.h"
#include "tests/util/loopback_exchanger.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

constexpr size_t kNumWorkers = 4;
constexpr size_t kNumRounds = 200;
constexpr size_t kWarmupRounds = 20;
constexpr uint64_t kSeed = 20240601;

OneBitAdamOptions OptionsOf(const ReferenceOptions& reference, const Backend* backend) {
  OneBitAdamOptions options = {
      .adam = {.learning_rate = reference.learning_rate,
               .beta1 = reference.beta1,
               .beta2 = reference.beta2,
               .epsilon = reference.epsilon,
               .weight_decay = reference.weight_decay,
               .bias_correction = reference.bias_correction,
               .backend = backend},
      .warmup_rounds = reference.warmup_rounds,
      .scale_rule = reference.scale == ReferenceScale::kRootMeanSquare ? ScaleRule::kRootMeanSquare
                                                                       : ScaleRule::kMeanMagnitude,
      .granularity = {.block_elements = static_cast<uint32_t>(reference.block_elements)}};
  switch (reference.segment) {
    case ReferenceSegment::kBlock:
      options.granularity.unit = ScaleGranularity::Unit::kBlock;
      break;
    case ReferenceSegment::kTensor:
      options.granularity.unit = ScaleGranularity::Unit::kTensor;
      break;
    case ReferenceSegment::kModel:
      options.granularity.unit = ScaleGranularity::Unit::kModel;
      break;
  }
  return options;
}

std::string BytesOf(const SharedBuffer& buffer) {
  if (buffer == nullptr) return "";
  return std::string(reinterpret_cast<const char*>(buffer->data()), buffer->size());
}

// Besides the misses drawn by the script: worker 1 misses the last round of the warm-up, so that it
// carries a gradient into the residual, and everybody misses one dense and one compressed round of
// a chunk, so that nothing is exchanged.
bool Misses(const TrainingScript& script, size_t worker, uint64_t round, size_t chunk) {
  const bool nobody_counts = chunk == 1 && (round == 5 || round == kWarmupRounds + 10);
  return nobody_counts || (worker == 1 && round + 1 == kWarmupRounds) ||
         script.Misses(worker, round, chunk);
}

// Every 97th element has its first gradient after the freeze, so that it has no variance. A NaN
// stays one.
bool ComesLate(size_t element) { return element % 97 == 5; }

std::vector<float> Gradient(const TrainingScript& script, size_t worker, uint64_t round,
                            absl::Span<const float> x) {
  std::vector<float> gradient = script.Gradient(worker, round, x);
  for (size_t i = 0; i < gradient.size() && round < kWarmupRounds; ++i) {
    if (ComesLate(i) && !std::isnan(gradient[i])) gradient[i] = 0.0f;
  }
  return gradient;
}

struct Run {
  std::vector<LoopbackEntry> log;
  std::vector<std::vector<float>> parameters;  // by worker
};

Run Train(const ReferenceOptions& reference, const TrainingScript& script, const Backend* backend) {
  LoopbackGroup group(
      LayoutOf(reference),
      {.num_workers = kNumWorkers,
       .misses = [&script](size_t worker, uint64_t round,
                           uint32_t chunk) { return Misses(script, worker, round, chunk); },
       .keep_log = true},
      backend);
  Run run;
  run.parameters.assign(kNumWorkers, std::vector<float>(NumElements(reference)));
  EXPECT_THAT(group.RunWorkers([&](size_t w) -> absl::Status {
    TALLY_ASSIGN_OR_RETURN(const std::unique_ptr<Optimizer> optimizer,
                           CreateOneBitAdam(group.worker(w), OptionsOf(reference, backend)));
    std::vector<float>& x = run.parameters[w];
    for (uint64_t round = 0; round < kNumRounds; ++round) {
      const std::vector<float> gradient = Gradient(script, w, round, x);
      TALLY_RETURN_IF_ERROR(optimizer->Step(absl::MakeSpan(x), gradient));
    }
    return absl::OkStatus();
  }),
              IsOk());
  run.log = group.TakeLog();
  return run;
}

// What all workers sent and received in a run, and where it led.
struct Transcript {
  std::vector<std::vector<std::vector<std::string>>> contributions;  // by round, worker, chunk
  std::vector<std::vector<std::string>> results;                     // by round, chunk
  std::vector<float> parameters;
};

Transcript ReferenceTranscript(const ReferenceOptions& options, const TrainingScript& script) {
  OneBitAdamReference<float> reference(options);
  Transcript transcript;
  for (uint64_t round = 0; round < kNumRounds; ++round) {
    std::vector<std::vector<float>> gradients;
    for (size_t w = 0; w < kNumWorkers; ++w) {
      gradients.push_back(Gradient(script, w, round, reference.parameters));
    }
    reference.Round(gradients,
                    [&](size_t w, size_t chunk) { return Misses(script, w, round, chunk); });
    transcript.contributions.push_back(reference.contributions);
    transcript.results.push_back(reference.results);
  }
  transcript.parameters = reference.parameters;
  return transcript;
}

void ExpectSame(const Run& run, const Transcript& transcript) {
  size_t num_missed = 0;
  size_t num_abstained = 0;
  ASSERT_EQ(run.log.size(), kNumRounds * transcript.results[0].size());
  for (const LoopbackEntry& entry : run.log) {
    for (size_t w = 0; w < kNumWorkers; ++w) {
      ASSERT_TRUE(BytesOf(entry.contributions[w]) ==
                  transcript.contributions[entry.place.round][w][entry.chunk])
          << "round " << entry.place.round << ", chunk " << entry.chunk << ", worker " << w;
      num_abstained += entry.contributions[w] == nullptr ? 1 : 0;
      num_missed += entry.contributions[w] != nullptr && !entry.counted[w] ? 1 : 0;
    }
    ASSERT_TRUE(BytesOf(entry.result) == transcript.results[entry.place.round][entry.chunk])
        << "round " << entry.place.round << ", chunk " << entry.chunk;
  }
  EXPECT_GT(num_missed, 0u);
  EXPECT_GT(num_abstained, 0u);
  for (size_t w = 0; w < kNumWorkers; ++w) {
    EXPECT_EQ(std::memcmp(run.parameters[w].data(), transcript.parameters.data(),
                          transcript.parameters.size() * sizeof(float)),
              0)
        << "worker " << w;
  }
}

struct Granularity {
  std::string name;
  ReferenceSegment segment;
  size_t block_elements;
  size_t chunk_elements;
};

// Chunks smaller and larger than what the optimizer works on at a time; blocks that divide it and
// blocks that do not.
std::vector<Granularity> Granularities() {
  return {{"block 4096", ReferenceSegment::kBlock, 4096, 8192},
          {"block 768", ReferenceSegment::kBlock, 768, 19'968},
          {"tensor", ReferenceSegment::kTensor, 4096, 4352},
          {"tensor, large chunks", ReferenceSegment::kTensor, 4096, 20'480},
          {"model", ReferenceSegment::kModel, 4096, 8192}};
}

TEST(OneBitAdamReferenceTest, SameBitsInFp32) {
  for (const Granularity& granularity : Granularities()) {
    for (const ReferenceScale scale :
         {ReferenceScale::kRootMeanSquare, ReferenceScale::kMeanMagnitude}) {
      const ReferenceOptions options = {.tensors = IrregularTensors(),
                                        .chunk_elements = granularity.chunk_elements,
                                        .num_workers = kNumWorkers,
                                        .warmup_rounds = kWarmupRounds,
                                        .scale = scale,
                                        .segment = granularity.segment,
                                        .block_elements = granularity.block_elements,
                                        .weight_decay = 0.01f};
      const TrainingScript script(NumElements(options), kSeed, /*miss_share=*/0.05,
                                  /*abstentions=*/true);
      const Transcript transcript = ReferenceTranscript(options, script);
      for (const Backend* backend : HostBackends()) {
        SCOPED_TRACE(absl::StrCat(granularity.name, ", scale rule ", static_cast<int>(scale), ", ",
                                  backend->name()));
        ExpectSame(Train(options, script, backend), transcript);
      }
    }
  }
}

TEST(OneBitAdamReferenceTest, SameBitsWithoutBiasCorrection) {
  const ReferenceOptions options = {.tensors = IrregularTensors(),
                                    .chunk_elements = 8192,
                                    .num_workers = kNumWorkers,
                                    .warmup_rounds = kWarmupRounds,
                                    .bias_correction = false};
  const TrainingScript script(NumElements(options), kSeed, /*miss_share=*/0.05,
                              /*abstentions=*/true);
  ExpectSame(Train(options, script, FastestHostBackend()), ReferenceTranscript(options, script));
}

// fp32 against exact arithmetic, over the first rounds of compression. As long as an element's bits
// are the same in both, only rounding separates the two: in each round it goes through at most 32
// roundings (2^-24 of the values that they round), its scale's among them, on the way to its step.
// So after R rounds
//   |x32 - x64| <= 32 * R * 2^-24 * (|x| + R * largest step of the element)
// A bit differs only where a is within the same error of 0; then x may differ by a whole step, and
// such elements are counted: with the density of a around 0 at most 1 / scale, the share of
// elements that ever flip is at most rounds * (workers + 1) * 2 * 32 * R * 2^-24.
TEST(OneBitAdamReferenceTest, StaysWithinRoundingOfExactArithmetic) {
  constexpr size_t kCompressedRounds = 20;
  constexpr size_t kRounds = kWarmupRounds + kCompressedRounds;
  const ReferenceOptions options = {.tensors = IrregularTensors(),
                                    .chunk_elements = 8192,
                                    .num_workers = kNumWorkers,
                                    .warmup_rounds = kWarmupRounds};
  const TrainingScript script(NumElements(options), kSeed, /*miss_share=*/0.0,
                              /*abstentions=*/false);
  const auto no_misses = [](size_t, size_t) { return false; };
  LoopbackGroup group(LayoutOf(options), {.num_workers = kNumWorkers, .keep_log = true},
                      FastestHostBackend());
  // Gradients that do not depend on x: what differs is then the method's own rounding.
  const std::vector<float> origin(NumElements(options));
  std::vector<std::vector<float>> x(kNumWorkers, origin);
  ASSERT_THAT(group.RunWorkers([&](size_t w) -> absl::Status {
    TALLY_ASSIGN_OR_RETURN(
        const std::unique_ptr<Optimizer> optimizer,
        CreateOneBitAdam(group.worker(w), OptionsOf(options, FastestHostBackend())));
    for (uint64_t round = 0; round < kRounds; ++round) {
      const std::vector<float> gradient = script.Gradient(w, round, origin);
      TALLY_RETURN_IF_ERROR(optimizer->Step(absl::MakeSpan(x[w]), gradient));
    }
    return absl::OkStatus();
  }),
              IsOk());
  const std::vector<LoopbackEntry> log = group.TakeLog();

  OneBitAdamReference<double> exact(options);
  OneBitAdamReference<float> rounded(options);
  std::vector<bool> flipped(origin.size());
  std::vector<double> largest_step(origin.size());
  auto entry = log.begin();
  for (uint64_t round = 0; round < kRounds; ++round) {
    std::vector<std::vector<float>> gradients;
    for (size_t w = 0; w < kNumWorkers; ++w) {
      gradients.push_back(script.Gradient(w, round, origin));
    }
    const std::vector<double> before = exact.parameters;
    exact.Round(gradients, no_misses);
    rounded.Round(gradients, no_misses);
    for (size_t i = 0; i < before.size(); ++i) {
      largest_step[i] = std::max(largest_step[i], std::abs(exact.parameters[i] - before[i]));
    }
    for (size_t chunk = 0; chunk < rounded.num_chunks(); ++chunk, ++entry) {
      ASSERT_TRUE(BytesOf(entry->result) == rounded.results[chunk]);
    }
    for (size_t i = 0; i < exact.result_bits.size(); ++i) {
      if (exact.result_bits[i] != rounded.result_bits[i]) flipped[i] = true;
      for (size_t w = 0; w < kNumWorkers; ++w) {
        if (exact.worker_bits[w][i] != rounded.worker_bits[w][i]) flipped[i] = true;
      }
    }
  }

  const double share = 32.0 * kRounds * std::ldexp(1.0, -24);
  size_t num_flipped = 0;
  for (size_t i = 0; i < origin.size(); ++i) {
    if (flipped[i]) {
      ++num_flipped;
      continue;
    }
    ASSERT_NEAR(x[0][i], exact.parameters[i],
                share * (std::abs(exact.parameters[i]) + kRounds * largest_step[i]))
        << "element " << i;
  }
  EXPECT_LE(static_cast<double>(num_flipped),
            kCompressedRounds * (kNumWorkers + 1) * 2 * share * static_cast<double>(origin.size()));
}

}  // namespace
}  // namespace tally
