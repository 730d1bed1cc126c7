// What can be said of CD-Adam from what its state holds; the rest is compared with a reference
// (tests/reference).
#include "client/optimizers/cd_adam.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status_macros.h"
#include "client/saved_state.h"
#include "codecs/layout.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/loopback_exchanger.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

constexpr size_t kWorkers = 3;
constexpr size_t kNumElements = 300;  // chunks of 256 and 44 elements
constexpr uint64_t kRebase = 3;       // the round whose results say that tracking starts anew

struct TrackedState {
  std::vector<float> tracked = std::vector<float>(kNumElements);
  std::vector<float> shared = std::vector<float>(kNumElements);
};

std::vector<float> Gradient(size_t worker, uint64_t round) {
  std::vector<float> gradient(kNumElements);
  for (size_t i = 0; i < kNumElements; ++i) {
    gradient[i] =
        static_cast<float>((i * 37 + worker * 11 + round * round * 5) % 128) / 64.0f - 0.9f;
  }
  return gradient;
}

// What worker 0 tracks after so many rounds, of which round kRebase rebases chunk 1 alone.
TrackedState TrackingAfter(uint64_t rounds, CdAdamCompressor compressor) {
  const Layout layout = *Layout::Create({{.name = "a", .num_elements = kNumElements}}, 256);
  LoopbackGroup group(
      layout,
      {.num_workers = kWorkers,
       .rebases = [](uint64_t round, uint32_t chunk) { return round == kRebase && chunk == 1; }},
      FastestHostBackend());
  TrackedState result;
  const absl::Status status = group.RunWorkers([&](size_t worker) -> absl::Status {
    TALLY_ASSIGN_OR_RETURN(
        const std::unique_ptr<Optimizer> optimizer,
        CreateCdAdam(group.worker(worker),
                     {.compressor = compressor, .block_elements = 256, .share = 0.1}));
    std::vector<float> x(kNumElements);
    for (uint64_t round = 0; round < rounds; ++round) {
      TALLY_RETURN_IF_ERROR(optimizer->Step(absl::MakeSpan(x), Gradient(worker, round)));
    }
    if (worker != 0) return absl::OkStatus();
    const std::string state = optimizer->SaveState();
    TALLY_ASSIGN_OR_RETURN(const SavedState saved, SavedState::Parse(state));
    TALLY_RETURN_IF_ERROR(saved.Values("tracked", absl::MakeSpan(result.tracked)));
    return saved.Values("shared", absl::MakeSpan(result.shared));
  });
  EXPECT_THAT(status, IsOk());
  return result;
}

class CdAdamTest : public testing::TestWithParam<CdAdamCompressor> {};

TEST_P(CdAdamTest, TracksTheSharedMeanFromARebaseOn) {
  const TrackedState before = TrackingAfter(kRebase, GetParam());
  EXPECT_NE(before.tracked, before.shared);
  const TrackedState after = TrackingAfter(kRebase + 1, GetParam());
  for (size_t i = 256; i < kNumElements; ++i) {
    EXPECT_EQ(after.tracked[i], after.shared[i]) << "element " << i;
  }
  EXPECT_NE(after.tracked, after.shared) << "the other chunk's header said nothing";
}

INSTANTIATE_TEST_SUITE_P(BothCompressors, CdAdamTest,
                         testing::Values(CdAdamCompressor::kSign, CdAdamCompressor::kTopk),
                         [](const testing::TestParamInfo<CdAdamCompressor>& parameter) {
                           return parameter.param == CdAdamCompressor::kSign ? "Sign" : "Topk";
                         });

}  // namespace
}  // namespace tally
