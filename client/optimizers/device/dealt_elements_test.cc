#include "client/optimizers/device/dealt_elements.h"

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/optimizers/device/device_array.h"
#include "client/optimizers/device/device_input.h"
#include "client/optimizers/device/test_devices.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/util/status_matchers.h"

namespace tally {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Three groups, one of which ends with a run of 33 elements, and a dense tensor of 20.
Layout TestLayout() {
  return *Layout::Create({{.name = "a", .num_elements = 2'017, .masked = {{5, 70}}},
                          {.name = "b", .num_elements = 20, .treatment = Treatment::kDense}},
                         4'096, DealingOptions{.num_groups = 3, .seed = 7});
}

std::vector<float> Numbers(size_t size) {
  std::vector<float> numbers(size);
  for (size_t i = 0; i < size; ++i) numbers[i] = static_cast<float>(i);
  return numbers;
}

class DealtElementsTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    absl::StatusOr<TestDevice> device = TestDevice::Open(GetParam());
    if (!device.ok()) GTEST_SKIP() << device.status();
    device_ = *std::move(device);
    lane_ = *Lane::Create(device_.get());
  }

  DeviceArray<float> OnDevice(const std::vector<float>& values) {
    DeviceArray<float> array = *DeviceArray<float>::Create(device_.get(), values.size());
    EXPECT_THAT(CopyToDevice(lane_->queue(), absl::MakeConstSpan(values), array.span()), IsOk());
    EXPECT_THAT(lane_->Finish(), IsOk());
    return array;
  }

  TestDevice device_;
  std::unique_ptr<Lane> lane_;
};

TEST_P(DealtElementsTest, GroupsComeOutOfAFlatVectorAndGoBack) {
  const Layout layout = TestLayout();
  absl::StatusOr<DealtElements> elements = DealtElements::Create(&layout, lane_.get());
  ASSERT_THAT(elements, IsOk());
  const std::vector<float> numbers = Numbers(layout.num_elements());
  DeviceArray<float> flat = OnDevice(numbers);
  DeviceArray<float> back = OnDevice(std::vector<float>(numbers.size(), -1.0f));
  const std::vector<float> grouped = elements->Grouped(numbers);
  for (uint32_t group = 0; group < elements->num_groups(); ++group) {
    SCOPED_TRACE(group);
    const uint32_t size = layout.chunks()[group].num_elements;
    EXPECT_LE(size, elements->largest_group());
    DeviceArray<float> packed = OnDevice(std::vector<float>(size));
    ASSERT_THAT(elements->Gather(flat.span(), group, packed.span()), IsOk());
    const absl::Span<const float> expected = elements->In(absl::MakeConstSpan(grouped), group);
    EXPECT_EQ(*FetchElements(packed.span(), *lane_),
              std::vector<float>(expected.begin(), expected.end()));
    EXPECT_EQ(expected[64], static_cast<float>(layout.dealing()->ElementOf(group, 64)));
    ASSERT_THAT(elements->Scatter(packed.span(), group, back.span()), IsOk());
    ASSERT_THAT(lane_->Finish(), IsOk());
  }
  EXPECT_EQ(elements->Flat(grouped), numbers);
  std::vector<float> scattered = numbers;
  std::fill(scattered.begin() + 2'017, scattered.end(), -1.0f);
  EXPECT_EQ(*FetchElements(back.span(), *lane_), scattered) << "dense tensors are not dealt out";
}

TEST_P(DealtElementsTest, SingleElementsComeAndGo) {
  DeviceArray<float> x = OnDevice(Numbers(300));
  const std::vector<uint32_t> elements = {299, 0, 7};
  std::vector<float> out(3);
  ASSERT_THAT(FetchAt(x.span(), elements, absl::MakeSpan(out), *lane_), IsOk());
  EXPECT_THAT(out, ElementsAre(299, 0, 7));
  ASSERT_THAT(StoreAt({1.5f, 2.5f, 3.5f}, elements, x.span(), *lane_), IsOk());
  std::vector<float> expected = Numbers(300);
  expected[299] = 1.5f;
  expected[0] = 2.5f;
  expected[7] = 3.5f;
  EXPECT_EQ(*FetchElements(x.span(), *lane_), expected);
  ASSERT_THAT(FetchAt(x.span(), {}, {}, *lane_), IsOk()) << "nothing is asked for";
}

TEST_P(DealtElementsTest, WeighsAndMasks) {
  for (const size_t size : {1u, 31u, 64u, 65u, 257u}) {
    for (const bool masked : {false, true}) {
      SCOPED_TRACE(testing::Message() << size << ", " << masked);
      std::vector<float> x = Numbers(size);
      for (float& value : x) value -= 40.5f;
      std::vector<float> moment = Numbers(size);
      std::vector<uint8_t> bitmap((size + 7) / 8, 0b10110110);
      DeviceArray<float> on_device = OnDevice(x);
      DeviceArray<float> moments = OnDevice(moment);
      DeviceArray<float> out = OnDevice(x);
      const absl::Span<const uint8_t> live =
          masked ? *lane_->In(absl::MakeConstSpan(bitmap)) : absl::Span<const uint8_t>();
      ASSERT_THAT(lane_->queue().Weigh({.x = on_device.span(),
                                        .live = live,
                                        .second_moment = moments.span(),
                                        .second_correction = 1.25f,
                                        .epsilon = 0.125f,
                                        .out = out.span()}),
                  IsOk());
      ASSERT_THAT(lane_->Finish(), IsOk());
      std::vector<float> weighted(size);
      for (size_t i = 0; i < size; ++i) {
        if (masked && ((bitmap[i / 8] >> (i % 8)) & 1) == 0) x[i] = 0.0f;
        weighted[i] = 1.0f / (std::sqrt(moment[i] * 1.25f) + 0.125f) * x[i];
      }
      EXPECT_EQ(*FetchElements(on_device.span(), *lane_), x);
      EXPECT_EQ(*FetchElements(out.span(), *lane_), weighted);
    }
  }
}

TEST_P(DealtElementsTest, AVectorOfTooManyElementsIsRefused) {
  const absl::StatusOr<Layout> layout =
      Layout::Create({{.name = "huge", .num_elements = uint64_t{1} << 32}}, 4'096,
                     DealingOptions{.num_groups = 1024, .seed = 7});
  ASSERT_THAT(layout, IsOk());
  EXPECT_THAT(
      DealtElements::Create(&*layout, lane_.get()),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("`layout` has 4294967296 elements, must have at most 4294967295")));
}

INSTANTIATE_TEST_SUITE_P(Devices, DealtElementsTest,
                         testing::Values("device_fake", "cuda_emulated", "cuda"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace tally
