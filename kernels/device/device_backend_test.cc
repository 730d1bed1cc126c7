#include "kernels/device/device_backend.h"

#include <cmath>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/device/fake_device.h"
#include "kernels/scalar/scalar_backend.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint32_t kElements = 4099;
constexpr size_t kMiB = size_t{1} << 20;

std::vector<float> Wave(size_t size, float step) {
  std::vector<float> x(size);
  for (size_t i = 0; i < size; ++i) x[i] = std::sin(step * static_cast<float>(i));
  return x;
}

std::vector<uint8_t> Pattern(size_t size, uint32_t step) {
  std::vector<uint8_t> bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(i * step + 7);
  return bytes;
}

// The bits of what one operation gives.
class Results {
 public:
  template <typename T>
  void Add(const std::vector<T>& values) {
    const auto* const bytes = reinterpret_cast<const uint8_t*>(values.data());
    bytes_.insert(bytes_.end(), bytes, bytes + values.size() * sizeof(T));
  }

  bool operator==(const Results& other) const { return bytes_ == other.bytes_; }

 private:
  std::vector<uint8_t> bytes_;
};

// One of Backend's operations on fixed arguments.
struct Operation {
  std::string name;
  std::function<Results(const Backend&)> run;

  friend void PrintTo(const Operation& operation, std::ostream* os) { *os << operation.name; }
};

Results AccumulateOnce(const Backend& backend) {
  std::vector<float> sum = Wave(kElements, 0.3f);
  const std::vector<float> input = Wave(kElements, 0.7f);
  const std::vector<uint8_t> bits = Pattern(BitmapBytes(kElements), 5);
  const std::vector<uint8_t> live = Pattern(BitmapBytes(kElements), 3);
  const std::vector<float> scales = {0.5f, 0.25f};
  const std::vector<uint32_t> ends = {1001, kElements};
  std::vector<double> norms(2);
  EXPECT_THAT(backend.Accumulate({absl::MakeSpan(sum), input, SignBlock{bits, scales}, ends, live,
                                  ScaleRule::kRootMeanSquare, absl::MakeSpan(norms)}),
              IsOk());
  Results results;
  results.Add(sum);
  results.Add(norms);
  return results;
}

Results SignRoundOnce(const Backend& backend) {
  const std::vector<uint8_t> first = Pattern(BitmapBytes(kElements), 5);
  const std::vector<uint8_t> second = Pattern(BitmapBytes(kElements), 11);
  const std::vector<float> scales = {0.5f, 0.25f};
  const std::vector<SignBlock> blocks = {{first, scales}, {second, scales}};
  const std::vector<uint32_t> ends = {1001, kElements};
  std::vector<float> residual = Wave(kElements, 0.3f);
  std::vector<uint8_t> bits(BitmapBytes(kElements));
  std::vector<float> result_scales(2);
  EXPECT_THAT(backend.SignRound({.blocks = blocks,
                                 .divisor = 2,
                                 .segment_ends = ends,
                                 .live = {},
                                 .rule = ScaleRule::kMeanMagnitude,
                                 .residual = absl::MakeSpan(residual),
                                 .bits = absl::MakeSpan(bits),
                                 .scales = absl::MakeSpan(result_scales)}),
              IsOk());
  Results results;
  results.Add(residual);
  results.Add(bits);
  results.Add(result_scales);
  return results;
}

Results SumSignsOnce(const Backend& backend) {
  const std::vector<uint8_t> bits = Pattern(BitmapBytes(kElements), 5);
  const std::vector<float> scales = {0.5f};
  const std::vector<SignBlock> blocks(3, {bits, scales});
  const std::vector<uint32_t> ends = {kElements};
  std::vector<float> sum(kElements);
  EXPECT_THAT(backend.SumSigns(blocks, ends, {}, absl::MakeSpan(sum)), IsOk());
  Results results;
  results.Add(sum);
  return results;
}

Results PackSignsOnce(const Backend& backend) {
  std::vector<uint8_t> bits(BitmapBytes(kElements));
  EXPECT_THAT(backend.PackSigns(Wave(kElements, 0.3f), absl::MakeSpan(bits)), IsOk());
  Results results;
  results.Add(bits);
  return results;
}

Results ReduceOnce(const Backend& backend) {
  const std::vector<float> x = Wave(kElements, 0.3f);
  const std::vector<float> y = Wave(kElements, 0.7f);
  Results results;
  results.Add(std::vector<double>{backend.SumOfSquares(x), backend.SumOfMagnitudes(x),
                                  backend.DotProduct(x, y)});
  results.Add(std::vector<int>{backend.AllWithin(x, 1), backend.AllWithin(x, 0.5f)});
  return results;
}

Results BlendOnce(const Backend& backend) {
  std::vector<float> x = Wave(kElements, 0.3f);
  std::vector<float> y = Wave(kElements, 0.7f);
  EXPECT_THAT(backend.Blend(0.5f, x, 2, y, absl::MakeSpan(x)), IsOk());
  EXPECT_THAT(backend.Blend(0.5f, x, 2, y, absl::MakeSpan(y)), IsOk());
  EXPECT_THAT(backend.Blend(0.5f, y, 2, y, absl::MakeSpan(y)), IsOk());
  Results results;
  results.Add(x);
  results.Add(y);
  return results;
}

Results StepOnce(const Backend& backend) {
  std::vector<float> parameters = Wave(kElements, 0.1f);
  std::vector<float> first_moment = Wave(kElements, 0.2f);
  std::vector<float> second_moment(kElements, 0.5f);
  std::vector<float> largest_moment(kElements, 0.75f);
  const std::vector<float> gradient = Wave(kElements, 0.3f);
  for (const absl::Span<float> largest : {absl::MakeSpan(largest_moment), absl::Span<float>()}) {
    EXPECT_THAT(backend.AdamStep({absl::MakeSpan(parameters), absl::MakeSpan(first_moment),
                                  absl::MakeSpan(second_moment), largest, gradient, 0.9f, 0.1f,
                                  0.99f, 0.01f, 1e-3f, 1, 1, 1e-8f, 0.01f}),
                IsOk());
  }
  EXPECT_THAT(backend.MomentumStep({absl::MakeSpan(parameters), first_moment, second_moment, 1e-3f,
                                    1, 1, 1e-8f, 0.01f}),
              IsOk());
  Results results;
  for (const auto* const values : {&parameters, &first_moment, &second_moment, &largest_moment}) {
    results.Add(*values);
  }
  return results;
}

Results DenseOnce(const Backend& backend) {
  const std::vector<float> x = Wave(kElements, 0.3f);
  std::vector<uint8_t> encoded(2 * kElements);
  std::vector<float> decoded(kElements);
  std::vector<uint8_t> mean(2 * kElements);
  EXPECT_THAT(backend.EncodeDense(DType::kFloat16, x, absl::MakeSpan(encoded)), IsOk());
  EXPECT_THAT(backend.DecodeDense(DType::kFloat16, encoded, absl::MakeSpan(decoded)), IsOk());
  const std::vector<absl::Span<const uint8_t>> inputs(3, encoded);
  EXPECT_THAT(backend.DenseMean(DType::kFloat16, inputs, 4, absl::MakeSpan(mean)), IsOk());
  Results results;
  results.Add(encoded);
  results.Add(decoded);
  results.Add(mean);
  return results;
}

Results VoteOnce(const Backend& backend) {
  constexpr size_t kBytes = BitmapBytes(kElements);
  std::vector<float> moment = Wave(kElements, 0.1f);
  std::vector<float> magnitude(kElements, 0.5f);
  const std::vector<float> gradient = Wave(kElements, 0.3f);
  const DrawStream draws = {.key = 1, .round = 2, .first_element = 8};
  std::vector<uint8_t> bits(kBytes);
  EXPECT_THAT(backend.votes().Binarise({absl::MakeSpan(moment), absl::MakeSpan(magnitude), gradient,
                                        0.9f, 0.1f, 0.9f, 0.1f, draws, absl::MakeSpan(bits)}),
              IsOk());
  const std::vector<uint8_t> other = Pattern(kBytes, 5);
  const std::vector<absl::Span<const uint8_t>> ballots = {bits, other};
  std::vector<uint8_t> planes(2 * kBytes);
  std::vector<uint8_t> drawn(kBytes);
  std::vector<uint8_t> majority(kBytes);
  std::vector<float> mean(kElements);
  EXPECT_THAT(backend.votes().CountVotes(ballots, kElements, absl::MakeSpan(planes)), IsOk());
  EXPECT_THAT(backend.votes().DrawVotes(ballots, kElements, draws, absl::MakeSpan(drawn)), IsOk());
  EXPECT_THAT(backend.votes().MajorityVotes(ballots, kElements, draws, absl::MakeSpan(majority)),
              IsOk());
  EXPECT_THAT(backend.votes().MeanOfCounts(planes, 2, absl::MakeSpan(mean)), IsOk());
  Results results;
  for (const auto* const bitmap : {&bits, &planes, &drawn, &majority}) results.Add(*bitmap);
  for (const auto* const values : {&moment, &magnitude, &mean}) results.Add(*values);
  return results;
}

Results SketchOnce(const Backend& backend) {
  const SketchShape shape = {.rows = 3, .columns = 64, .key = 5};
  const std::vector<uint8_t> live = Pattern(BitmapBytes(kElements), 3);
  std::vector<float> table(SketchCells(shape));
  std::vector<float> estimates(kElements);
  std::vector<uint32_t> indices(40);
  EXPECT_THAT(backend.sketches().Sketch(shape, Wave(kElements, 0.3f), absl::MakeSpan(table)),
              IsOk());
  EXPECT_THAT(backend.sketches().Estimate(shape, table, absl::MakeSpan(estimates)), IsOk());
  EXPECT_THAT(backend.sketches().SelectLargest(estimates, live, absl::MakeSpan(indices)), IsOk());
  Results results;
  results.Add(table);
  results.Add(estimates);
  results.Add(indices);
  return results;
}

class DeviceBackendTest : public testing::Test {
 protected:
  static std::vector<std::string> StopLog() {
    return absl::StrSplit(testing::internal::GetCapturedStderr(), '\n', absl::SkipEmpty());
  }

  ScalarBackend scalar_;
  FakeDevice* device_ = new FakeDevice();
  DeviceBackend backend_{"device_fake", std::unique_ptr<Device>(device_), &scalar_,
                         /*max_lanes=*/2};
};

class DeviceOperationTest : public DeviceBackendTest,
                            public testing::WithParamInterface<Operation> {};

INSTANTIATE_TEST_SUITE_P(EveryOperation, DeviceOperationTest,
                         testing::ValuesIn(std::vector<Operation>{{"Accumulate", AccumulateOnce},
                                                                  {"SignRound", SignRoundOnce},
                                                                  {"SumSigns", SumSignsOnce},
                                                                  {"PackSigns", PackSignsOnce},
                                                                  {"Reductions", ReduceOnce},
                                                                  {"Blend", BlendOnce},
                                                                  {"Steps", StepOnce},
                                                                  {"Dense", DenseOnce},
                                                                  {"Votes", VoteOnce},
                                                                  {"Sketches", SketchOnce}}),
                         [](const testing::TestParamInfo<Operation>& parameter) {
                           return parameter.param.name;
                         });

TEST_P(DeviceOperationTest, ComputesOnTheDevice) {
  EXPECT_EQ(GetParam().run(backend_), GetParam().run(scalar_));
  EXPECT_GT(device_->num_launches(), 0);
}

TEST_P(DeviceOperationTest, TheSameAgainTakesNoMoreMemory) {
  GetParam().run(backend_);
  GetParam().run(backend_);
  const uint64_t num_bytes = device_->allocated_bytes() + device_->pinned_bytes();
  for (int i = 0; i < 3; ++i) GetParam().run(backend_);
  EXPECT_EQ(device_->allocated_bytes() + device_->pinned_bytes(), num_bytes);
}

TEST_P(DeviceOperationTest, LeavesToTheHostWhatMemoryDoesNotSufficeFor) {
  testing::internal::CaptureStderr();
  device_->LimitMemory(0);
  EXPECT_EQ(GetParam().run(backend_), GetParam().run(scalar_));
  GetParam().run(backend_);
  EXPECT_EQ(device_->num_launches(), 0);
  EXPECT_EQ(device_->allocated_bytes(), 0u);
  EXPECT_THAT(StopLog(), ElementsAre(AllOf(HasSubstr("warning"), HasSubstr("device_fake"),
                                           HasSubstr("the limit is 0"))));
}

TEST_P(DeviceOperationTest, LeavesToTheHostWhatCannotBeStaged) {
  testing::internal::CaptureStderr();
  device_->LimitPinned(0);
  EXPECT_EQ(GetParam().run(backend_), GetParam().run(scalar_));
  EXPECT_EQ(device_->num_launches(), 0);
  EXPECT_THAT(StopLog(), ElementsAre(HasSubstr("warning")));
}

TEST_P(DeviceOperationTest, LeavesEverythingToTheHostOnceTheDeviceHasFailed) {
  testing::internal::CaptureStderr();
  const Results before = GetParam().run(backend_);
  const int num_launches = device_->num_launches();
  device_->Fail("a cosmic ray");
  EXPECT_EQ(GetParam().run(backend_), before);
  GetParam().run(backend_);
  EXPECT_EQ(device_->num_launches(), num_launches);
  EXPECT_THAT(StopLog(), ElementsAre(AllOf(HasSubstr("error"), HasSubstr("device_fake"),
                                           HasSubstr("a cosmic ray"))));
}

TEST_P(DeviceOperationTest, ThreadsSideBySideDoNotDisturbEachOther) {
  const Results expected = GetParam().run(scalar_);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5; ++i) EXPECT_EQ(GetParam().run(backend_), expected);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_P(DeviceOperationTest, AFailureInBetweenChangesNoBits) {
  testing::internal::CaptureStderr();
  const Results expected = GetParam().run(scalar_);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 5; ++i) {
        if (t == 0 && i == 2) device_->Fail("a cosmic ray");
        EXPECT_EQ(GetParam().run(backend_), expected);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(StopLog(), ElementsAre(HasSubstr("a cosmic ray")));
}

TEST_F(DeviceBackendTest, GoesBackToTheDeviceWhenMemorySufficesAgain) {
  testing::internal::CaptureStderr();
  device_->LimitMemory(0);
  PackSignsOnce(backend_);
  device_->LimitMemory(4 * kMiB);
  PackSignsOnce(backend_);
  EXPECT_EQ(device_->num_launches(), 1);
  StopLog();
}

TEST_F(DeviceBackendTest, SaysWhatItComputesOn) {
  EXPECT_EQ(backend_.name(), "device_fake");
  EXPECT_EQ(backend_.device(), device_);
  EXPECT_EQ(&backend_.fallback(), &scalar_);
  EXPECT_TRUE(backend_.IsSupported());
}

TEST_F(DeviceBackendTest, ChecksArgumentsBeforeTheDeviceSeesThem) {
  std::vector<uint8_t> bits(1);
  EXPECT_THAT(backend_.PackSigns(std::vector<float>(9), absl::MakeSpan(bits)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("`bits`")));
  EXPECT_EQ(device_->allocated_bytes(), 0u);
}

}  // namespace
}  // namespace tally
