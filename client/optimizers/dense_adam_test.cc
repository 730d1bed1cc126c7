#include "client/optimizers/dense_adam.h"

#include <cfenv>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/host_backends.h"
#include "tests/util/loopback_exchanger.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr size_t kNumElements = 300;

// Chunks of 256 and 44 elements.
Layout TwoChunks() { return *Layout::Create({{.name = "t", .num_elements = kNumElements}}, 256); }

LoopbackGroup NewGroup(LoopbackOptions options = {}) {
  return LoopbackGroup(TwoChunks(), std::move(options), FastestHostBackend());
}

std::vector<float> Gradient(size_t worker, uint64_t round) {
  std::vector<float> gradient(kNumElements);
  for (size_t i = 0; i < kNumElements; ++i) {
    gradient[i] =
        static_cast<float>(static_cast<int>((i * 37 + worker * 11 + round * 5) % 128)) / 64.0f -
        1.0f;
  }
  return gradient;
}

TEST(DenseAdamTest, StepsWithTheMeanOnAllWorkers) {
  LoopbackGroup group = NewGroup({.num_workers = 2});
  std::vector<std::vector<float>> x(2, std::vector<float>(kNumElements));
  ASSERT_THAT(group.RunWorkers([&](size_t w) -> absl::Status {
    TALLY_ASSIGN_OR_RETURN(const auto optimizer, CreateDenseAdam(group.worker(w), {}));
    return optimizer->Step(absl::MakeSpan(x[w]),
                           std::vector<float>(kNumElements, w == 0 ? 3.0f : 1.0f));
  }),
              IsOk());
  EXPECT_EQ(x[0], x[1]);
  // The first step of Adam is the learning rate against the sign, as good as exactly.
  EXPECT_NEAR(x[0][0], -1e-3f, 1e-9);
}

TEST(DenseAdamTest, AMissedGradientEntersTheNextRound) {
  LoopbackGroup group = NewGroup(
      {.misses = [](size_t, uint64_t round, uint32_t chunk) { return round == 0 && chunk == 1; },
       .keep_log = true});
  const auto optimizer = *CreateDenseAdam(group.worker(0), {});
  std::vector<float> x(kNumElements);
  ASSERT_THAT(optimizer->Step(absl::MakeSpan(x), std::vector<float>(kNumElements, 2.0f)), IsOk());
  EXPECT_NE(x[0], 0.0f);
  EXPECT_EQ(x[256], 0.0f);  // nobody took part: nothing moved
  ASSERT_THAT(optimizer->Step(absl::MakeSpan(x), std::vector<float>(kNumElements, 3.0f)), IsOk());
  const std::vector<LoopbackEntry> log = group.TakeLog();
  const auto sent = [](const LoopbackEntry& entry) {
    return *reinterpret_cast<const float*>(entry.contributions[0]->data());
  };
  EXPECT_EQ(sent(log[2]), 3.0f);
  EXPECT_EQ(sent(log[3]), 5.0f);
}

TEST(DenseAdamTest, AbstainsFromChunksThatAreNotFinite) {
  LoopbackGroup group = NewGroup();
  const auto optimizer = *CreateDenseAdam(group.worker(0), {});
  std::vector<float> x(kNumElements);
  std::vector<float> gradient(kNumElements, 1.0f);
  gradient[7] = kNan;
  ASSERT_THAT(optimizer->Step(absl::MakeSpan(x), gradient), IsOk());
  EXPECT_EQ(optimizer->statistics().abstained_chunks, 1u);
  EXPECT_EQ(optimizer->statistics().steps, 1u);
  EXPECT_FALSE(optimizer->statistics().compressing);
  EXPECT_EQ(x[0], 0.0f);
  EXPECT_LT(x[299], 0.0f);
}

TEST(DenseAdamTest, StopsAtWhatIsNotFiniteIfAsked) {
  LoopbackGroup group = NewGroup();
  const auto optimizer =
      *CreateDenseAdam(group.worker(0), {.adam = {.non_finite = NonFinitePolicy::kStop}});
  std::vector<float> x(kNumElements);
  std::vector<float> gradient(kNumElements, 1.0f);
  gradient[257] = kNan;
  const auto is_stop = StatusIs(absl::StatusCode::kOutOfRange,
                                AllOf(HasSubstr("chunk 1"), HasSubstr("`gradients[257]`")));
  EXPECT_THAT(optimizer->Step(absl::MakeSpan(x), gradient), is_stop);
  EXPECT_THAT(optimizer->Step(absl::MakeSpan(x), Gradient(0, 0)), is_stop);
  EXPECT_THAT(optimizer->SaveState(), IsEmpty());
}

TEST(DenseAdamTest, RefusesWrongSizesWithoutHarm) {
  LoopbackGroup group = NewGroup();
  const auto optimizer = *CreateDenseAdam(group.worker(0), {});
  std::vector<float> x(kNumElements);
  EXPECT_THAT(optimizer->Step(absl::MakeSpan(x), std::vector<float>(3)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`gradients`")));
  EXPECT_THAT(optimizer->Step(absl::MakeSpan(x), Gradient(0, 0)), IsOk());
}

TEST(DenseAdamTest, RefusesBadOptions) {
  LoopbackGroup group = NewGroup();
  EXPECT_THAT(CreateDenseAdam(group.worker(0), {.adam = {.beta1 = 1.0f}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`beta1`")));
  EXPECT_THAT(CreateDenseAdam(group.worker(0), {.dtype = static_cast<DType>(9)}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("data_type")));
}

// Where a run of two workers with misses leads; with `reload` each step is taken by a new optimizer
// from the saved state of the last.
std::vector<float> Train(const DenseAdamOptions& options, bool reload) {
  LoopbackGroup group =
      NewGroup({.num_workers = 2, .misses = [](size_t w, uint64_t round, uint32_t chunk) {
                  return (w + round + chunk) % 3 == 0;
                }});
  std::vector<std::vector<float>> x(2, std::vector<float>(kNumElements));
  EXPECT_THAT(group.RunWorkers([&](size_t w) -> absl::Status {
    TALLY_ASSIGN_OR_RETURN(auto optimizer, CreateDenseAdam(group.worker(w), options));
    for (uint64_t round = 0; round < 20; ++round) {
      TALLY_RETURN_IF_ERROR(optimizer->Step(absl::MakeSpan(x[w]), Gradient(w, round)));
      if (!reload) continue;
      const std::string state = optimizer->SaveState();
      TALLY_ASSIGN_OR_RETURN(optimizer, CreateDenseAdam(group.worker(w), options));
      TALLY_RETURN_IF_ERROR(optimizer->LoadState(state));
    }
    EXPECT_EQ(optimizer->statistics().steps, 20u);
    return absl::OkStatus();
  }),
              IsOk());
  EXPECT_EQ(x[0], x[1]);
  return x[0];
}

TEST(DenseAdamTest, GoesOnBitIdenticallyFromASavedState) {
  for (const bool amsgrad : {false, true}) {
    for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
      SCOPED_TRACE(DTypeName(dtype));
      const DenseAdamOptions options = {.amsgrad = amsgrad, .dtype = dtype};
      EXPECT_EQ(Train(options, true), Train(options, false));
    }
  }
}

TEST(DenseAdamTest, RefusesForeignAndDamagedStates) {
  LoopbackGroup group = NewGroup();
  const auto optimizer = *CreateDenseAdam(group.worker(0), {});
  const auto amsgrad = *CreateDenseAdam(group.worker(0), {.amsgrad = true});
  const std::string state = optimizer->SaveState();
  EXPECT_THAT(amsgrad->LoadState(state),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("must be dense_amsgrad")));
  EXPECT_THAT(optimizer->LoadState(state.substr(1)), StatusIs(absl::StatusCode::kDataLoss));
  LoopbackGroup other(*Layout::Create({{.name = "u", .num_elements = kNumElements}}, 256), {},
                      FastestHostBackend());
  EXPECT_THAT((*CreateDenseAdam(other.worker(0), {}))->LoadState(state),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`layout`")));
}

TEST(DenseAdamTest, TheCallersRoundingModeChangesNothing) {
  LoopbackGroup group = NewGroup();
  const auto step = [&] {
    const auto optimizer = *CreateDenseAdam(group.worker(0), {.adam = {.weight_decay = 0.1f}});
    std::vector<float> x(kNumElements, 0.3f);
    for (uint64_t round = 0; round < 5; ++round) {
      EXPECT_THAT(optimizer->Step(absl::MakeSpan(x), Gradient(0, round)), IsOk());
    }
    return x;
  };
  const std::vector<float> to_nearest = step();
  std::fesetround(FE_UPWARD);
  const std::vector<float> upward = step();
  const int left_as_it_was = std::fegetround();
  std::fesetround(FE_TONEAREST);
  EXPECT_EQ(upward, to_nearest);
  EXPECT_EQ(left_as_it_was, FE_UPWARD);
}

}  // namespace
}  // namespace tally
